"""One Windows for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wine.prefix import Windows, windows
from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.render import Renderer


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    cache = Path(__file__).resolve().parents[3] / ".testcache" / "wine"
    with windows(tmp_path_factory.mktemp("wine"), cache) as made:
        yield made


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return Renderer(None, BATCH, step_folder=r"C:\Windows\Temp\vmgen")
