"""A copy is booted. A format that boots nowhere is looked at as a file alone, which needs nothing."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.verbs.model import Row, boot_needs, boots, formats


def rows() -> Iterator[Row]:
    for backend, form in formats():
        yield Row(boot_needs(backend, form) if boots(form) else (), backend.name, form.name)
