"""incus: an image of Incus or LXD, and an instance of it with the recipe's own limits."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import ClassVar

from vmgen_build.build.targets.model import Action, Install, Put, Run, Site, Target, Wish, refuse_taken
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import TREE_FILE

_OPTION = re.compile(r' *(limits\.cpu|limits\.memory|security\.secureboot): "([A-Za-z0-9.]{1,32})"')
"""What is taken over of the configuration that lies beside an image."""


class IncusTarget(Target):
    name: ClassVar[str] = "incus"
    title: ClassVar[str] = "Incus"
    programs: ClassVar[tuple[str, ...]] = ("incus", "lxc")
    """The second is LXD's."""
    package: ClassVar[str] = "incus"
    takes: ClassVar[Mapping[tuple[str, str], str]] = {("lxc", "lxd"): "", ("kvm", "incus-vm"): "--vm"}
    """What its kind of instance is asked for by."""
    needs_root: ClassVar[bool] = False

    def install(self, wish: Wish, site: Site) -> Install:
        client = self.program(site)
        site.require("its daemon does not answer", client, "list", "--format", "csv")
        if site.ask(client, "config", "show", wish.name).code == 0:
            raise refuse_taken("an instance", wish)
        fingerprint = wish.image.sha256
        actions: list[Action] = []
        if site.ask(client, "image", "show", fingerprint).code != 0:
            if site.ask(client, "image", "show", wish.name).code == 0:
                raise refuse_taken("an image", wish)
            actions += _imported(wish, site, client)
        kind = self.takes[wish.image.backend.name, wish.image.format.name]
        words = ("init", "-q", fingerprint, wish.name, *([kind] if kind else []))
        actions.append(Run((client, *words), _options(wish), undo=(client, "delete", "--force", wish.name)))
        enter = f"{client} console {wish.name}" if kind else f"{client} exec {wish.name} -- bash"
        return Install(tuple(actions), (client, "start", wish.name), enter)


def _imported(wish: Wish, site: Site, client: str) -> Iterator[Action]:
    """An image is known by the digest of its file, and there once for all instances."""
    path = str(wish.image.path)
    if not site.local:
        path = f"/var/tmp/vmgen-{secrets.token_hex(8)}-{wish.image.path.name}"  # noqa: S108
        yield Put(wish.image.path, path)
    undo = (client, "image", "delete", wish.image.sha256)
    yield Run((client, "image", "import", path, "--alias", wish.name), undo=undo)
    if not site.local:
        yield Run(("rm", "-f", "--", path))


def _options(wish: Wish) -> str:
    """The instance's configuration as YAML; "" for none."""
    beside = [path for path in wish.image.files if path.suffix == ".yaml"]
    text = read_regular(beside[0], TREE_FILE).decode(errors="replace") if beside else ""
    found = [match for match in map(_OPTION.fullmatch, text.splitlines()) if match]
    return "config:\n" + "".join(f'  {match[1]}: "{match[2]}"\n' for match in found) if found else ""


TARGET = IncusTarget()
