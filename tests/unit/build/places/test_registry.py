"""Places by the scheme of --host, those of others among them, and what each asks of this host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build import plugins
from vmgen_build.backends.base import Backend
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import dry_run, plan_for
from vmgen_build.build.finding import Finding
from vmgen_build.build.job import Build
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.here import HerePlace
from vmgen_build.build.places.model import Look, Place
from vmgen_build.build.places.nodes.drivers import drivers_on
from vmgen_build.build.places.nodes.place import NodePlace
from vmgen_build.build.places.registry import GROUP, place_at, place_class, schemes
from vmgen_build.cli import main
from vmgen_build.errors import HostError, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Workshop
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.runners import LocalRunner
from vmgen_build.host.programs import Requirement
from vmgen_build.host.tls import Trust
from vmgen_build.plan.bases import OsTemplate
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe


class CellarPlace(Place):
    """A place of others, which finds all there that is asked for."""

    @staticmethod
    def check_host(text: str) -> None:
        if not text.startswith("cellar://"):
            raise UsageError(f"--host: '{text}' is in no cellar")

    def check_options(self) -> None: ...

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        return Look(facts, frozenset({"all of it"}))

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        return self.look(recipe, backend, facts)

    def kept_stages(self, plan: Plan, look: Look) -> int:
        return len(plan.stages) if "all of it" in look.there else 0

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        return (Requirement("corkscrew", "corkscrew", "opens the cellar"),)

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        raise HostError("the cellar is closed")
        yield

    def doctor(self) -> list[Finding]:
        return [Finding("cellar", True, self.options.host)]


@pytest.fixture
def cellar() -> Iterator[None]:
    plugins.register(GROUP.name, "cellar", CellarPlace)
    yield
    plugins.unregister(GROUP.name, "cellar")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "lab.ini"
    path.write_text("[hardware]\nvm_id = lab\nos = debian-12\n")
    return load(path)


def test_the_places_that_there_are() -> None:
    assert schemes() == ("here", "local", "qemu", "ssh", "vsphere")
    assert place_class("") is HerePlace
    assert place_class("local") is NodePlace
    assert place_class("ssh://root@node") is NodePlace


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("ssg://node", "there is no place of the kind 'ssg'; did you mean 'ssh'?"),
        ("ftp://ops:canary@node", "there is no place of the kind 'ftp'; there are local, qemu, ssh, vsphere"),
        ("node", "did you mean 'ssh://node'?"),
        ("here", "did you mean 'ssh://here'?"),
        ("registry", "did you mean 'ssh://registry'?"),
        ("ssh://node:0", "'0' is no port"),
        ("local:2", "names no host"),
    ],
)
def test_what_names_no_place(host: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        place_class(host)
    assert reason in str(caught.value) and "canary" not in str(caught.value)


def test_naming_one_place_imports_no_other() -> None:
    code = (
        "import sys\nfrom vmgen_build.build.places.registry import place_class\nplace_class('')\n"
        "print([m for m in sys.modules if m.startswith(('vmgen_build.build.places.nodes', 'vmgen_build.guests.node'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_place_of_others(cellar: None, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--host", "cellar://deep", "--cache", str(tmp_path / "cache")]) == 0
    assert "cellar://deep" in capsys.readouterr().out
    options = BuildOptions(cache=tmp_path, host="cellar://deep", offline=True)
    *stages, packing = dry_run(recipe, options, Bus())
    assert stages and all(stage.cached for stage in stages) and not packing.cached


def test_each_option_is_for_its_place(tmp_path: Path) -> None:
    here = BuildOptions(cache=tmp_path)
    for wrong in (
        {"build_address": "10.0.0.1"},
        {"accept_new_host_key": True},
    ):
        with pytest.raises(UsageError, match="which --host names"):
            place_at(replace(here, **wrong)).check_options()
    place_at(replace(here, on_error="shell")).check_options()
    for host in ("", "local", "ssh://node"):
        for trust in (Trust(tmp_path), Trust(thumbprint="AB"), Trust(insecure=True)):
            with pytest.raises(UsageError, match="only for a vSphere server"):
                place_at(replace(here, host=host, trust=trust)).check_options()
    vsphere = replace(here, host="vsphere://vcenter")
    place_at(replace(vsphere, trust=Trust(tmp_path, "AB"))).check_options()
    with pytest.raises(UsageError, match="--insecure does not: give one alone"):
        place_at(replace(vsphere, trust=Trust(tmp_path, insecure=True))).check_options()
    with pytest.raises(UsageError, match="only for a node"):
        place_at(replace(vsphere, accept_new_host_key=True)).check_options()
    with pytest.raises(UsageError, match="take: --on-error keep"):
        place_at(replace(here, host="local", on_error="shell")).check_options()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-b", "lxc"], "no image of lxc; take -b vmware"),
        (["-b", "vmware", "-b", "kvm"], "no image of kvm; take -b vmware"),
        (["-b", "vmware", "--map", "nat"], "write it as TYPE=NETWORK"),
        (["-b", "vmware", "--keep-as", "a/b"], "the folder is named by --folder"),
    ],
)
def test_what_no_vsphere_server_builds_is_refused_before_it_is_asked(
    words: list[str], reason: str, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(recipe.path), *words, "--host", "vsphere://root@vcenter.invalid"]
    assert main.run([*command, "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]) == 2
    assert reason in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.ini"]


def test_placements_are_for_a_vsphere_server_alone(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("--datastore", "--pool", "--folder", "--esxi", "--storage-policy")
    for words in (*([name, "x"] for name in names), ["--map", "nat=x"], ["--keep-as", "x"]):
        assert main.run(["build", str(recipe.path), *words, "--cache", str(tmp_path / "cache")]) == 2
        assert f"{words[0]}: only for a vSphere server" in capsys.readouterr().err


def test_one_name_is_for_one_machine(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.ini"
    other.write_text("[hardware]\nvm_id = other\nos = debian-12\n")
    words = ["-b", "vmware", "--host", "vsphere://root@vcenter.invalid", "--keep-as", "x"]
    assert main.run(["build", str(recipe.path), str(other), *words, "--cache", str(tmp_path / "cache")]) == 2
    assert "--keep-as x: one name for 2 machines; build one recipe at a time" in capsys.readouterr().err


def test_the_options_of_tls_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, reason in (
        (["--thumbprint", "ab" * 20], "--thumbprint: that is a SHA-1 thumbprint"),
        (["--insecure"], "only for a vSphere server"),
        (["--host", "vsphere://vcenter", "--insecure", "--thumbprint", "ab" * 32], "give one alone"),
        (["--host", "vsphere://root:canary@vcenter"], "a password does not belong there"),
    ):
        assert main.run(["doctor", *words, "--cache", str(tmp_path)]) == 2
        text = capsys.readouterr().err
        assert reason in text and "canary" not in text


def commands(place: Place, plan: Plan, look: Look) -> set[str]:
    packing = backend_named(plan.backend).formats[0].requirements
    return {requirement.command for requirement in (*packing, *place.requirements(plan, look))}


def test_this_host_is_asked_for_what_is_used_here_alone(recipe: Recipe, tmp_path: Path) -> None:
    options = BuildOptions(cache=tmp_path / "cache", offline=True)
    plan = plan_for(recipe, "openvz", options)
    here, node = place_at(options), place_at(replace(options, host="ssh://node"))
    nothing = Look(Facts())
    base = f"debian-12-x86_64-vmgen-{plan.base.id[:16]}"

    assert commands(here, plan, nothing) == {"lxc-execute", "mmdebstrap", "gpgv", "tar"}
    assert commands(node, plan, nothing) == {"mmdebstrap", "gpgv", "tar", "bash", "gzip"}
    assert commands(node, plan, Look(Facts(), frozenset({base}))) == {"tar", "bash", "gzip"}
    os_template = OsTemplate("debian-12-x86_64", "0" * 64, "debian", "bookworm", "amd64", (), 0)
    others = replace(plan, base=os_template)
    assert commands(node, others, nothing) == {"tar", "bash", "gzip"}

    layer = tmp_path / "cache/layers" / plan.base.id[:32]
    (layer / "data/fs").mkdir(parents=True)
    (layer / "synced").touch()
    assert commands(here, plan, nothing) == {"lxc-execute", "tar"}
    assert commands(node, plan, nothing) == {"tar", "bash", "gzip"}
    assert commands(place_at(replace(options, use_cache=False)), plan, nothing) >= {"mmdebstrap"}


@pytest.mark.parametrize(
    ("there", "prefers", "kind"),
    [
        (["lxc-execute", "vzctl"], (), LxcDriver),
        (["lxc-execute", "vzctl"], ("vzctl",), VzDriver),
        (["lxc-execute"], ("vzctl",), LxcDriver),
        (["vzctl"], (), VzDriver),
        (["vzctl"], ("whatever",), VzDriver),
    ],
)
def test_a_node_is_driven_by_what_it_has(
    there: list[str], prefers: tuple[str, ...], kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real shell looks for the programs, in a folder that holds these alone."""
    only_in(tmp_path, monkeypatch, there)
    drivers = drivers_on(LocalRunner(), "tag", prefers)
    assert type(drivers[0]) is kind and len(drivers) == len(there)


def test_a_node_that_has_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_in(tmp_path, monkeypatch, [])
    with pytest.raises(HostError, match="this host has neither lxc nor vzctl"):
        drivers_on(LocalRunner(), "tag", ("vzctl",))


def only_in(folder: Path, monkeypatch: pytest.MonkeyPatch, programs: list[str]) -> None:
    for name in ("env", "sh"):
        (folder / name).symlink_to(f"/bin/{name}")
    for name in programs:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("vmgen_build.host.programs.SYSTEM_FOLDERS", str(folder))
    assert os.environ["PATH"] == str(folder)
