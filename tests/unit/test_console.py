"""What docs/tools/console.py takes for the same: only figures, digests, passwords and what is left out may differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.tools.console import Command, File, Terminal, matched, parts_of

PAGE = """Save it as `lab.ini`:

```ini
[hardware]
```

```console
# first --option   # what it is for
1.5 s  done
  $ indented
$ second
```
"""


def test_the_commands_and_files_of_a_page() -> None:
    file, first, second = parts_of(PAGE)
    assert file == File("lab.ini", "[hardware]\n")
    assert isinstance(first, Command) and isinstance(second, Command)
    assert (first.line, first.shown) == ("first --option", ("1.5 s  done", "  $ indented"))
    assert PAGE[slice(*first.place)] == "1.5 s  done\n  $ indented\n"
    assert (second.line, second.shown, PAGE[slice(*second.place)]) == ("second", (), "")


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("✓ base system    44 s", "✓ base system   cached"),
        ("built in 1 min 3 s", "built in 9.5 s; 3 of 9 steps from the cache"),
        ("sha256 0123456789ab  x.ova  3 MB", "sha256 ba9876543210  x.ova  120 kB"),
        ("password: vepa-rabe-kade-dofa-neki", "password: zitu-nedu-sefa-muto-kuka"),
    ],
)
def test_figures_may_differ(shown: str, real: str) -> None:
    assert matched([shown], [real]) == [real]


def test_lines_left_out_are_counted_again() -> None:
    assert matched(["a", "(9 more lines)", "d"], ["a", "b", "c", "d"]) == ["a", "(2 more lines)", "d"]


@pytest.mark.parametrize(
    ("shown", "real"),
    [(["holds  sshd"], ["fails  sshd"]), ([], ["a"]), (["a"], []), (["a", "(1 more line)", "d"], ["a", "b"])],
)
def test_words_may_not(shown: list[str], real: list[str]) -> None:
    assert matched(shown, real) is None


def test_a_terminal_shows_what_stays_on_it_without_paths(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    terminal = Terminal(tmp_path / "home", tmp_path / "kept")
    assert terminal.run("export NAME=ana") == []
    shown = terminal.run(
        'printf "gone\\r%s \\n" "$NAME"; echo "$VMGEN_CACHE/logs $PWD/x"; tput cols; seq 60 | tail -n 1'
    )
    assert shown == ["ana", "cache/logs x", "120", "60"]
    assert len(terminal.run("seq 60")) == 60
    assert terminal.run("vmgctl --version") == ["vmgctl, version 0.1.0"]


@pytest.mark.parametrize("length", [119, 120, 121, 240])
def test_a_full_row_goes_on_below_only_where_its_line_does(tmp_path: Path, length: int) -> None:
    terminal = Terminal(tmp_path, tmp_path / "kept")
    assert terminal.run(f"printf '%{length}s\\nb\\n' | tr ' ' a") == ["a" * length, "b"]
