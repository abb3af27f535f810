"""Issue 8, item 12: names, namespaces, tags and attributes of a foreign OVF descriptor have limits."""

from __future__ import annotations

import tracemalloc

import pytest

from vmgen_build.artifacts.ovf.parse import parse_xml


def attributes(number: int) -> bytes:
    return b" ".join(b'p:a%d=""' % i for i in range(number))


BOMBS = [
    (b'<a xmlns="%s">%s</a>' % (b"u" * 200_000, b"<b/>" * 2500), "xml-tag"),
    (b'<a xmlns="%s">%s</a>' % (b"u" * 60_000, b"<b/>" * 4000), "xml-name"),
    (b'<a xmlns:p="%s" %s/>' % (b"u" * 20_000, attributes(2000)), "xml-name"),
    (b'<a xmlns:p="%s">%s</a>' % (b"u" * 900, b"<b %s/>" % attributes(4000) * 20), "xml-attributes"),
    (b"<%s/>" % (b"n" * 2000), "xml-name"),
    (b'<a %s=""/>' % (b"n" * 2000), "xml-name"),
    (b"<!--%s--><a/>" % (b"c" * 300_000), "xml-tag"),
]


@pytest.mark.parametrize(("data", "limit"), BOMBS, ids=range(len(BOMBS)))
def test_issue_8_12_a_long_name_is_refused(data: bytes, limit: str) -> None:
    """expat of 2024 and later waits for the whole of a long tag before it hands its names on."""
    with pytest.raises(ValueError, match=f"the limit '({limit}|xml-tag)'"):
        parse_xml(data)


def test_issue_8_12_a_name_is_kept_once() -> None:
    """2,500 elements in a namespace of 900 characters, in less than one string for each."""
    data = b'<a xmlns="%s">%s</a>' % (b"u" * 900, b"<b/>" * 2500)
    tracemalloc.start()
    try:
        root = parse_xml(data)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(root) == 2500 and root[0].tag == f"{{{'u' * 900}}}b"
    assert taken < 1_500_000


def test_issue_8_12_long_texts_are_read() -> None:
    root = parse_xml(b"<a b='%s'>%s</a>" % (b"v" * 60_000, b"text\n" * 100_000))
    assert len(root.text or "") == 500_000 and len(root.attrib["b"]) == 60_000
