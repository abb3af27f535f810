"""What benchmarks of the tests' stand-in for a vSphere server share: their options, and a folder to work in."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.vsphere.simulator import built


def with_places(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--work", type=Path, help="a folder with room; a temporary one by default")
    parser.add_argument("--cache", type=Path, default=Path(".testcache/bench"), help="keeps the simulator")
    return parser


@contextmanager
def working(given: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """The simulator's program, and a folder that is gone afterwards. given: of a parser with_places."""
    given.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        yield built(given.cache.absolute()), Path(folder)
