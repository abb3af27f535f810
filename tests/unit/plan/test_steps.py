"""What single step modules make of hostile and odd values; their scripts run in a real sh where no root file system is
needed (the step's folder and the guest's paths are moved below a temporary one)."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vmgen_build.errors import RecipeError
from vmgen_build.plan.context import full_host_name, host_name
from vmgen_build.plan.model import Part, Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

Planner = Callable[..., Plan]

NASTY = [
    "$(touch pwned)",
    "`touch pwned`",
    "it's",
    '"',
    "a\\",
    "\\n",
    "-rf",
    "--",
    "*",
    "~root",
    "{{ x }}",
    "{% if %}",
    "a b",
    "a;touch pwned",
    "&& touch pwned",
    "#x",
    "=",
    "é中😀",
    "‘q’",
    "%s",
    "!x",
    "if",
]
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=30).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


def step_of(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def recipe_of(folder: Path, text: str, vm_id: str = "lab") -> Recipe:
    path = folder / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = {vm_id}\nos = debian-12-amd64\n{text}")
    return load(path)


def run_below(root: Path, step: Step) -> subprocess.CompletedProcess[str]:
    """Run a step's script with its folder moved below `root`, and `root` as its working folder."""
    folder = root / "run" / "vmgen"
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for file in step.files:
        content = file.content if file.source is None else file.source.read_bytes()
        (folder / "files" / file.name).write_bytes(content or b"")
    script = step.script.replace("/run/vmgen", str(folder))
    return subprocess.run(["dash", "-c", script], capture_output=True, text=True, cwd=root)


@pytest.mark.parametrize("shell", ["dash", "bash"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.one_of(names, st.sampled_from(NASTY)), content=st.binary(max_size=200), mode=st.integers(0, 0o777))
@example(name="-n", content=b"\0\r\n{{ x }}", mode=0o640)
def test_a_file_arrives_whatever_its_name(
    tmp_path_factory: pytest.TempPathFactory, shell: str, name: str, content: bytes, mode: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "source").write_bytes(content)
    recipe = recipe_of(folder, "[config]\n[[files]]\n[[[one]]]\nsource = source\ndest = /x\n")
    dest = folder / "guest" / name / name
    own = replace(recipe.config.files["one"], dest=str(dest), owner=f"{os.getuid()}:{os.getgid()}", mode=mode)
    recipe = replace(recipe, config=replace(recipe.config, files={"one": own}))
    step = step_of(make_plan(recipe, "lxc", Part()), "files")
    ran = run_below(folder, step)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert dest.read_bytes() == content
    assert dest.stat().st_mode & 0o7777 == mode
    probe = subprocess.run([shell], input=step.probes[0].script, capture_output=True, text=True)
    assert (probe.returncode, probe.stdout) == (0, f"{step.probes[0].expected}\n")
    dest.write_bytes(content + b"x")
    assert subprocess.run([shell], input=step.probes[0].script, capture_output=True, text=True).returncode != 0


def test_a_file_that_cannot_be_put_stops_the_step_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    (tmp_path / "folder").mkdir()
    text = f"[config]\n[[files]]\n[[[one]]]\nsource = source\ndest = {tmp_path}/folder\n"
    ran = run_below(tmp_path, step_of(make_plan(recipe_of(tmp_path, text), "lxc", Part()), "files"))
    assert ran.returncode == 1
    assert f"files: cannot put {tmp_path}/folder (owner root:root, mode 0644) there" in ran.stderr


def test_destination_and_owner(planned: Planner) -> None:
    plan = planned(
        "[config]\n[[files]]\n[[[a]]]\nsource = motd\ndest = /srv/\nowner = ana\n"
        "[[[b]]]\nsource = motd\ndest = /etc/x\nowner = 7\nmode = 0600\n",
        files={"motd": b"x"},
    )
    lines = step_of(plan, "files").script.splitlines()
    assert lines[-2:] == ["put a /srv/motd ana: 0644", "put b /etc/x 7 0600"]


def test_a_file_that_a_script_names_is_only_looked_for(planned: Planner) -> None:
    text = (
        "[config]\n[[files]]\n[[[a]]]\nsource = motd\ndest = /etc/a\n[[[b]]]\nsource = motd\ndest = /etc/b\n"
        "[[scripts]]\n[[[s]]]\nrun = sed -i s/x/y/ /etc/a\n"
    )
    probes = {probe.setting: probe.expected for probe in step_of(planned(text, files={"motd": b"x"}), "files").probes}
    assert probes["[config.files.a]"] == "there"
    assert re.fullmatch("root:root 644 [0-9a-f]{64}", probes["[config.files.b]"])


def test_a_file_that_vanished_after_loading(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    recipe = recipe_of(tmp_path, "[config]\n[[files]]\n[[[one]]]\nsource = source\ndest = /x\n")
    (tmp_path / "source").unlink()
    with pytest.raises(
        RecipeError, match=r"lab.ini:7: \[config.files.one\] source: '.*/source' cannot be read: No such"
    ):
        make_plan(recipe, "lxc", Part())


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b"echo hi\n", "/bin/sh -eu"),
        (b"", "/bin/sh -eu"),
        (b"# no #! line\n#!/bin/false\n", "/bin/sh -eu"),
        (b"#!/usr/bin/python3\n", "/usr/bin/python3"),
        (b"#! /usr/bin/env -S python3 -u \nx", "/usr/bin/env '-S python3 -u'"),
        (b"#!/bin/bash", "/bin/bash"),
        (b"#!/bin/$(id) 'x'\n", "'/bin/$(id)' ''\"'\"'x'\"'\"''"),
        ("#!/opt/é/run\n".encode(), "'/opt/é/run'"),
    ],
)
def test_a_script_runs_by_its_first_line(planned: Planner, text: bytes, command: str) -> None:
    plan = planned("[config]\n[[scripts]]\n[[[one]]]\nfile = tool\n", files={"tool": text})
    step = step_of(plan, "script-one")
    assert step.script.splitlines()[-1] == f"exec {command} /run/vmgen/files/script"
    assert step.files[0].content == text
    assert step.network


