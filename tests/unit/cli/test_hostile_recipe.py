"""Issue 8, item 12: checking and compiling a recipe of others ends, with a message, whatever it names or holds."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.host.bounds import bounded
from vmgen_build.limits import MB, RECIPE, Limit
from vmgen_build.recipe.load import load

HEAD = "[hardware]\nvm_id = lab\nos = debian-12\n"


def check(folder: Path, text: str, *args: str) -> tuple[int, str]:
    (folder / "lab.ini").write_text(text)
    command = [sys.executable, "-m", "vmgen_build", "check", *args, str(folder / "lab.ini")]
    ran = subprocess.run(command, capture_output=True, text=True)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("section", "option"),
    [
        ("[config]\nroot_passwd = file:{}\n", "[config] root_passwd"),
        ("[config]\n[[files]]\n[[[a]]]\nsource = {}\ndest = /a\n", "[config.files.a] source"),
        ("[config]\n[[scripts]]\n[[[a]]]\nfile = {}\n", "[config.scripts.a] file"),
        ("[config]\n[[repos]]\n[[[a]]]\nurl = http://a.example/d\nkey = {}\n", "[config.repos.a] key"),
    ],
    ids=["secret", "file", "script", "key"],
)
def test_issue_8_12_what_a_recipe_names_is_a_regular_file(tmp_path: Path, section: str, option: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    for name, why in (("/dev/zero", "it is a device"), ("pipe", "it is a pipe"), ("circle", "Too many levels")):
        path = tmp_path / "r.ini"
        path.write_text(HEAD + section.format(name))
        with pytest.raises(RecipeError) as caught:
            load(path)
        assert option in str(caught.value) and why in str(caught.value)


def test_issue_8_12_recipes_and_profiles_are_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.ini")
    with pytest.raises(RecipeError, match="it is a pipe, not a file"):
        load(tmp_path / "r.ini")
    code, errors = check(tmp_path, HEAD + "[config]\nprofiles = /dev/zero\n")
    assert code == 2 and "there is no profile" in errors


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("a" * (RECIPE.amount + 1), "recipe"),
        ("a=1\n" * 50_001, "recipe-lines"),
        ("".join(f"{'[' * i}x{']' * i}\n" for i in range(1, 18)), "recipe-depth"),
    ],
    ids=["one-line", "options", "levels"],
)
def test_issue_8_12_the_recipe_itself_has_limits(tmp_path: Path, text: str, limit: str) -> None:
    path = tmp_path / "r.ini"
    path.write_text(text)
    with pytest.raises(RecipeError, match=f"the limit '{limit}'"):
        load(path)


def test_issue_8_12_profiles_that_take_in_each_other_have_a_limit(tmp_path: Path) -> None:
    """Two at each of 7 levels would be 254 files."""
    (tmp_path / "profiles").mkdir()
    for level in range(8):
        names = f"a{level + 1}.ini, b{level + 1}.ini" if level < 7 else ""
        for letter in "ab":
            text = f"[config]\nprofiles = {names}\nrecommends = no\n"
            (tmp_path / f"profiles/{letter}{level}.ini").write_text(text)
    path = tmp_path / "r.ini"
    path.write_text(HEAD + "[config]\nprofiles = a0, b0\n")
    with pytest.raises(RecipeError, match="the limit 'recipe-files'"):
        load(path)


LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}#!/bin/sh\n"


def own_template(folder: Path, text: str) -> None:
    template = folder / "templates/linux/etc_hostname.sh.j2"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text(text)


def short_run(folder: Path, time: int, memory: int) -> subprocess.CompletedProcess[str]:
    """`check`, with less time and memory than it has otherwise."""
    program = (
        "import sys; from vmgen_build import limits; from vmgen_build.limits import Limit, MB;"
        f"limits.CHECK_TIME = Limit('check-time', limits.CHECK_TIME.of, {time}, 's');"
        f"limits.CHECK_MEMORY = Limit('check-memory', limits.CHECK_MEMORY.of, {memory} * MB);"
        "from vmgen_build.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    (folder / "lab.ini").write_text(HEAD + "[config]\nhostname = lab\n")
    command = [sys.executable, "-c", program, "check", str(folder / "lab.ini")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_issue_8_12_nested_loops_in_a_template_end(tmp_path: Path) -> None:
    own_template(tmp_path, LOOPS)
    ran = short_run(tmp_path, 1, 1000)
    assert ran.returncode == 2 and "the limit 'check-time'" in ran.stderr and "Traceback" not in ran.stderr


def test_issue_8_12_a_template_that_fills_memory_ends(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ ('x' * 900000000) | upper | lower | length }}\n")
    ran = short_run(tmp_path, 60, 400)
    assert ran.returncode == 2 and "the limit 'check-memory'" in ran.stderr and "Traceback" not in ran.stderr


def test_issue_8_12_what_cannot_be_asked_to_stop_is_ended() -> None:
    """A sum runs in C, where no Python handler is called."""
    program = (
        "from vmgen_build.host import bounds; from vmgen_build.limits import Limit; bounds._GRACE = 0.5\n"
        "with bounds.bounded('r.ini', Limit('t', 'time', 1, 's'), Limit('m', 'memory', 10**9)):\n"
        "    sum(range(10**12))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)
    assert ran.returncode == -signal.SIGPROF


def test_issue_8_12_bounds_leave_the_process_as_it_was() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with bounded("r.ini", Limit("t", "time", 60, "s"), Limit("m", "memory", 500 * MB)):
        assert resource.getrlimit(resource.RLIMIT_AS) != before
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_issue_8_12_templates_come_from_their_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("canary")
    own_template(tmp_path, "{% include 'linux/link' %}\n")
    link = tmp_path / "templates/linux/link"
    for goal in (tmp_path / "outside.txt", Path("../../outside.txt"), Path("/dev/zero"), Path("link")):
        link.symlink_to(goal)
        code, errors = check(tmp_path, HEAD + "[config]\nhostname = lab\n")
        assert code == 2 and "linux/link" in errors and "cannot be read" in errors and "canary" not in errors
        link.unlink()
    os.mkfifo(link)
    code, errors = check(tmp_path, HEAD + "[config]\nhostname = lab\n")
    assert code == 2 and "cannot be read: not a regular file" in errors


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}\n",
        "{{ step_folder.__init__.__globals__ }}\n",
        "{{ range(10**9) | list }}\n",
        "{{ 1 / 0 }}\n",
    ],
)
def test_issue_8_12_templates_run_in_a_sandbox(tmp_path: Path, text: str) -> None:
    own_template(tmp_path, text)
    code, errors = check(tmp_path, HEAD + "[config]\nhostname = lab\n")
    assert code == 2 and "etc_hostname.sh.j2:1: template: " in errors


@pytest.mark.parametrize("name", ["{}/key", "{}/looks.ini", "key", "./key"])
def test_issue_8_12_no_other_file_is_read_as_a_profile(tmp_path: Path, name: str) -> None:
    """Warnings show the options of a profile, so a private key must not be taken for one."""
    elsewhere = tmp_path if name.endswith("/key") and "{" not in name else tmp_path / "home"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "key").write_text("[config]\nb3BlbnNzaC1rZXktdjEAAAAA = 1\n")
    (elsewhere / "looks.ini").symlink_to("key")
    code, errors = check(tmp_path, HEAD + f"[config]\nprofiles = {name.format(elsewhere)}\n")
    assert code == 2 and "there is no profile" in errors and "b3Blbn" not in errors


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/dev/../proc/self/status", "/sys/kernel/uevent_seqnum", "{}/to"]
)
def test_issue_8_12_files_of_the_kernel_are_no_sources(tmp_path: Path, path: str) -> None:
    (tmp_path / "to").symlink_to("/proc/self/environ")
    source = path.format(tmp_path)
    code, errors = check(tmp_path, HEAD + f"[config]\n[[files]]\n[[[a]]]\nsource = {source}\ndest = /a\n")
    assert code == 2 and "is of the kernel" in errors


def test_issue_8_12_templates_beside_the_recipe_are_no_link(tmp_path: Path) -> None:
    """--templates of the user's own may be one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "templates").symlink_to("real")
    recipe = tmp_path / "lab.ini"
    code, errors = check(tmp_path, HEAD)
    assert code == 2 and f"{tmp_path}/templates" in errors and "is a link, which is not followed" in errors
    command = [sys.executable, "-m", "vmgen_build", "check", "--templates", str(tmp_path / "templates"), str(recipe)]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", ["VMGEN_SSH_PASSWORD", "PATH", "SUDO_UID", "HOME", "TERM", "https_proxy"])
def test_issue_8_6_a_recipe_has_no_variable_of_the_tools_own(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.ini"
    path.write_text(HEAD + f"[config]\nroot_passwd = env:{name}\n")
    with pytest.raises(RecipeError, match=f"the environment variable '{name}' is not for recipes"):
        load(path, environ={name: "canary"})
