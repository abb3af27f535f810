"""What a family of guest systems is: all that the other rooms must know of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A package archive of a distribution.

    name: what a mirror of it is found by. suites: those that a fresh installation takes; in the table of a distribution
    "{codename}" stands for the version's own. keyring: path in the guest of the keys that sign it; "" for those that
    the package manager trusts anyway.
    """

    name: str
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    keyring: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One that a recipe may name, as `os = NAME-VERSION`.

    name: lower-case letters alone. words: further names that mean it. fillers: words that may stand between name and
    version ("leap"). rolling: the version that is meant where a recipe names none; "" where it must name one.
    known: version -> code name, "" where it has none. pattern: what any other version looks like; such a version is
    accepted without a code name. example: a name to show to people.
    bases: version -> the method that makes its base, for those that this version of the tool builds.
    installer: name of a module of installers/; versions below `old` take `old_installer`.
    relative: the distribution whose entries of the catalogue it takes where it has none of its own; "" for none.
    relative_versions: version -> the relative's version that it is made from, where one is known.
    archives: version -> its package archives; "" for the versions that are not named.
    """

    name: str
    installer: str
    words: tuple[str, ...] = ()
    fillers: tuple[str, ...] = ()
    rolling: str = ""
    known: Mapping[str, str] = field(default_factory=dict)
    pattern: str = r"(?!)"
    example: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    old: int = 0
    old_installer: str = ""
    relative: str = ""
    relative_versions: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, tuple[Archive, ...]] = field(default_factory=dict)


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
    tools, and the units that it enables. kernel_files: files that the family's template kernel.sh puts in place, name
    -> text; boot_files: those of its template machine.sh, in which "{consoles}" stands for the kernel's arguments for
    its consoles, and "{checked}" for the file systems that are checked before they are mounted. initramfs_inputs: files
    and folders (with a / at the end) that an initramfs is made from. before_network: units that bring networks up.
    """

    packages: tuple[str, ...]
    kernels: Mapping[str, str]
    without_kernel: frozenset[tuple[str, str]]
    loaders: Mapping[str, Loader]
    file_systems: Mapping[str, str]
    screen_keyboard: tuple[str, ...]
    tools: Mapping[str, tuple[str, tuple[str, ...]]]
    kernel_files: Mapping[str, str]
    boot_files: Mapping[str, str]
    initramfs_inputs: tuple[str, ...]
    before_network: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageNames:
    """What names of packages look like. pattern: of a whole name; what: "a Debian package's name"; write: what a name
    is made of, for the message about one that is not."""

    pattern: str
    what: str
    write: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of guest systems; a module of systems/ each, as FAMILY.

    rank: its place in lists for people. kind: "linux" or "windows". dialect: of its scripts, "sh" or "batch".
    templates: folder of its own templates. step_folder: where a running step finds its own things in the guest.
    base_packages: what makes a minimal root a machine: an init, a network, certificates to fetch with.
    node_packages: program that makes a node's containers ("vzctl") -> packages that its scripts need in each of them.
    writers: setting -> name of the module of plan/writers/ that sets it; the settings are those of WRITERS. A writer
    that this version does not have leaves the setting out of the plan, which says so.
    groups: those that are there without the recipe's doing. program_groups: group -> the programs or packages that
    bring it. admin_group: the one whose members may become root. base_shells: file names of the shells that are there
    without the recipe's doing; shells: file name -> the package that brings it, which a user's shell installs.
    package_names: None where any name may be one. several_gateways: whether a machine may have several default gateways
    of one version of IP.
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
    node_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writers: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    program_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    admin_group: str = ""
    base_shells: frozenset[str] = frozenset()
    shells: Mapping[str, str] = field(default_factory=dict)
    package_names: PackageNames | None = None
    several_gateways: bool = False
    up: str = ""
    machine: WholeMachine | None = None


WRITERS = (
    *("hostname", "mail_name", "timezone", "locale", "keyboard"),
    *("network", "firewall", "repositories", "cleanup"),
)
"""The settings that families set each in a way of their own. mail_name: only where mail servers keep a name of their
own; a family that names no writer of it has nothing to set."""

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
    relative, relative_version: as in Distribution; "" for none. archives: the distribution's own, with the suites of
    this version; the first is the main one, which [config] mirror stands for. Empty where they are not known.
    """

    name: str
    distribution: str
    version: str
    codename: str
    arch: str
    installer: str
    family: Family = field(compare=False, repr=False)
    base: str = ""
    relative: str = ""
    relative_version: str = ""
    archives: tuple[Archive, ...] = field(default=(), compare=False, repr=False)

    @property
    def kind(self) -> str:
        """ "linux" or "windows"."""
        return self.family.kind