def test_a_script_stops_at_its_first_error_and_is_no_template(planned: Planner, tmp_path: Path) -> None:
    plan = planned("[config]\n[[scripts]]\n[[[one]]]\nrun = '''echo '{{ x }}' '$(id)'\nfalse\necho no'''\n")
    ran = run_below(tmp_path, step_of(plan, "script-one"))
    assert (ran.returncode, ran.stdout) == (1, "{{ x }} $(id)\n")


def test_a_first_line_that_no_system_runs(planned: Planner) -> None:
    with pytest.raises(
        RecipeError, match=r"lab.ini:7: \[config.scripts.one\] file: the #! line ends in a carriage return"
    ):
        planned("[config]\n[[scripts]]\n[[[one]]]\nfile = tool\n", files={"tool": b"#!/bin/sh\r\necho\r\n"})


@pytest.mark.parametrize(
    ("vm_id", "hostname", "full", "short"),
    [
        ("lab", "", "lab", "lab"),
        ("101", "", "vm101", "vm101"),
        ("Lab_1", "", "Lab-1", "Lab-1"),
        ("lab", "HAL-9000", "HAL-9000", "HAL-9000"),
        ("lab", "hal.example.org", "hal.example.org", "hal"),
    ],
)
def test_host_names(tmp_path: Path, vm_id: str, hostname: str, full: str, short: str) -> None:
    recipe = recipe_of(tmp_path, f"[config]\nhostname = {hostname}\n" if hostname else "", vm_id)
    assert (full_host_name(recipe), host_name(recipe)) == (full, short)


@pytest.mark.parametrize(
    ("locale", "want", "needs"),
    [
        ("en_US.utf8", "en_US.UTF-8", True),
        ("C.UTF-8", "C.UTF-8", False),
    ],
)
def test_locales(planned: Planner, locale: str, want: str, needs: bool) -> None:
    plan = planned(f"[config]\nlocale = {locale}\n")
    assert f"locale={want}\n" in step_of(plan, "system").script
    assert ("locale-gen\n" in step_of(plan, "system").script) is needs
    assert any(step.name == "packages-config" for step in plan.steps) is needs


def test_packages_are_installed_in_one_run_and_units_enabled(planned: Planner) -> None:
    plan = planned("[services]\nsshd = 1\nmail_server = 1\n")
    lines = step_of(plan, "packages-services").script.splitlines()
    assert len([line for line in lines if "apt-get" in line]) == 1
    assert "debconf-set-selections" in lines[2] and "postfix/main_mailer_type" in lines[2]
    assert lines[-2:] == ["systemctl enable -- postfix.service", "systemctl enable -- ssh.service"]
    settings_of = {probe.name: (probe.setting, probe.expected) for probe in step_of(plan, "packages-services").probes}
    assert settings_of["unit-ssh.service"] == ("[services] sshd", "active")


