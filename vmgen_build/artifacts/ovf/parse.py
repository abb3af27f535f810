"""XML of others to elements: UTF-8 alone, without a document type, and so without entities (XML 1.0, 2.8 and 4.3.3)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

from vmgen_build.limits import XML_ATTRIBUTES, XML_DEPTH, XML_ELEMENTS, XML_NAME, XML_TAG

_PIECE = 1024
"""Bytes that the parser gets at once: it works on to the end of them after a handler has refused something."""


def parse_xml(data: bytes) -> ET.Element:
    """The root element; names are "{namespace}name". Raises ValueError.

    The parser is given the encoding: it asks neither the declaration nor a first look at the bytes, by which UTF-16
    text could pass for something else.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ValueError("the descriptor is not UTF-8 text") from error
    if b"\0" in data:
        raise ValueError("the descriptor is not UTF-8 text: it holds a NUL byte")
    building = _Building()
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _doctype
    parser.StartNamespaceDeclHandler = building.namespace
    parser.StartElementHandler = building.start
    parser.EndElementHandler = building.end
    parser.CharacterDataHandler = building.tree.data
    try:
        _feed(parser, data)
    except expat.ExpatError as error:
        raise ValueError(f"the descriptor is not well-formed XML: {error}") from error
    return building.tree.close()


def _feed(parser: expat.XMLParserType, data: bytes) -> None:
    """Piece by piece: expat(3) itself writes the whole namespace before each name of a tag, and knows no limit."""
    for at in range(0, len(data), _PIECE):
        parser.Parse(data[at : at + _PIECE], False)
        if at - parser.CurrentByteIndex > XML_TAG.amount:
            raise ValueError(f"the descriptor has too long a tag or comment: {XML_TAG.exceeded}")
    parser.Parse(b"", True)


def _doctype(*_: object) -> NoReturn:
    raise ValueError("the descriptor declares a document type, which no OVF descriptor has; it is not read")


class _Building:
    """Each name is kept once: a namespace may be long, and its names many."""

    def __init__(self) -> None:
        self.tree = ET.TreeBuilder()
        self._depth = self._count = self._attributes = 0
        self._names: dict[str, str] = {}

    def namespace(self, _prefix: str | None, uri: str | None) -> None:
        if len(uri or "") > XML_NAME.amount:
            raise _too_long(uri or "")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth, self._count = self._depth + 1, self._count + 1
        self._attributes += len(attributes)
        if self._depth > XML_DEPTH.amount:
            raise ValueError(f"the descriptor's elements are nested too deep: {XML_DEPTH.exceeded}")
        if self._count > XML_ELEMENTS.amount:
            raise ValueError(f"the descriptor has too many elements: {XML_ELEMENTS.exceeded}")
        if self._attributes > XML_ATTRIBUTES.amount:
            raise ValueError(f"the descriptor has too many attributes: {XML_ATTRIBUTES.exceeded}")
        self.tree.start(self._qualified(name), {self._qualified(key): value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(self._qualified(name))

    def _qualified(self, name: str) -> str:
        if name not in self._names:
            if len(name) > XML_NAME.amount:
                raise _too_long(name)
            self._names[name] = f"{{{name}" if "}" in name else name
        return self._names[name]


def _too_long(name: str) -> ValueError:
    return ValueError(f"the descriptor has too long a name, {name[:20]}...: {XML_NAME.exceeded}")
