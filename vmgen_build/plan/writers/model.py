"""What a writer is: one way of writing one of the settings in which families of systems differ.

It is a module of plan/writers/ with a function `write`, or such an object under an entry point of the group
vmgen_build.writers. A family names its writers by setting (systems.model.Family.writers, old_writers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vmgen_build.installers import GuestFile, Source
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.network import Network
from vmgen_build.plan.text.quote import Trusted

Wanted = TypeVar("Wanted")
Taken = TypeVar("Taken", contravariant=True)


@dataclass(frozen=True)
class Output:
    """What a writer gives.

    script: lines of the guest's dialect, rendered (Renderer.fragment); they run below `set -eu`, and find `files` in
    the step's folder. packages: what must be installed before they run. probes: what the booted guest is asked.
    """

    script: Trusted
    files: tuple[StepFile, ...] = ()
    packages: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()


def own_packages(ctx: PlanContext, writer: str, language: str = "") -> tuple[str, ...]:
    """What the writer needs installed, as the system's family calls it (Family.setting_packages)."""
    known, system = ctx.family.setting_packages, ctx.system
    version = system.version.partition(".")[0]
    names = known.get(f"{writer}:{system.distribution}-{version}", known.get(writer, ()))
    return tuple(name.format(language=language) for name in names)


class Writer(Protocol[Taken]):
    def write(self, wanted: Taken, ctx: PlanContext) -> Output:
        """Pure. Raises ValueError for what this way of writing cannot carry."""


@dataclass(frozen=True)
class Setting(Generic[Wanted]):
    """key: in Family.writers. title: in a sentence. section, name: how a plan lists it where it is left out."""

    key: str
    title: str
    section: str
    name: str


@dataclass(frozen=True)
class HostName:
    """full: maybe with a domain; short: what uname(2) holds."""

    full: str
    short: str


@dataclass(frozen=True)
class Locale:
    """name: "en_US.UTF-8". asked: whether the recipe names it."""

    name: str
    asked: bool


@dataclass(frozen=True)
class CleanUp:
    """own: paths in the guest that the recipe's own files take; none of them is replaced or deleted.
    sources: the distribution's own package sources; None where they are not known, or are among `own`."""

    own: frozenset[str]
    sources: GuestFile | None


HOSTNAME = Setting[HostName]("hostname", "the host name", "config", "hostname")
MAIL_NAME = Setting[HostName]("mail_name", "the name in mail", "config", "hostname in mail")
TIMEZONE = Setting[str]("timezone", "the time zone", "config", "timezone")
LOCALE = Setting[Locale]("locale", "the locale", "config", "locale")
KEYBOARD = Setting[str]("keyboard", "the keyboard", "config", "keyboard")
NETWORK = Setting[Network]("network", "the network", "network", "interfaces and name servers")
FIREWALL = Setting[Firewall]("firewall", "the firewall", "network", "firewall")
REPOSITORIES = Setting[Source]("repositories", "a repository", "config", "repository")
CLEAN_UP = Setting[CleanUp]("cleanup", "the clean-up of the image", "config", "clean-up of the image")
