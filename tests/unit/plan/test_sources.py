"""Steps of programs that are built from their source."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.sourceprojects import MAKE, tarball
from vmgen_build.catalogue.building import BUILD_SYSTEMS
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.guests.delivery import items_of
from vmgen_build.guests.node.guest import HOME
from vmgen_build.plan.export import export
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.steps.sources import STATE

Planner = Callable[..., Plan]

HEAD = "[config]\n[[sources]]\n"
SUM = "0" * 64


def source(name: str = "hello", build: str = "autotools", more: str = "") -> str:
    lines = "script = '''make\nmake install'''" if build == "script" else f"build = {build}"
    return f"[[[{name}]]]\nurl = https://example.org/{name}.tar.xz\nsha256 = {SUM}\n{lines}\ncommands = {name}\n{more}"


def step_of(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps if step.name.startswith("source")]


def test_tools_then_each_program_then_the_removal(planned: Planner) -> None:
    plan = planned(HEAD + source("b", more="build_needs = zlib\npackages = jq\n") + source("a", "cmake"))
    assert names(plan) == ["sources-tools", "source-b", "source-a", "sources-end"]
    tools = step_of(plan, "sources-tools")
    assert tools.network and tools.installs and tools.packages == ("jq",)
    for package in ("g++", "make", "cmake", "xz-utils", "zlib1g-dev", "jq"):
        assert f" {package}" in tools.script
    assert not step_of(plan, "source-b").network and not step_of(plan, "source-b").installs
    stays, _, goes = tools.script.partition("/before")
    assert " jq" in stays and " jq" not in goes and " g++" in goes and " g++" not in stays
    assert [probe.setting for probe in step_of(plan, "source-a").probes] == ["[config.sources.a]"]


def test_a_program_is_its_archive_and_not_where_it_lies(planned: Planner, tmp_path: Path) -> None:
    plan = planned(HEAD + source())
    elsewhere = planned(HEAD + source().replace("example.org", "mirror.example.org"))
    assert step_of(plan, "source-hello").id == step_of(elsewhere, "source-hello").id
    other = planned(HEAD + source().replace(SUM, "1" * 64))
    assert step_of(plan, "source-hello").id != step_of(other, "source-hello").id
    assert step_of(plan, "sources-tools").id == step_of(other, "sources-tools").id
    step = step_of(plan, "source-hello")
    filled = replace(step, files=tuple(replace(file, source=tmp_path) for file in step.files))
    assert filled.id == step.id


def test_a_plan_names_what_it_downloads_and_compiling_downloads_nothing(planned: Planner, tmp_path: Path) -> None:
    plan = planned(HEAD + source())
    step = step_of(plan, "source-hello")
    assert step.as_dict()["files"] == [
        {"name": "archive", "sha256": SUM, "mode": "0644", "urls": ["https://example.org/hello.tar.xz"]}
    ]
    written = export(plan, tmp_path / "out")
    assert [path for path in written if "source-hello" in str(path) and path.parent.name != "out"] == []
    with pytest.raises(BuildError, match=r"https://example.org/hello.tar.xz was not downloaded"):
        items_of(step, {}, 0)


@pytest.mark.parametrize("build", BUILD_SYSTEMS)
@pytest.mark.parametrize("network", ["yes", "no"])
def test_every_script_is_clean(planned: Planner, tmp_path: Path, build: str, network: str) -> None:
    options = "" if build == "script" else "options = --with='$(x) y' {{ z }} `w`\n"
    more = f"network = {network}\n{options}check = test \"$(x)\" = '{{ y }}'\nunits = {build}.service\n"
    plan = planned(HEAD + source("hello", build, more))
    scripts = [step.script for step in plan.steps] + [probe.script for probe in plan.all_probes()]
    paths = []
    for number, script in enumerate(scripts):
        paths.append(tmp_path / f"{number}.sh")
        paths[-1].write_text(script)
        subprocess.run(["dash", "-n", paths[-1]], check=True)
    checked = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert step_of(plan, "source-hello").network == (network == "yes")


def test_a_file_shows_how_it_is_built(planned: Planner, tmp_path: Path) -> None:
    tarball(tmp_path / "hello.tar.gz", "hello-1.0", MAKE)
    plan = planned(HEAD + "[[[hello]]]\nfile = hello.tar.gz\ncommands = hello\n")
    step = step_of(plan, "source-hello")
    assert "make failed" in step.script and step.files[0].source == tmp_path / "hello.tar.gz"


def test_a_file_that_does_not_show_it(planned: Planner, tmp_path: Path) -> None:
    tarball(tmp_path / "hello.tar.gz", "hello-1.0", {"README": ""})
    with pytest.raises(
        RecipeError, match=r"lab.ini:6: \[config.sources.hello\] build: 'hello.tar.gz' does not show how"
    ):
        planned(HEAD + "[[[hello]]]\nfile = hello.tar.gz\ncommands = hello\n")


def test_a_file_with_another_sum(planned: Planner, tmp_path: Path) -> None:
    tarball(tmp_path / "hello.tar.gz", "hello-1.0", MAKE)
    text = f"[[[hello]]]\nfile = hello.tar.gz\nsha256 = {SUM}\ncommands = hello\n"
    with pytest.raises(
        RecipeError, match=r"lab.ini:8: \[config.sources.hello\] sha256: '.*' has another: [0-9a-f]{64}"
    ):
        planned(HEAD + text)


@pytest.mark.parametrize("system", ["debian-13", "fedora-42", "rocky-9", "opensuse-15.6", "arch"])
def test_one_recipe_for_every_family(planned: Planner, system: str) -> None:
    plan = planned(HEAD + source(more="build_needs = zlib\n"), head=f"[hardware]\nvm_id = lab\nos = {system}\n")
    assert names(plan) == ["sources-tools", "source-hello", "sources-end"]
    zlib = {"debian-13": "zlib1g-dev", "arch": "zlib"}.get(system, "zlib-devel")
    assert f" {zlib}" in step_of(plan, "sources-tools").script


OWN = f"""\
[salve]
    aliases = ave
    packages.arch = salve
    source = https://example.org/salve.tar.gz
    source_sha256 = {SUM}
    source_build = meson
    source_options = -Dgreeting='a b'
    source_needs = zlib
    commands = salve
    units = salve.service
    idle = it waits for its settings
