"""A plan is written out here, and nothing of it runs."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.verbs.model import Row


def rows() -> Iterator[Row]:
    yield Row(())
