from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from vmgen_build.host.socketlines import SocketLines


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon() -> float:
    return time.monotonic() + 5


def test_lines_come_one_by_one_however_they_are_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    lines = SocketLines(ours, 100)
    for piece in (b"a\nb", b"c\r\n\n", b"d\n"):
        theirs.sendall(piece)
    assert [lines.next(soon()) for _ in range(4)] == [b"a", b"bc\r", b"", b"d"]


def test_half_a_line_stays_for_later(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    lines = SocketLines(ours, 100)
    theirs.sendall(b"ha")
    with pytest.raises(TimeoutError):
        lines.next(time.monotonic() + 0.05)
    theirs.sendall(b"lf\n")
    assert lines.next(soon()) == b"half"


def test_what_is_over_is_no_line(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"cut")
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        SocketLines(ours, 100).next(soon())


def test_a_line_without_end_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 200)
    with pytest.raises(ValueError, match="too long"):
        SocketLines(ours, 100).next(soon())
