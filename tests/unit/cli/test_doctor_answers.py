"""doctor's table: what works on a host, what is degraded, what does not, and why."""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.backends.registry import all_backends, formats_of
from vmgen_build.build import mending, verbs
from vmgen_build.build.places.registry import place_classes
from vmgen_build.build.targets.registry import target_names
from vmgen_build.cli import doctor, main
from vmgen_build.guests.qemu import host as qemu
from vmgen_build.guests.qemu import needs as machine
from vmgen_build.host import needs, run, system

Ask = Callable[..., dict[tuple[str, str, str, str], dict[str, Any]]]

ABSENT: set[str] = set()
"""Programs that the host of a test lacks."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Debian on which root finds each program but those of ABSENT, with KVM and namespaces."""
    ABSENT.clear()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name in ABSENT else f"/usr/bin/{name}")
    monkeypatch.setattr(run, "run", lambda *_, **__: run.Finished(0, b"", b""))
    monkeypatch.setattr(needs, "run", lambda *_, **__: run.Finished(0, b"", b""))
    monkeypatch.setattr(needs, "user_namespace", nullcontext)
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name in ABSENT else sys)
    monkeypatch.setattr(qemu, "_has_kvm", lambda: "kvm" not in ABSENT)
    monkeypatch.setattr(machine, "firmware_of_host", lambda: None if "ovmf" in ABSENT else (tmp_path, tmp_path))
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')
    monkeypatch.setattr(system, "OS_RELEASE", (tmp_path / "os-release",))
    monkeypatch.setattr(system, "USERNS_SWITCH", tmp_path / "switch")
    return tmp_path


@pytest.fixture
def ask(host: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*words: str, code: int = 0) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        assert main.run(["doctor", *words, "--json", "--cache", str(host)]) == code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {(one["verb"], one["backend"], one["thing"], one["place"]): one for one in lines if "verb" in one}

    return asked


def test_there_is_an_answer_for_every_command_backend_format_and_place(ask: Ask) -> None:
    found = ask()
    assert {one["state"] for one in found.values()} == {"works"}
    assert {verb for verb, *_ in found} == {module.name for module in pkgutil.iter_modules(verbs.__path__)} - {"model"}
    everything = {(name, form.name) for name, backend in all_backends().items() for form in formats_of(backend)}
    assert {(backend, thing) for verb, backend, thing, _ in found if verb == "build"} == everything
    assert {(backend, thing) for verb, backend, thing, _ in found if verb == "verify"} == everything
    assert {place for verb, _, _, place in found if verb == "build"} == set(place_classes())
    assert {thing for verb, _, thing, _ in found if verb == "install"} == set(target_names())
    assert not [key for key in found if key[:2] == ("build", "lxc") and key[3] in ("qemu", "vsphere")]
    assert not [key for key in found if key[0] == "shell" and key[1] in ("kvm", "vmware")]


def test_each_lack_is_where_it_belongs(ask: Ask) -> None:
    ABSENT.update(["mmdebstrap", "dnsmasq", "xorrisofs", "minisign", "virsh", "kvm", "spdx_tools"])
    found = ask(code=1)
    state = {key: one["state"] for key, one in found.items()}
    assert state["build", "lxc", "tar", "here"] == state["build", "vmware", "ova", "vsphere"] == "no"
    assert state["build", "lxc", "tar", "local, ssh"] == "degraded"
    assert found["build", "lxc", "tar", "here"]["packages"] == ["mmdebstrap"]
    assert state["verify", "kvm", "qcow2", "here"] == state["run", "lxc", "tar", "here"] == "no"
    assert state["sign", "", "minisign", "here"] == "no" and state["sign", "", "gpg", "here"] == "works"
    assert state["install", "", "libvirt", "here"] == "degraded" and state["install", "", "lxc", "here"] == "works"
    assert state["sbom", "", "spdx", "here"] == "no" and state["sbom", "", "cyclonedx", "here"] == "works"
    assert "pip install 'vmgen-build[sbom]'" in found["sbom", "", "spdx", "here"]["advice"][0]
    assert state["check", "", "", "here"] == "works"
    ABSENT.difference_update(["mmdebstrap", "dnsmasq", "xorrisofs"])
    found = ask()
    assert found["verify", "kvm", "qcow2", "here"]["state"] == "degraded"
    assert "no KVM" in found["verify", "kvm", "qcow2", "here"]["why"][0]
    assert found["verify", "lxc", "tar", "here"]["state"] == "works"


