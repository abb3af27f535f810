"""Recipes as text, and the plans that they become."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Part, Plan, Probe, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

Planner = Callable[..., Plan]

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
SINK = Path(__file__).with_name("kitchen-sink.ini").read_text(encoding="utf-8")
SINK_FILES = {
    "motd": b"welcome\n",
    "own.asc": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n",
    "tool.py": b"#!/usr/bin/env python3\nprint(1)\n",
}
PART = Part(
    steps=(Step(name="kernel", title="kernel", script="#!/bin/sh\nset -eu\n"),),
    build_recipe={"config": "lxc.uts.name = lab\n"},
    probes=(Probe("memory", "[hardware] ram", "#!/bin/sh\nset -eu\n"),),
)


@pytest.fixture
def planned(tmp_path: Path) -> Planner:
    """planned(TEXT, head=..., sets=[...], facts=..., files={name: bytes}) -> Plan."""

    def plan(
        text: str = "",
        head: str = HEAD,
        sets: tuple[str, ...] = (),
        facts: Facts | None = None,
        files: dict[str, bytes] | None = None,
        part: Part = PART,
    ) -> Plan:
        for name, content in (files or {}).items():
            (tmp_path / name).write_bytes(content)
        path = tmp_path / "lab.ini"
        path.write_text(head + text, encoding="utf-8", newline="")
        return make_plan(load(path, sets), "lxc", part, facts or Facts("release", 1700000000), None)

    return plan


@pytest.fixture
def sink(planned: Planner) -> Plan:
    """The plan of kitchen-sink.ini."""
    return planned(SINK, head="", files=SINK_FILES)


@pytest.fixture
def sink_text() -> str:
    return SINK


@pytest.fixture
def sink_files() -> dict[str, bytes]:
    return SINK_FILES
