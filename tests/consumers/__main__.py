"""`python -m tests.consumers [NAME ...] [--write PAGE]`: each program that takes our files is given them. Root.

A module of this package that has a function `tries` is a consumer: model.Consumer.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.consumers.chroot import Refused
from tests.consumers.model import Images, Try
from tests.consumers.table import HEAD, row, write_rows

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = ("__main__", "chroot", "model", "table")
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in PARTS)


def main() -> int:
    words = _words()
    if os.geteuid() != 0:
        raise SystemExit("chroots need root: sudo make consumers")
    images = Images(words.folder)
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    done: list[Try] = []
    for name in words.names:
        for one in _tries(name, images):
            done.append(one)
            print(row(one, day), end="", flush=True)
    print(f"\n{HEAD}{''.join(row(one, day) for one in done)}")
    if words.write:
        write_rows(words.write, done, day)
    return int(any(one.wrong for one in done))


def _tries(name: str, images: Images) -> Iterator[Try]:
    """What ends a consumer before its time is a row of its own."""
    try:
        yield from importlib.import_module(f"tests.consumers.{name}").tries(images)
    except (Refused, OSError) as error:
        yield Try(name, "all that was to follow", (str(error),))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make consumers")
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES, help=f"of {', '.join(NAMES)}; or all")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the rows into the table of this page")
    cache = ROOT / (os.environ.get("VMGEN_TEST_CACHE") or ".testcache/consumers")
    parser.add_argument("--folder", type=Path, default=cache, help="chroots and layers that stay for the next time")
    words = parser.parse_args()
    if unknown := set(words.names) - set(NAMES):
        parser.error(f"no consumer is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return words


sys.exit(main())
