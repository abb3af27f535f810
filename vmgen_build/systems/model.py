"""What a family of guest systems is: all that the other rooms must know of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One that a recipe may name, as `os = NAME-VERSION`.

    words: further names that mean it. known: version -> code name, "" where it has none. pattern: what any other
    version looks like; such a version is accepted without a code name. example: a name to show to people.
    bases: version -> the method that makes its base, for those that this version of the tool builds.
    installer: name of a module of installers/; versions below `old` take `old_installer`.
    relative: the distribution whose entries of the catalogue it takes where it has none of its own; "" for none.
    """

    name: str
    installer: str
    words: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    pattern: str = r"(?!)"
    example: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    old: int = 0
    old_installer: str = ""
    relative: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A system that goes by one name alone ("winsrv2022"); arch: what it has when the recipe names none."""

    name: str
    version: str
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """A build of GRUB. package: what brings it; target: GRUB's own word for it; image: where its image goes; modules:
    of the firmware, that the image must hold itself."""

    package: str
    target: str
    image: str
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeMachine:
    """What makes a root of the family the one of a whole machine: packages of the kernel, the initramfs, the loader.

    packages: whatever the machine. kernels: architecture -> package. without_kernel: (version, architecture) that have
    none any more. loaders: firmware -> GRUB. file_systems: file system -> package of its tools. screen_keyboard:
    packages that a keyboard layout needs on a screen. tools: hypervisor ("vmware", "kvm") -> package of its guest's
    tools, and the units that it enables.
    """

    packages: tuple[str, ...]
    kernels: Mapping[str, str]
    without_kernel: frozenset[tuple[str, str]]
    loaders: Mapping[str, Loader]
    file_systems: Mapping[str, str]
    screen_keyboard: tuple[str, ...]
    tools: Mapping[str, tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of guest systems; a module of systems/ each, as FAMILY.

    rank: its place in lists for people. kind: "linux" or "windows". dialect: of its scripts, "sh" or "batch".
    templates: folder of its own templates. step_folder: where a running step finds its own things in the guest.
    base_packages: what makes a minimal root a machine: an init, a network, certificates to fetch with.
    writers: setting -> name of the module of plan/writers/ that sets it; the settings are those of WRITERS. A writer
    that this version does not have leaves the setting out of the plan, which says so.
    groups: those that are there without the recipe's doing. program_groups: group -> the programs or packages that
    bring it. admin_group: the one whose members may become root. shells: file name -> the package that brings it.
    up: script that ends with 0 once the system is up, and prints its state.
    machine: None where this version makes no whole machines of it.
    """

    name: str
    rank: int
    kind: str = "linux"
    distributions: tuple[Distribution, ...] = ()
    editions: tuple[Edition, ...] = ()
    dialect: str = "sh"
    templates: str = ""
    step_folder: str = "/run/vmgen"
    base_packages: tuple[str, ...] = ()
    writers: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    program_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    admin_group: str = ""
    shells: Mapping[str, str] = field(default_factory=dict)
    up: str = ""
    machine: WholeMachine | None = None


WRITERS = ("hostname", "timezone", "locale", "keyboard", "network", "firewall", "repositories", "cleanup")
"""The settings that families set each in a way of their own."""

SYSTEMD_UP = """\
state=$(systemctl is-system-running) || :
failed=$(systemctl list-units --state=failed --no-legend --plain --no-pager | cut -d' ' -f1 | tr '\\n' ' ')
echo "$state${failed:+, but these units failed: $failed}"
[ "$state" = running ] || [ "$state" = degraded ]
"""
"""A degraded system counts as up: units that need a machine's hardware fail in containers; services that the recipe
asks for have probes of their own."""


@dataclass(frozen=True, slots=True)
class System:
    """An operating system, as `os = debian-12-amd64` names it.

    name: "debian-12". distribution "debian", version "12", codename "bookworm" ("" where unknown).
    arch: in Debian's words, "amd64". installer: "apt", "dnf", ..., "windows". base: the method that makes its base
    ("mmdebstrap"), or "" where this version of the tool has none: such a recipe can be checked, not built.
    """

    name: str
    distribution: str
    version: str
    codename: str
    arch: str
    installer: str
    family: Family = field(compare=False, repr=False)
    base: str = ""

    @property
    def kind(self) -> str:
        """ "linux" or "windows"."""
        return self.family.kind
