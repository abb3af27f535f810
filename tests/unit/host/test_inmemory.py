"""Files in memory, for programs that take names alone."""

from __future__ import annotations

import re
from pathlib import Path

from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.run import run

SOURCES = Path(__file__).parents[3] / "vmgen_build"


def test_a_program_reads_it_by_name() -> None:
    with in_memory(b"some data") as file:
        assert run(["cat", name_of(file)], fds=[file.fileno()]).out == b"some data"
        assert run(["cat", name_of(file)]).code != 0


def test_nothing_is_put_where_a_killed_build_would_leave_it() -> None:
    """Temporary folders and files lie in folders that are given up with their builds, never in $TMPDIR; but for the
    traceback of a bug, which is to stay, and a database that `inspect` asks: SQLite takes it by its name, with its
    log."""
    maker = re.compile(r"(?:TemporaryDirectory|mkdtemp|TemporaryFile|mkstemp)\((?![^)]*dir=)[^)]*\)")
    found = {
        str(path.relative_to(SOURCES)): maker.findall(path.read_text())
        for path in SOURCES.rglob("*.py")
        if path.name not in ("crash.py", "packagelists.py") and maker.search(path.read_text())
    }
    assert {name: made for name, made in found.items() if any(m != "TemporaryFile()" for m in made)} == {}
