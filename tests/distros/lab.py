"""The recipe that is built on every test distribution, and the same made wrong."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.distros.content import GREETER_PORT
from tests.distros.family import Distribution
from tests.distros.keys import signing_keys
from tests.distros.repositories import repositories
from tests.distros.roots import tarball_of
from tests.distros.server import Mirror

MACHINE = """\
[hardware]
    vm_id = {name}
    os = {system}
    base = {base}
    base_sha256 = {sha256}
"""

ADAPTERS = """\
    [[eths]]
        [[[eth0]]]
            hw_addr = 02:16:3e:00:00:10
            type = nat
"""

REST = f"""\
[network]
    gateway = 192.168.77.254
    [[nameservers]]
        nameserver0 = 192.168.77.254
    [[eths]]
        [[[eth0]]]
            type = static
            address = 192.168.77.2, fd00:77::2
            network = 255.255.255.0, 64
    [[open_ports]]
        [[[ssh]]]
            proto = tcp
            port = 22
        [[[greeter]]]
            proto = tcp
            port = {GREETER_PORT}
[users]
    [[groups]]
        [[[scholars]]]
            name = scholars
    [[users]]
        [[[caesar]]]
            name = {{user}}
            passwd = alesia
            group = scholars
            groups = wheel
            sudo = yes
[devel]
    vim = 1
    git = 1
[services]
    sshd = 1
    nginx = 1
"""

CONFIG = """\
[config]
    hostname = lab.example.org
    root_passwd = student
    timezone = Europe/Bucharest
    locale = ro_RO.UTF-8
    keyboard = ro
    mirror = {mirror}
    packages = {group}, {pinned}, elsewhere, ./{local}
    packages_remove = less
    [[repos]]
        [[[other]]]
            url = {other}
            key = stranger.asc
            fingerprint = {fingerprint}
    [[scripts]]
        [[[greeter]]]
            run = systemctl enable greeter
"""

PLAIN = """\
[config]
    mirror = {mirror}
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """One distribution and its mirror. folder: where recipes are written."""

    distribution: Distribution
    cache: Path
    mirror: Mirror
    folder: Path

    @property
    def url(self) -> str:
        return f"{self.mirror.url}/{self.distribution.name}"

    @property
    def other(self) -> str:
        """The stranger's repository, which pacman wants to be called "other"."""
        return f"{self.url}/all/other"

    def whole(self, *, name: str = "", user: str = "caesar", machine: str = ADAPTERS) -> Path:
        """A recipe that asks for something of each kind. machine: lines of [hardware]."""
        keys = signing_keys(self.cache)
        shutil.copy(keys["stranger"].public, self.folder / "stranger.asc")
        (local,) = (repositories(self.cache, self.distribution) / "local").iterdir()
        shutil.copy(local, self.folder)
        config = CONFIG.format(
            mirror=self.url,
            other=self.other,
            group=self.distribution.asked_group,
            pinned="greeter" if self.distribution.format == "pacman" else "greeter=1.0",
            local=local.name,
            fingerprint=keys["stranger"].fingerprint,
        )
        text = self._machine(name or f"{self.distribution.name}-lab") + machine + config + REST.format(user=user)
        return self._write(name or f"{self.distribution.name}-lab", text)

    def plain(self, config: str, *, mirror: str = "", name: str = "small", machine: str = "") -> Path:
        """A recipe of nothing but lines of [config]. machine: lines of [hardware]."""
        return self._write(name, self._machine(name) + machine + PLAIN.format(mirror=mirror or self.url) + config)

    def _machine(self, name: str) -> str:
        base, sha256 = tarball_of(self.cache, self.distribution)
        return MACHINE.format(name=name, system=self.distribution.system, base=base, sha256=sha256)

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.ini"
        path.write_text(text)
        return path
