"""openvz: the bundle's OS template in the node's cache, and a container made of it. What its configuration says is set
by vzctl, value by value; the bundle's own scripts are not taken over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from vmgen_build.artifacts.openvz.bundle import SUMS, Bundle, read_bundle
from vmgen_build.artifacts.openvz.config import PAGE, parse_netif
from vmgen_build.build.targets.model import Action, Install, Run, Site, Target, Wish, refuse_taken
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.text import clean

CACHE = "/vz/template/cache"
FIRST = 101
"""Numbers up to 100 are OpenVZ's own."""

TAKE_OUT = 'umask 077; tar -xOf - "$1" >"$2.vmgen-part"; mv -f -- "$2.vmgen-part" "$2"'
"""sh: the OS template out of a bundle on standard input, into a file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}")
_PATH = re.compile(r"/[A-Za-z0-9_./-]{1,200}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/_-]{0,80}")
_PAIR = re.compile(r"\d{1,15}:(\d{1,15})")


class OpenvzTarget(Target):
    name: ClassVar[str] = "openvz"
    title: ClassVar[str] = "OpenVZ"
    programs: ClassVar[tuple[str, ...]] = ("vzctl",)
    takes: ClassVar[Mapping[tuple[str, str], str]] = {("openvz", "tar"): "bundle"}

    def install(self, wish: Wish, site: Site) -> Install:
        bundle = read_bundle(wish.image.path)
        if not _NAME.fullmatch(bundle.os_template):
            raise BuildError(f"{wish.image.path}: its OS template has a name that none has; build the bundle anew")
        number = _number(wish, site)
        cache = site.says(CACHE, "sh", "-c", '. /etc/vz/vz.conf && echo "${TEMPLATE:-/vz/template}/cache"')
        if not _PATH.fullmatch(cache):
            raise BuildError(f"the node's vz.conf names a folder of OS templates that is none: {clean(cache)}")
        file = f"{cache}/{bundle.os_template}"
        there = _is_there(bundle, site, file)
        template = bundle.os_template.removesuffix(".tar.gz")
        try:
            settings = list(_settings(bundle.conf, wish))
        except ValueError as error:
            raise BuildError(f"{wish.image.path}: its configuration is unusable: {error}; build it anew") from error
        put = ("sh", "-euc", TAKE_OUT, "sh", bundle.os_template, file)
        undo = ("rm", "-f", "--", file, f"{file}.vmgen-part")
        actions: list[Action] = [] if there else [Run(put, wish.image.path, undo=undo)]
        create = ("vzctl", "create", number, "--ostemplate", template)
        actions.append(Run(create, undo=("vzctl", "destroy", number)))
        actions += [Run(("vzctl", "set", number, *words, "--save")) for words in settings]
        return Install(tuple(actions), ("vzctl", "start", number), f"vzctl enter {number}", ())


def _is_there(bundle: Bundle, site: Site, file: str) -> bool:
    """Whether the cache has this very OS template: another container of the image was made of it. Raises UsageError for
    another one of its name."""
    if not site.holds(file):
        return False
    digest = site.says("", "sha256sum", "--", file).partition(" ")[0]
    if f"{digest}  {bundle.os_template}" in bundle.texts[SUMS].splitlines():
        return True
    raise UsageError(f"there is another OS template {file} already; remove it first")


def _number(wish: Wish, site: Site) -> str:
    """The container's: its name where that is one, else the first that is free."""
    if wish.name.isdigit():
        if int(wish.name) < FIRST:
            raise UsageError(f"--name {wish.name}: OpenVZ numbers its containers from {FIRST} on")
        if site.ask("vzlist", "-a", "-H", wish.name).code == 0:
            raise refuse_taken("a container", wish)
        return wish.name
    if wish.name in site.ask("vzlist", "-a", "-H", "-o", "name").out.split():
        raise refuse_taken("a container", wish)
    taken = {int(word) for word in site.ask("vzlist", "-a", "-H", "-o", "ctid").out.split() if word.isdigit()}
    return str(next(number for number in range(FIRST, FIRST + len(taken) + 1) if number not in taken))


def _settings(conf: Mapping[str, str], wish: Wish) -> Iterator[tuple[str, ...]]:
    """Options of vzctl(8) set. Raises ValueError."""
    yield "--onboot", "yes"
    if not wish.name.isdigit():
        yield "--name", wish.name
    if "HOSTNAME" in conf:
        yield "--hostname", _word(conf["HOSTNAME"])
    for key, option in (("PHYSPAGES", "--ram"), ("SWAPPAGES", "--swap")):
        if match := _PAIR.fullmatch(conf.get(key, "")):
            yield option, str(int(match[1]) * PAGE)
    if "CPUS" in conf:
        yield "--cpus", str(int(conf["CPUS"]))
    for key, option in (("DISKSPACE", "--diskspace"), ("DISKINODES", "--diskinodes")):
        if _PAIR.fullmatch(conf.get(key, "")):
            yield option, conf[key]
    for address in conf.get("IP_ADDRESS", "").split():
        yield "--ipadd", _word(address.partition("/")[0])
    for server in conf.get("NAMESERVER", "").split():
        yield "--nameserver", _word(server)
    for device in parse_netif(conf.get("NETIF", "")):
        words = (device.name, device.mac, "", "", device.bridge)
        yield "--netif_add", ",".join(word and _word(word) for word in words)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"'{clean(text)}' is no value of a container's configuration")
    return text


TARGET = OpenvzTarget()
