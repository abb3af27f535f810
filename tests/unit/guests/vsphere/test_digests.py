"""Digests that a thread makes while pieces come in."""

from __future__ import annotations

import hashlib
import threading

import pytest

from vmgen_build.guests.vsphere.digests import WAITING, Digests


def test_they_are_those_of_all_pieces_in_their_order() -> None:
    pieces = [bytes([number]) * 1000 for number in range(WAITING * 3)]
    with Digests() as digests:
        for piece in pieces:
            digests.add(piece)
    whole = b"".join(pieces)
    assert digests.made == {"sha1": hashlib.sha1(whole).hexdigest(), "sha256": hashlib.sha256(whole).hexdigest()}


def test_no_thread_stays_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="cut"), Digests() as digests:
        digests.add(b"one")
        raise OSError("cut")
    assert threading.active_count() == before
