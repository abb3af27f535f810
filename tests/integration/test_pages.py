"""The README and the tutorial: their commands are run again on a terminal, and show what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.tools.console import ROOT, Command, File, Terminal, matched, parts_of

COSTLY = re.compile(r"-b vmware|lab\.ova")
"""A kernel is installed for it; tests/integration/test_ova.py builds one."""


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_commands_show_what_the_page_says(page: str, cache: Path, tmp_path: Path) -> None:
    parts = parts_of((ROOT / page).read_text())
    terminal = Terminal(tmp_path, cache)
    wrong = {}
    for part in parts:
        if isinstance(part, File):
            (tmp_path / part.name).write_text(part.text)
        elif not (part.line.startswith("vmgen-build") and COSTLY.search(part.line)):
            real = terminal.run(part.line)
            if matched(part.shown, real) is None:
                wrong[part.line] = real
    assert wrong == {}
    assert sum(isinstance(part, Command) for part in parts) > 5