def test_programs_that_exclude_each_other(planned: Planner) -> None:
    with pytest.raises(RecipeError) as caught:
        planned("[services]\nntp = 1\nchrony = 1\n")
    assert re.search(
        r"lab.ini:6: \[services\] chrony: cannot be installed beside 'ntp' \(.*lab.ini:5\); keep one of them$",
        str(caught.value),
    )


def test_own_host_keys_and_sources_stay(planned: Planner) -> None:
    text = (
        "[config]\n[[files]]\n[[[key]]]\nsource = key\ndest = /etc/ssh/ssh_host_ed25519_key\n"
        "[[[sources]]]\nsource = key\ndest = /etc/apt/sources.list.d/debian.sources\n"
    )
    plain, own = step_of(planned(), "generalise"), step_of(planned(text, files={"key": b"x"}), "generalise")
    assert 'if unlisted "$key" /etc/ssh/ssh_host_ed25519_key; then' in own.script
    assert "sources" in [file.name for file in plain.files]
    assert "sources" not in [file.name for file in own.files]
    assert "debian.sources" not in own.script


def test_a_flat_repository_with_a_binary_key(planned: Planner) -> None:
    text = "[config]\n[[repos]]\n[[[own-repo]]]\nurl = https://apt.example.org/x\nsuite = ./\nkey = own.gpg\n"
    step = step_of(planned(text, files={"own.gpg": b"\x99\x00binary"}), "repositories")
    assert [file.name for file in step.files] == ["own-repo.gpg", "own-repo.sources"]
    assert step.files[0].content == b"\x99\x00binary"
    assert not step.network


def test_hostile_text_keeps_every_script_clean(tmp_path: Path) -> None:
    """In the options that take free text; the others refuse it (tests/unit/recipe)."""
    (tmp_path / "x").write_text("x")
    recipe = recipe_of(
        tmp_path,
        "[users]\n[[users]]\n[[[u]]]\nname = ana\nfull_name = F\n[network]\n[[open_ports]]\n[[[p]]]\nport = 80\n"
        "[config]\n[[files]]\n[[[f]]]\nsource = x\ndest = /srv/x\n",
    )
    paths = []
    for number, value in enumerate(NASTY):
        plan = make_plan(hostile(recipe, value), "lxc", Part())
        scripts = {step.name: step.script for step in plan.steps}
        scripts |= {probe.name: probe.script for probe in plan.all_probes() if probe.kind == "guest"}
        assert {
            "users",
            "files",
            "firewall",
            "user-ana",
            "file-f",
        } <= scripts.keys()
        folder = tmp_path / str(number)
        folder.mkdir()
        for index, script in enumerate(scripts.values()):
            paths.append(folder / f"{index}.sh")
            paths[-1].write_text(script)
            subprocess.run(["dash", "-n", paths[-1]], check=True)
    checked = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def hostile(recipe: Recipe, value: str) -> Recipe:
    user = replace(recipe.users.users["u"], full_name=value)
    port = replace(recipe.network.open_ports["p"], description=value)
    file = replace(recipe.config.files["f"], dest=f"/srv/{value}/{value}")
    return replace(
        recipe,
        users=replace(recipe.users, users={"u": user}),
        network=replace(recipe.network, open_ports={"p": port}),
        config=replace(recipe.config, files={"f": file}),
    )


def test_issue_9_5_a_step_names_the_packages_that_its_script_installs(planned: Planner) -> None:
    plan = planned("[devel]\nvim = 1\n[services]\nsshd = 1\n[config]\npackages = jq\ntimezone = Europe/Berlin\n")
    for step in plan.steps:
        assert bool(step.packages) is step.installs
        assert all(re.search(rf"[ ]{re.escape(name)}( |$)", step.script, re.MULTILINE) for name in step.packages)
    assert {"vim", "openssh-server", "jq"} <= {name for step in plan.steps for name in step.packages}
    assert replace(plan.steps[0], packages=("other",)).id == plan.steps[0].id