"""


def test_a_program_that_the_system_lacks_is_built_from_its_source(planned: Planner) -> None:
    text = "[devel]\nave = 1\nvim = 1\n[config]\ncatalogue = own.ini\n"
    plan = planned(text, files={"own.ini": OWN.encode()})
    assert names(plan) == ["sources-tools", "source-salve", "sources-end"]
    step = step_of(plan, "source-salve")
    assert "meson setup" in step.script and "'-Dgreeting=a b'" in step.script
    assert [(probe.setting, probe.expected) for probe in step.probes] == [
        ("[devel] ave", "installed"),
        ("[devel] ave units", "enabled"),
    ]
    assert "program-salve" not in [probe.name for probe in plan.all_probes()]
    packaged = planned(text, head="[hardware]\nvm_id = lab\nos = arch\n", files={"own.ini": OWN.encode()})
    assert names(packaged) == [] and " salve" in step_of(packaged, "packages-devel").script


def test_a_source_of_the_recipe_stands_for_the_catalogues(planned: Planner) -> None:
    text = f"[devel]\nsalve = 1\n[config]\ncatalogue = own.ini\n[[sources]]\n{source('salve', 'make')}"
    plan = planned(text, files={"own.ini": OWN.encode()})
    assert names(plan) == ["sources-tools", "source-salve", "sources-end"]
    assert "make failed" in step_of(plan, "source-salve").script


WANTING = f"""\
[libsalve]
    source = https://example.org/libsalve.tar.gz
    source_sha256 = {"1" * 64}
    source_build = autotools
[salve]
    source = https://example.org/salve.tar.xz
    source_sha256 = {SUM}
    source_script = '''cp salve "$PREFIX/bin"
cp others "$PREFIX/bin"'''
    source_wants = libsalve
    source_packages = jq
    commands = salve
"""


def test_what_a_program_wants_is_built_before_it_and_before_it_alone(planned: Planner) -> None:
    plan = planned("[devel]\nsalve = 1\n[config]\ncatalogue = own.ini\n", files={"own.ini": WANTING.encode()})
    assert names(plan) == ["sources-tools", "source-libsalve", "source-salve", "sources-end"]
    step = step_of(plan, "source-salve")
    script = next(file for file in step.files if file.name == "build-script")
    assert script.content == b'cp salve "$PREFIX/bin"\ncp others "$PREFIX/bin"\n'
    assert step_of(plan, "sources-tools").packages == ("jq",)
    assert "strip --strip" in step_of(plan, "source-libsalve").script and "strip --strip" not in step.script
    text = "[devel]\nsalve = 1\nlibsalve = 1\n[config]\ncatalogue = own.ini\n"
    assert names(planned(text, files={"own.ini": WANTING.encode()})) == names(plan)


def test_a_source_of_the_recipe_stands_in_the_place_of_what_is_wanted(planned: Planner) -> None:
    more = source("other") + source("libsalve", "make")
    text = f"[devel]\nsalve = 1\n[config]\ncatalogue = own.ini\n[[sources]]\n{more}"
    plan = planned(text, files={"own.ini": WANTING.encode()})
    assert names(plan) == ["sources-tools", "source-libsalve", "source-salve", "source-other", "sources-end"]
    assert "make failed" in step_of(plan, "source-libsalve").script
    instead = planned(text + source("salve"), files={"own.ini": WANTING.encode()})
    assert names(instead) == ["sources-tools", "source-other", "source-libsalve", "source-salve", "sources-end"]


def test_eclipse_and_snort_on_debian(planned: Planner) -> None:
    plan = planned("[devel]\neclipse = 1\n[services]\nsnort = 1\n")
    assert names(plan) == ["sources-tools", "source-eclipse", "source-libdaq", "source-snort", "sources-end"]
    assert [probe.setting for name in names(plan) for probe in step_of(plan, name).probes] == [
        *("[devel] eclipse", "[services] snort")
    ]
    assert step_of(plan, "sources-tools").packages == ("libgtk-3-0", "libxtst6")


def test_dynamips_on_debian(planned: Planner) -> None:
    step = step_of(planned("[network]\ndynamips = 1\n"), "source-dynamips")
    assert step.files[0].sha256 == "e3b3f1e68511236d61c14cd635fb39dc4437e8ae5af6de8c6f80c2e1cce1c05b"
    assert [probe.setting for probe in step.probes] == ["[network] dynamips"]


def test_services_of_before_systemd(planned: Planner) -> None:
    plan = planned(HEAD + source(more="units = hello.service\n"), head="[hardware]\nvm_id = lab\nos = fedora-14\n")
    script = step_of(plan, "source-hello").script
    assert "chkconfig hello on\n" in script and "systemctl" not in script


def test_what_its_steps_share_is_kept_in_their_layers_on_a_node_too() -> None:
    assert not Path(STATE).is_relative_to(HOME)
