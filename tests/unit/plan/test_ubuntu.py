"""Ubuntu, each release that is built: planned, rendered and linted. Nothing of it ran on the real thing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.errors import RecipeError
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan, refuse_unbuildable
from vmgen_build.recipe.load import load
from vmgen_build.systems import debian

(UBUNTU,) = (row for row in debian.FAMILY.distributions if row.name == "ubuntu")
FACTS = Facts("release", 1700000000)

PlanOf = Callable[[str, str], Plan]


@pytest.fixture
def plan_of(tmp_path: Path, sink_text: str, sink_files: dict[str, bytes]) -> PlanOf:
    """plan_of(SYSTEM, BACKEND): of kitchen-sink.ini."""
    for name, content in sink_files.items():
        (tmp_path / name).write_bytes(content)

    def planned(system: str, backend: str) -> Plan:
        path = tmp_path / "lab.ini"
        path.write_text(sink_text.replace("os = debian-12-amd64", f"os = {system}"), encoding="utf-8")
        recipe = load(path, environ={"TEST_SECRET": "secret"})
        refuse_unbuildable(recipe)
        return make_plan(recipe, backend, backend_named(backend).part(recipe, None, FACTS.epoch), FACTS, None)

    return planned


@pytest.mark.parametrize("version", UBUNTU.bases)
def test_each_release_is_rendered_and_linted(plan_of: PlanOf, tmp_path: Path, version: str) -> None:
    scripts = []
    for name, backend in ((f"ubuntu-{version}-amd64", "kvm"), (f"ubuntu-{version}-arm64", "lxc")):
        plan = plan_of(name, backend)
        assert isinstance(plan.base, Bootstrapped)
        assert (plan.base.method, plan.base.suite) == ("mmdebstrap", UBUNTU.known[version])
        probes = [probe for step in plan.steps for probe in step.probes if probe.kind == "guest"]
        for number, script in enumerate([*(step.script for step in plan.steps), *(probe.script for probe in probes)]):
            path = tmp_path / f"{name}-{number}"
            path.write_text(script)
            scripts.append(path)
    assert len(scripts) > 60
    ran = subprocess.run(["shellcheck", "-s", "sh", *scripts], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[:4000]


def test_a_machine_has_ubuntus_kernel_and_name(plan_of: PlanOf) -> None:
    plan = plan_of("ubuntu-24.04-amd64", "kvm")
    (packages,) = (step.script for step in plan.steps if step.name == "packages-machine")
    assert "linux-image-virtual" in packages and "linux-image-amd64" not in packages
    (machine,) = (step for step in plan.steps if step.name == "machine")
    texts = {file.name: (file.content or b"").decode() for file in machine.files}
    assert "GRUB_DISTRIBUTOR=Ubuntu\n" in texts["default-grub"]


def test_the_image_holds_ubuntus_own_sources(plan_of: PlanOf) -> None:
    for system, uri in (("ubuntu-22.04-amd64", "archive.ubuntu.com/ubuntu"), ("ubuntu-22.04-arm64", "ubuntu-ports")):
        (step,) = (step for step in plan_of(system, "lxc").steps if step.name == "generalise")
        text = "\n".join((step.script, *((file.content or b"").decode() for file in step.files)))
        assert uri in text and "jammy-security" in text and "debian.org" not in text


def test_what_there_is_none_of_is_refused_at_its_line(plan_of: PlanOf, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as failed:
        plan_of("ubuntu-24.04-i386", "lxc")
    (problem,) = failed.value.problems
    assert problem.path == "[hardware] os" and problem.where.line > 0
    assert "only some libraries for i386" in problem.text and "write ubuntu-24.04-amd64" in problem.text
    with pytest.raises(RecipeError, match="virtual machines of arm64 are not made"):
        plan_of("ubuntu-24.04-arm64", "vmware")
