from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.backends.machines.parts import Recipes
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipes:
    def make(hardware: str = "", rest: str = "", system: str = "debian-12-amd64") -> Recipe:
        path = tmp_path / "lab.ini"
        path.write_text(f"[hardware]\nvm_id = lab\nos = {system}\n{hardware}\n{rest}\n")
        return load(path)

    return make