def test_what_is_asked_for_decides_alone(ask: Ask, host: Path) -> None:
    ABSENT.update(["minisign", "xorrisofs"])
    ask("lxc", "verify")
    ask("sign", "ssh")
    ask("sign", code=1)
    ask("minisign", code=1)
    assert {key[2] for key in ask("kvm", "build", "here", code=1)} > {"iso", "qcow2"}
    assert {key[1] for key in ask("lxc", "openvz", "shell")} == {"lxc", "openvz"}
    assert {key[3] for key in ask("build", "qemu:", code=1)} == {"qemu"}
    assert {key[0] for key in ask("lxc")} == {"build", "verify", "run", "shell", "install"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["minisgn"], "'minisgn' is nothing that doctor knows; did you mean 'minisign'?"),
        (["qqq"], "'qqq' is nothing that doctor knows; name a command"),
        (["shell", "kvm"], "shell kvm: there is no such thing to do"),
        (["--yes"], "--yes answers --install"),
        (["lxc", "--host", "qemu:"], "leave the words and --install out"),
    ],
)
def test_wrong_words(words: list[str], text: str, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", *words, "--cache", str(host)]) == 2
    assert text in capsys.readouterr().err


def test_an_ordinary_user_needs_root_alone(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = ask(code=1)
    assert {one["state"] for key, one in found.items() if key[0] in ("build", "verify", "run", "shell")} == {"no"}
    assert found["build", "lxc", "tar", "here"]["why"] == ["this is not root"]
    assert found["check", "", "", "here"]["state"] == found["sign", "", "ssh", "here"]["state"] == "works"


def test_without_user_namespaces_containers_are_for_own_images(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise needs.HostError("this host makes no user namespaces (No space left), and an image is booted in one")

    monkeypatch.setattr(needs, "user_namespace", refused)
    found = ask()
    one = found["verify", "lxc", "tar", "here"]
    assert one["state"] == "degraded" and "(No space left): containers are booted with --trusted" in one["why"][0]
    assert found["build", "lxc", "tar", "here"]["state"] == found["verify", "kvm", "iso", "here"]["state"] == "works"


def test_without_overlayfs_nothing_is_built(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = run.Finished(32, b"", b"mount: permission denied\n")
    works = run.Finished(0, b"", b"")
    monkeypatch.setattr(needs, "run", lambda words: failed if "overlay" in str(words) else works)
    found = ask(code=1)
    one = found["build", "lxc", "tar", "here"]
    assert (one["state"], one["why"]) == ("no", ["overlayfs: mount: permission denied"])
    assert "use a host that does" in one["advice"][0]
    assert found["verify", "lxc", "tar", "here"]["state"] == "works"


def test_the_table_fits_and_says_what_mends_it(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ABSENT.update(["mmdebstrap", "xorrisofs", "minisign"])
    assert main.run(["doctor", "--cache", str(host)]) == 1
    lines = capsys.readouterr().out.splitlines()
    command = "apt-get update && apt-get install -y --no-install-recommends mmdebstrap xorriso"
    assert f"  {command}" in lines and "minisign" not in command
    assert max(len(line) for line in lines if command not in line) <= 80
    cells = {words[0]: words[1:] for line in lines if (words := line.split()) and "--host" not in line}
    assert cells["kvm"] == ["lxc", "openvz", "vmware"]
    assert cells["build"] == ["no"] * 4 and cells["verify"] == ["works"] * 4
    assert cells["shell"] == ["-", "works", "works", "-"]
    assert any(line.startswith("sign") and "minisign no, ssh works" in line for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "no mmdebstrap is missing: it makes a Debian base (build kvm, lxc, openvz, vmware)" in text
    ABSENT.clear()
    assert main.run(["doctor", "--cache", str(host)]) == 0
    assert "Everything is there." in capsys.readouterr().out


def test_install(host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called: list[list[str]] = []

    def apt_get(words: list[str], output: Callable[[str], None], env: dict[str, str]) -> int:
        assert env["DEBIAN_FRONTEND"] == "noninteractive"
        called.append(words)
        if "--download-only" not in words and "install" in words:
            ABSENT.difference_update(words)
        output("Done")
        return 0

    monkeypatch.setattr(mending, "run_lines", apt_get)
    ABSENT.update(["zstd", "minisign"])
    assert main.run(["doctor", "--install", "--cache", str(host)]) == 2
    assert "add --yes" in capsys.readouterr().err and called == []
    assert main.run(["doctor", "--install", "--yes", "--cache", str(host)]) == 0
    shown = capsys.readouterr()
    assert "apt-get install -y --no-install-recommends zstd" in shown.err
    assert [words[2:] for words in called] == [
        ["update"],
        ["install", "-y", "--no-install-recommends", "zstd", "--download-only"],
        ["install", "-y", "--no-install-recommends", "zstd"],
    ]
    called.clear()
    assert main.run(["doctor", "--install", "--yes", "--cache", str(host)]) == 0
    assert "no package is missing" in capsys.readouterr().err and called == []
    assert main.run(["doctor", "minisign", "--install", "--yes", "--cache", str(host)]) == 0
    assert called[-1][-1] == "minisign"


def test_install_on_a_terminal_asks(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ABSENT.add("zstd")
    monkeypatch.setattr(doctor.common, "is_terminal", lambda _: True)
    monkeypatch.setattr(doctor.click, "confirm", _no)
    monkeypatch.setattr(mending, "run_lines", lambda *_, **__: pytest.fail("it ran"))
    assert main.run(["doctor", "--install", "--cache", str(host)]) == 130
    capsys.readouterr()


def _no(_text: str, **_: object) -> None:
    raise doctor.click.Abort


def test_apt_get_that_fails_is_one_message(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_words: list[str], output: Callable[[str], None], **_: object) -> int:
        output("E: Unable to locate package zstd")
        return 100

    ABSENT.add("zstd")
    monkeypatch.setattr(mending, "run_lines", failing)
    assert main.run(["doctor", "--install", "--yes", "--cache", str(host)]) == 1
    assert "apt-get update ended with 100: E: Unable to locate package zstd" in capsys.readouterr().err
