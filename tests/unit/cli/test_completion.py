"""Completion: what there is at a place of a command line, and how the real shells take it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.terminals import at_terminal
from vmgen_build.cli import main
from vmgen_build.cli.completing import answer, completing_door, typed_line
from vmgen_build.cli.completion import FOLDER, SHELLS

ROOT = Path(__file__).resolve().parents[3]
BREAKS = " \t\n\"'><=;|&(:"
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12\n[users]\n[[users]]\n[[[ana]]]\nname = ana\n[[[ben]]]\nname = ben\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a recipe, an artifact, and what is neither."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    work = tmp_path / "work"
    (work / "out").mkdir(parents=True)
    for name in ("lab.ini", "my lab.ini"):
        (work / name).write_text(RECIPE)
    for name in ("out/lab.tar.zst", "out/SHA256SUMS", "x.ova", "notes.txt"):
        (work / name).touch()
    monkeypatch.chdir(work)
    return work


def possible(*words: str) -> list[str]:
    """Each without what it is."""
    return [line.split("\t")[1] for line in answer("fish", completing_door(), "vmgen-build", words)]


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (("",), {"build", "check", "completion", "lab.ini", "my lab.ini"}),
        (("che",), {"check"}),
        (("la",), {"lab.ini"}),
        (("--fo",), {"--folder", "--format"}),
        (("--vers",), {"--version"}),
        (("lab.ini", "--dry"), {"--dry-run"}),
        (("lab.ini", "--on-error", ""), {"clean", "keep", "shell"}),
        (("lab.ini", "-b", ""), {"kvm", "lxc", "openvz", "vmware"}),
        (("lab.ini", "-b", "kvm", "--format", "v"), {"vhd", "vhd-fixed", "vhdx", "vma"}),
        (("lab.ini", "--format=oc",), {"--format=oci"}),
        (("lab.ini", "--compression", "z"), {"zstd"}),
        (("lab.ini", "--output", "o"), {"out/"}),
        (("lab.ini", "--set", "hard"), {"hardware."}),
        (("lab.ini", "--set", "hardware.f"), {"hardware.firmware="}),
        (("lab.ini", "--set", "hardware.firmware="), {"hardware.firmware=bios", "hardware.firmware=efi"}),
        (("lab.ini", "--set", "hardware.os=debian-13"), {"hardware.os=debian-13"}),
        (("lab.ini", "--set", "users.users."), {"users.users.ana.", "users.users.ben."}),
        (("lab.ini", "--set", "users.users.ana.sudo=n"), {"users.users.ana.sudo=no", "users.users.ana.sudo=nopasswd"}),
        (("lab.ini", "--set", "services.ssh"), {"services.sshd="}),
        (("lab.ini", "--set", "services.sshd="), {"services.sshd=1", "services.sshd=0"}),
        (("lab.ini", "--set", "config.timezone=Europe/Bucha"), {"config.timezone=Europe/Bucharest"}),
        (("lab.ini", "--set", "config.profiles=server,dev"), {"config.profiles=server,development"}),
        (("build", "la"), {"lab.ini"}),
        (("verify", ""), {"out/", "x.ova"}),
        (("verify", "out/"), {"out/lab.tar.zst"}),
        (("verify", "--recipe", "l"), {"lab.ini"}),
        (("cache", ""), {"ls", "prune"}),
        (("cache", "prune", "--ol"), {"--older"}),
        (("programs", "--os", "fedora-4"), {"fedora-41"}),
        (("programs", "tcpd"), {"tcpdump"}),
        (("options", "config.host"), {"config.hostname"}),
        (("shell", "lab.ini", "--step", ""), {"base", "users", "generalise"}),
        (("shell", "lab.ini", "--set", "services.sshd=1", "--step=packages-s"), {"--step=packages-services"}),
        (("shell", "lab.ini", "-b", "vmware", "--step", "mach"), {"machine"}),
        (("completion", ""), set(SHELLS)),
    ],
)  # fmt: skip
def test_what_there_is(words: tuple[str, ...], some: set[str], folder: Path) -> None:
    found = possible(*words)
    assert some <= set(found) and len(found) == len(set(found))
    assert len(some) == len(found) or words[-1] in ("", "fedora-4", "--set", "hard", "v")
    assert "notes.txt" not in found


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_option_of_every_command_is_there(name: str) -> None:
    with click.Context(main.door) as context:
        command = main.door.get_command(context, name)
    assert command is not None
    options = {opt for param in command.params if isinstance(param, click.Option) for opt in param.opts}
    assert {option for option in options if option.startswith("--")} <= set(possible(name, "--"))


def test_nothing_is_checked_and_nothing_is_shown_while_words_are_found(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = possible("lab.ini", "--insecure", "--host", "beos:", "--cache", "/proc", "--sign", "x", "--format", "oc")
    assert found == ["oci"]
    assert capfd.readouterr() == ("", "")


@given(st.text(alphabet=st.sampled_from(" ab='\"\\:./~-é\t"), max_size=30))
def test_a_line_of_any_form_is_read(line: str) -> None:
    typed = typed_line(f"vmgen-build {line}", BREAKS)
    assert 0 <= typed.kept <= len(typed.word)


def test_lists_are_found_anew_after_a_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert possible("-b", "lx") == ["lxc"]
    (kept,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("words.json")
    kept.write_text(kept.read_text().replace('"lxc"', '"lxd"'))
    assert possible("-b", "lx") == ["lxd"]
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    assert possible("-b", "lx") == ["lxc"]
    kept.write_text("[")
    assert possible("-b", "lx") == ["lxc"]


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """In which `vmgen-build` is this checkout's."""
    programs = folder.parent / "bin"
    programs.mkdir()
    (programs / "vmgen-build").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vmgen_build "$@"\n')
    (programs / "vmgen-build").chmod(0o755)
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(folder)}


