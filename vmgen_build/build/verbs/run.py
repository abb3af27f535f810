"""A copy is booted as verify boots it."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.verbs.model import Row, boot_needs, boots, formats


def rows() -> Iterator[Row]:
    for backend, form in formats():
        if boots(form):
            yield Row(boot_needs(backend, form), backend.name, form.name)
