"""An image of each format, in each place. What is elsewhere needs something of that host, too: --host looks there."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.places.registry import place_classes
from vmgen_build.build.verbs.model import HERE, Row, formats
from vmgen_build.host.needs import programs


def rows() -> Iterator[Row]:
    for name, place in place_classes().items():
        for backend, form in formats():
            needs = place.needs(backend, form)
            if needs is not None:
                packing = programs(*form.requirements)
                yield Row((*needs, *packing), backend.name, form.name, name, extra=name != HERE)
