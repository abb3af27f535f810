"""XML of others to elements: UTF-8 alone, without a document type, and so without entities (XML 1.0, 2.8 and 4.3.3)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

from vmgen_build.limits import XML_DEPTH, XML_ELEMENTS


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
    parser.StartElementHandler = building.start
    parser.EndElementHandler = building.end
    parser.CharacterDataHandler = building.tree.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"the descriptor is not well-formed XML: {error}") from error
    return building.tree.close()


def _doctype(*_: object) -> NoReturn:
    raise ValueError("the descriptor declares a document type, which no OVF descriptor has; it is not read")


class _Building:
    def __init__(self) -> None:
        self.tree = ET.TreeBuilder()
        self._depth = self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > XML_DEPTH.amount:
            raise ValueError(f"the descriptor's elements are nested too deep: {XML_DEPTH.exceeded}")
        if self._count > XML_ELEMENTS.amount:
            raise ValueError(f"the descriptor has too many elements: {XML_ELEMENTS.exceeded}")
        self.tree.start(_qualified(name), {_qualified(key): value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(_qualified(name))


def _qualified(name: str) -> str:
    return f"{{{name}" if "}" in name else name
