"""The table that `make consumers` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consumers.model import Try
from tests.consumers.table import BEGIN, END, HEAD, write_rows


def test_rows_of_a_program_take_the_place_of_its_older_ones(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}{HEAD}{END}after\n")
    write_rows(page, [Try("VirtualBox 7.1 (sid)", "one"), Try("Incus 6.0 (trixie)", "launch")], "2026-01-01")
    write_rows(page, [Try("VirtualBox 7.2 (sid)", "two", ("cpus: 1", "a|b"))], "2026-02-02")
    rows = "| Incus 6.0 (trixie) | launch | right | 2026-01-01 |\n"
    rows += "| VirtualBox 7.2 (sid) | two | cpus: 1; a\\|b | 2026-02-02 |\n"
    assert page.read_text() == f"before\n{BEGIN}{HEAD}{rows}{END}after\n"


def test_a_page_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END}{BEGIN}")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_rows(page, [Try("VirtualBox 7.1", "one")], "2026-01-01")
