"""Issue 9, points 1 and 2: whatever is lost in the middle of a build on a node, nothing stays there, and the next build
is right. `python -m tests.node.moments` does forty of these."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.moments import Moment, Place, meet, prepared
from tests.node.node import Node


@pytest.fixture(scope="module")
def place(cache: Path, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with prepared(node, cache, tmp_path_factory.mktemp("moments")) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("create unpacks", "builder"),
        ("set", "both"),
        ("packing a template", "interrupt"),
        ("way home", "cable"),
    ],
)
def test_issue_9_nothing_stays_and_the_next_build_is_right(place: Place, name: str, loss: str) -> None:
    outcome = meet(place, Moment(1, name, loss, 0.05))
    assert outcome.met
    assert outcome.wrong == ()
