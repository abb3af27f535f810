"""Bases on their way to a node that lacks them."""

from __future__ import annotations

from tempfile import TemporaryFile

from vmgen_build.bases.ostemplate import SUFFIXES, fetch
from vmgen_build.build.choice import os_template_choice
from vmgen_build.build.job import Build
from vmgen_build.errors import BuildError
from vmgen_build.guests.node.driver import PACK, Driver
from vmgen_build.host.run import PIPE, start
from vmgen_build.plan.bases import Base, OsTemplate

_PACKED = f'set -euo pipefail\n{PACK}pack "$1" | gzip -1'


def push(build: Build, base: Base, driver: Driver, name: str) -> None:
    """Put the base into the node's cache of OS templates under this name. Raises BuildError."""
    if name in driver.os_templates():
        return
    if isinstance(base, OsTemplate):
        _push_ostemplate(build, driver, name)
    else:
        _push_layer(build, base, driver, name)


def _push_ostemplate(build: Build, driver: Driver, name: str) -> None:
    options = build.options
    with options.store().downloads_in_use("ostemplates"):
        choice = os_template_choice(build.recipe, options)
        path = fetch(choice, name, options.cache, build.bus.emit, offline=options.offline)
        suffix = next(s for s in SUFFIXES if path.name.endswith(s))
        with path.open("rb") as file:
            driver.put_os_template(name, file, suffix)


def _push_layer(build: Build, base: Base, driver: Driver, name: str) -> None:
    store = build.options.store()
    with store.in_use([base.id]):
        words = ["bash", "-c", _PACKED, "bash", str(store.tree(base.id))]
        with TemporaryFile() as errors:
            with start(words, stdout=PIPE, stderr=errors) as tar:
                assert tar.stdout is not None
                driver.put_os_template(name, tar.stdout)  # type: ignore[arg-type]
            if tar.returncode != 0:
                errors.seek(0)
                reason = errors.read().decode(errors="replace").strip() or f"tar ended with {tar.returncode}"
                raise BuildError(f"cannot pack the base system: {reason}")
