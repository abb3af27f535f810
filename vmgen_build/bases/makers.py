"""Who makes a base, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vmgen_build.bases.adopt import adopt
from vmgen_build.bases.container import copy_container
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.bases.oci.unpack import unpack_image
from vmgen_build.bases.ostemplate import OsTemplateChoice, kept
from vmgen_build.bases.supply import Making
from vmgen_build.bases.unpack import unpack, unpack_squashfs
from vmgen_build.errors import BuildError
from vmgen_build.plan.bases import (
    Base,
    Bootstrapped,
    Foreign,
    Image,
    OciImage,
    OsTemplate,
    PlacedMachine,
    Squashfs,
    Tarball,
)
from vmgen_build.store.layers import Store

Maker = Callable[[Any, Making], None]
"""Makes the root file system of a base of its kind in Making.root. Raises BuildError, StepFailed."""


def _bootstrapped(base: Bootstrapped, making: Making) -> None:
    making.supply.bootstrap(base, making)


def _tarball(base: Tarball, making: Making) -> None:
    unpack(base.file, base.sha256, making.root)


def _os_template(base: OsTemplate, making: Making) -> None:
    """As its publisher packed it: see guests.complete for the rest. It is in the cache since the plan was made."""
    archive = kept(OsTemplateChoice(sha256=base.sha256), base.os_template, making.cache)
    if archive is None:
        raise BuildError(f"OS template {base.os_template} is not in the cache any more: build again")
    unpack(archive, base.sha256, making.root)


def _squashfs(base: Squashfs, making: Making) -> None:
    unpack_squashfs(base.file, base.sha256, making.root)


def _oci(base: OciImage, making: Making) -> None:
    unpack_image(base, making.scratch, making.root)


def _foreign(base: Foreign, making: Making) -> None:
    """As its publisher made it, if it is of the right system: see guests.complete for the rest."""
    store = Store(making.cache)
    with store.downloads_in_use("bases"), store.downloads_in_use("ostemplates"):
        make_base(base.root, making)
    adopt(making.root, base)


def _image(base: Image, making: Making) -> None:
    unpack_disk(base, making.scratch, making.root)


def _machine(base: PlacedMachine, making: Making) -> None:
    copy_container(base, making.root)


MAKERS: Mapping[type, Maker] = {
    Bootstrapped: _bootstrapped,
    Foreign: _foreign,
    Tarball: _tarball,
    Squashfs: _squashfs,
    OciImage: _oci,
    Image: _image,
    OsTemplate: _os_template,
    PlacedMachine: _machine,
}


def make_base(base: Base, making: Making) -> None:
    """Raises what the maker of its kind raises."""
    MAKERS[type(base)](base, making)