def output(environment: dict[str, str], *argv: object) -> list[str]:
    done = subprocess.run([str(word) for word in argv], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


BASH = """
source "$1"
compopt() { echo "compopt $*"; }
COMP_LINE=$2 COMP_POINT=${#2}
_vmgen_build vmgen-build
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vmgen-build lab.ini --fo", ["--format", "--folder"]),
        ("vmgen-build check my", ["my\\ lab.ini"]),
        ('vmgen-build check "my', ["my lab.ini"]),
        ("vmgen-build lab.ini --set hardware.firmware=e", ["efi"]),
        ("vmgen-build lab.ini --output=ou", ["compopt -o nospace", "out/"]),
    ],
)
def test_bash(line: str, words: list[str], environment: dict[str, str]) -> None:
    """It ends words at = and : by itself."""
    assert output(environment, "bash", "--norc", "-c", BASH, "bash", FOLDER / "bash", line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vmgen-build la", ["lab.ini"]),
        ("vmgen-build lab.ini --set hardware.firmware=e", ["hardware.firmware=efi"]),
        ("vmgen-build che", ["check\tFind a recipe's mistakes."]),
    ],
)  # fmt: skip
def test_fish(line: str, words: list[str], environment: dict[str, str]) -> None:
    script = f"source {FOLDER / 'fish'}; complete -C '{line}'"
    assert output(environment, "fish", "--no-config", "-c", script) == words


ZSH = """
autoload -Uz compinit; compinit -u -D; source "$1"
report() { zle -I; print -r -- "[[$BUFFER]]" }; zle -N report; bindkey '^X' report; echo re''ady
"""


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("vmgen-build la", "vmgen-build lab.ini "),
        ("vmgen-build lab.ini --set hardware.firmware=e", "vmgen-build lab.ini --set hardware.firmware=efi "),
        ("vmgen-build lab.ini --output=ou", "vmgen-build lab.ini --output=out/"),
    ],
)
def test_zsh(line: str, whole: str, environment: dict[str, str]) -> None:
    with at_terminal(["zsh", "-f", "-i"], environment) as user:
        user.type(ZSH.strip().replace("\n", "; ").replace("$1", str(FOLDER / "zsh")))
        user.read_until("ready\r\n")
        os.write(user.fd, f"{line}\t\x18".encode())
        assert f"[[{whole}]]" in user.read_until("]]")


@pytest.mark.parametrize("argv", [("shellcheck", "-s", "bash"), ("zsh", "-n"), ("fish", "--no-config", "-n")])
def test_the_scripts_are_sound(argv: tuple[str, ...]) -> None:
    shell = "bash" if argv[0] == "shellcheck" else argv[0]
    assert output(dict(os.environ), *argv, FOLDER / shell) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    assert capsys.readouterr().out == (FOLDER / shell).read_text()
