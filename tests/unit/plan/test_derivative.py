"""A distribution of the Debian family that comes from outside the package is checked and planned as Debian is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build import plugins
from vmgen_build.backends.registry import backend_named, backend_names
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.systems import Archive, Distribution, debian

ARCHIVE = "https://deb.example.org/lernstick"
LERNSTICK = Distribution(
    name="lernstick",
    installer="apt",
    known={"7": "bookworm"},
    bases={"7": "mmdebstrap"},
    example="lernstick-7",
    relative="debian",
    relative_versions={"7": "12"},
    archives={"": (Archive(name="lernstick", uri=ARCHIVE, suites=("{codename}",)),)},
)


@pytest.fixture(autouse=True)
def lernstick() -> Iterator[None]:
    family = replace(debian.FAMILY, name="lernstick", rank=11, distributions=(LERNSTICK,))
    plugins.register("vmgen_build.families", "lernstick", family)
    yield
    plugins.unregister("vmgen_build.families", "lernstick")


def planned(folder: Path, text: str, system: str, backend: str) -> Plan:
    path = folder / "lab.ini"
    path.write_text(text.replace("os = debian-12-amd64", f"os = {system}"), encoding="utf-8")
    recipe = load(path, environ={"TEST_SECRET": "secret"})
    facts = Facts("release", 1700000000)
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None, facts.epoch), facts, None)


def texts(step: Step) -> list[str]:
    """The script and the files, but for the system's name, which a boot menu shows."""
    files = [file.content.decode() for file in step.files if file.content is not None]
    return [
        re.sub("(lernstick|debian)[- ](7|12)|(?<=GRUB_DISTRIBUTOR=)[A-Z][a-z]+", "SYSTEM", text, flags=re.IGNORECASE)
        for text in (step.script, *files)
    ]


@pytest.mark.parametrize("backend", backend_names())
def test_it_is_planned_by_the_writers_of_its_family(
    tmp_path: Path, sink_text: str, sink_files: dict[str, bytes], backend: str
) -> None:
    for name, content in sink_files.items():
        (tmp_path / name).write_bytes(content)
    own = planned(tmp_path, sink_text, "lernstick-7-amd64", backend)
    as_debian = planned(tmp_path, sink_text, "debian-12-amd64", backend)
    assert own.skipped == as_debian.skipped
    assert [step.name for step in own.steps] == [step.name for step in as_debian.steps]
    changed = [a.name for a, b in zip(own.steps, as_debian.steps, strict=True) if texts(a) != texts(b)]
    assert changed == ["generalise"]
    assert (own.base.suite, own.base.distribution, own.os) == ("bookworm", "lernstick", "lernstick-7")


def test_its_image_holds_its_own_sources(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[hardware]\nvm_id = lab\nos = debian-12-amd64\n", "lernstick-7-amd64", "lxc")
    step = next(step for step in plan.steps if step.name == "generalise")
    assert "/etc/apt/sources.list.d/lernstick.sources" in step.script
    sources = next(file for file in step.files if file.name == "sources")
    assert sources.content is not None
    assert sources.content.decode() == f"Types: deb\nURIs: {ARCHIVE}\nSuites: bookworm\nComponents: main\n"
