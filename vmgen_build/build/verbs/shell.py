"""A container is booted and entered; nobody enters a whole machine without a login. A recipe's steps are entered where
they are made."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.verbs.model import Row, boot_needs, boots, formats


def rows() -> Iterator[Row]:
    for backend, form in formats():
        if boots(form) and not backend.whole_machines:
            yield Row(boot_needs(backend, form), backend.name, form.name)
