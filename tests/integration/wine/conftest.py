"""One Windows for all tests here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wine.prefix import Windows, is_wines_fault, windows
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


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test once more where that fault of Wine's ended it."""
    names = pyfuncitem._fixtureinfo.argnames
    values = {name: pyfuncitem.funcargs[name] for name in names}
    try:
        pyfuncitem.obj(**values)
    except AssertionError as error:
        capture = pyfuncitem.config.pluginmanager.getplugin("capturemanager")
        printed = capture.read_global_capture().out if capture else ""
        if not is_wines_fault(f"{error}{printed}"):
            sys.stdout.write(printed)
            raise
        pyfuncitem.obj(**values)
    return True
