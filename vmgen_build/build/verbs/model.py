"""What a command does with what, and what that needs of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.backends.registry import all_backends, formats_of
from vmgen_build.guests.qemu.needs import MACHINE_HOST
from vmgen_build.host.needs import NAMESPACES, ROOT, ControlGroups, ManyUsers, Need, UserNamespaces, programs

HERE = "here"

CONTAINER_HOST: tuple[Need, ...] = (ManyUsers(), ControlGroups(), UserNamespaces())
"""What booting a container needs of a host beyond programs."""


@dataclass(frozen=True, slots=True)
class Row:
    """thing: a format of the backend; without a backend what else the command works with: a target, a program.

    place: where it is done. extra: it is for those who ask for it by name: what it lacks is no fault of the host's.
    """

    needs: tuple[Need, ...]
    backend: str = ""
    thing: str = ""
    place: str = HERE
    extra: bool = False


Rows = Callable[[], Iterator[Row]]
"""ROWS of each module of this package."""


def formats() -> Iterator[tuple[Backend, Format]]:
    for backend in all_backends().values():
        for form in formats_of(backend):
            yield backend, form


def boots(form: Format) -> bool:
    return type(form).boot is not Format.boot


def boot_needs(backend: Backend, form: Format) -> tuple[Need, ...]:
    """Of whoever boots an image of it."""
    host = MACHINE_HOST if backend.whole_machines else CONTAINER_HOST
    return (ROOT, NAMESPACES, *host, *programs(*form.boot_requirements))
