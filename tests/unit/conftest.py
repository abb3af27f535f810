"""What unit tests of several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

Make = Callable[[str], Machine]


@pytest.fixture
def machine(tmp_path: Path) -> Make:
    """The machine of a recipe with these lines in [hardware]."""

    def make(hardware: str = "") -> Machine:
        path = tmp_path / "lab.ini"
        path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-amd64\n{hardware}")
        return machine_of(load(path))

    return make
