"""What a family of guest systems is: all that the other rooms must know of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEP_FOLDER = "/run/vmgen"
"""Of Linux guests: where a running step finds its own things."""

HOME = "/var/lib/vmgen-build"
"""Of Linux guests that this host's folders are not mounted in: package indexes and packages, which last for a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A package archive of a distribution.

    name: what a mirror of it is found by. suites: those that a fresh installation takes; of archives that are no apt's,
    paths of repositories below uri. keyring: path in the guest of the keys that sign it; "" for those that the package
    manager trusts anyway. host_keys: files of a host that may hold them, beside one of the keyring's path.
    In the table of a distribution, "{codename}", "{version}", "{major}" (its part before the first dot) and "{arch}"
    (in the family's words) stand for the system's own in suites, keyring and host_keys.
    """

    name: str
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    keyring: str = ""
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was seen to work, and how.

    versions, arches: of the distribution that holds it. how: "real" (built from the distribution's own packages, booted
    and verified), "emulated" (the same, its programs run by qemu-user), "look-alike" (a root that the tests make to
    look like it, with the true package manager), or "rendered" (its scripts were rendered and linted, and never run).
    when: year and month.
    """

    versions: tuple[str, ...]
    arches: tuple[str, ...]
    how: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One that a recipe may name, as `os = NAME-VERSION`.

    name: lower-case letters alone. words: further names that mean it. fillers: words that may stand between name and
    version ("leap"). rolling: the version that is meant where a recipe names none; "" where it must name one.
    known: version -> code name, "" where it has none. pattern: what any other version looks like; such a version is
    accepted without a code name. example: a name to show to people.
    bases: version -> the method that makes its base, for those that this version of the tool builds.
    installer: name of a module of installers/; versions below `old` take `old_installer`, and of the family its
    `old_writers` and `old_up`.
    relative: the distribution whose entries of the catalogue it takes where it has none of its own; "" for none.
    relative_versions: version, or its first part -> the relative's version that it is made from, where one is known.
    archives: version -> its package archives; "" for the versions that are not named. "VERSION-ARCH" and "-ARCH" stand
    before them, for an architecture that has archives of its own.
    rpm_macros: version -> what rpm of a host must be set to, so that the system's own rpm reads the database that it
    writes: macro -> value; "" for the versions that are not named.
    instead: version -> package of the family's base_packages -> what that version has in its place, "" for nothing.
    kernels: architecture -> package of its kernel, where that is not the family's (WholeMachine.kernels).
    osinfo: version -> its id in libosinfo's database (osinfo-query os), in which "{version}" stands for the system's
    own; "" for the versions that are not named.
    partial: "VERSION-ARCH", or "-ARCH" for every version -> why no system of it can be made from the distribution's
    archive, as a sentence.
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
    rpm_macros: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    archives: Mapping[str, tuple[Archive, ...]] = field(default_factory=dict)
    instead: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kernels: Mapping[str, str] = field(default_factory=dict)
    osinfo: Mapping[str, str] = field(default_factory=dict)
    partial: Mapping[str, str] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a whole machine must be for a system whose disks are not made here, and how descriptors call it.

    cim: its number in CIM_OperatingSystem.OSType. guest_ids: VMware's hardware version -> the guestId that products of
    it know, the newest first. ram, disk: bytes, the least that its installation takes. buses, controllers, adapters:
    what it boots with by drivers of its own (Drive.kind, Nic.adapter). firmware: those that it boots from, the usual
    one first. tpm, secure_boot: whether its installation asks for them.
    """

    cim: int
    guest_ids: tuple[tuple[int, str], ...]
    ram: int
    disk: int
    disks: tuple[str, ...]
    adapters: tuple[str, ...]
    firmware: tuple[str, ...] = ("bios",)
    tpm: bool = False
    secure_boot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A system that goes by one name alone ("winsrv2022").

    arch: what it has when the recipe names none. title: as its maker calls it. generation: the folder of its templates
    (Family.generations). needs: architecture -> what its machine must be; another architecture there is none of.
    kinds: words that may stand behind the name, as in "win10-pro", and what its maker calls them. nt: the version of
    Windows' kernel, as (6, 1) for Windows 7. server: whether it has the roles of a server.
    """

    name: str
    version: str
    arch: str
    title: str = ""
    generation: str = ""
    needs: Mapping[str, Needs] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    nt: tuple[int, int] = (0, 0)
    server: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """A build of GRUB. package: what brings it; target: GRUB's own word for it; image: where its image goes; modules:
    of the firmware, that the image must hold itself."""

    package: str
    target: str
    image: str
    modules: tuple[str, ...]


def grub_loaders(bios: str, efi: str, folder: str = "/boot/grub") -> Mapping[str, Loader]:
    """Firmware -> GRUB. bios, efi: packages of its builds. folder: its own. EFI looks for its image on any disk."""
    image = f"{folder}/i386-pc/core.img"
    modules = ("fat", "efi_gop", "efi_uga")
    return {
        "bios": Loader(package=bios, target="i386-pc", image=image, modules=("biosdisk",)),
        "efi": Loader(package=efi, target="x86_64-efi", image="/boot/efi/EFI/BOOT/BOOTX64.EFI", modules=modules),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeMachine:
    """What makes a root of the family the one of a whole machine: packages of the kernel, the initramfs, the loader.

    packages: whatever the machine. kernels: architecture -> package. without_kernel: (version, architecture) that have
    none any more. since: distribution -> the first version that machines are made of; 0 where none is made of it. Of
    those that are not named, any. grub: folder of GRUB's menu and modules; its name is the first part of its programs'
    names. initrd: name of the link in /boot that leads to the newest initramfs. entries: folder below /boot of menu
    entries that the distribution's GRUB reads and its kernels' packages write (the Boot Loader Specification); "" where
    a menu is made of all kernels. loaders: firmware -> GRUB. file_systems: file system -> package of its tools.
    screen_keyboard: packages that a keyboard layout needs on a screen. tools: hypervisor ("vmware", "kvm") -> package
    of its guest's tools, and the units that it enables. kernel_files: files that the family's template kernel.sh puts
    in place, name -> text; boot_files: those of its template machine.sh, in which "{arguments}" stands for the kernel's
    arguments, "{consoles}" for those of its consoles, "{checked}" for the file systems that are checked before they are
    mounted, and "{distributor}" for the distribution. initramfs_inputs: files and folders (with a / at
    the end) that an initramfs is made from. before_network: units that bring networks up. takes_orders: whether a build
    can run in a machine of it that is made from nothing (plan.minimal).
    """

    packages: tuple[str, ...]
    kernels: Mapping[str, str]
    loaders: Mapping[str, Loader]
    file_systems: Mapping[str, str]
    screen_keyboard: tuple[str, ...]
    tools: Mapping[str, tuple[str, tuple[str, ...]]]
    kernel_files: Mapping[str, str]
    boot_files: Mapping[str, str]
    initramfs_inputs: tuple[str, ...]
    before_network: tuple[str, ...]
    without_kernel: frozenset[tuple[str, str]] = frozenset()
    since: Mapping[str, int] = field(default_factory=dict)
    grub: str = "/boot/grub"
    initrd: str = "initrd.img"
    entries: str = ""
    takes_orders: bool = False


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

    rank: its place in lists for people. kind: "linux" or "windows", whose steps a plan has (plan.discovery).
    dialect: of its scripts, "sh" or "batch". generations: folders below `templates`, the oldest first; a system takes
    the template of its own generation, or of the nearest before it.
    templates: folder of its own templates. step_folder: where a running step finds its own things in the guest.
    base_packages: what makes a minimal root a machine: an init, a network, certificates to fetch with. What a version
    has in place of one of them: Distribution.instead.
    node_packages: program that makes a node's containers ("vzctl") -> packages that its scripts need in each of them.
    writers: setting -> name of the module of plan/writers/ that sets it; the settings are those of WRITERS. A writer
    that this version does not have leaves the setting out of the plan, which says so. old_writers, old_up,
    old_base_packages: in place of those without old_, for the versions below `old` of their distribution.
    setting_packages: writer, or "WRITER:DISTRIBUTION-VERSION" with the first part of the version -> the packages that
    it needs, as the family calls them; "{language}" in one stands for the language of the locale.
    sudo_defaults: what sudo must be told for users who become root by their own password, as in sudoers(5).
    groups: those that are there without the recipe's doing. program_groups: group -> the programs or packages that
    bring it. admin_group: the one whose members may become root. base_shells: file names of the shells that are there
    without the recipe's doing; shells: file name -> the package that brings it, which a user's shell installs.
    package_names: None where any name may be one. package_file: what the name of a package's file ends in, a regular
    expression. arches: Debian's word for an architecture -> the family's own, where it is another.
    several_gateways: whether a machine may have several default gateways of one version of IP.
    up: script that ends with 0 once the system is up, and prints its state.
    machine: None where this version makes no whole machines of it.
    """

    name: str
    rank: int
    kind: str = "linux"
    generations: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    editions: tuple[Edition, ...] = ()
    dialect: str = "sh"
    templates: str = ""
    step_folder: str = STEP_FOLDER
    base_packages: tuple[str, ...] = ()
    old_base_packages: tuple[str, ...] = ()
    node_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writers: Mapping[str, str] = field(default_factory=dict)
    old_writers: Mapping[str, str] = field(default_factory=dict)
    setting_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sudo_defaults: str = ""
    groups: frozenset[str] = frozenset()
    program_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    admin_group: str = ""
    base_shells: frozenset[str] = frozenset()
    shells: Mapping[str, str] = field(default_factory=dict)
    package_names: PackageNames | None = None
    package_file: str = ""
    arches: Mapping[str, str] = field(default_factory=dict)
    several_gateways: bool = False
    up: str = ""
    old_up: str = ""
    machine: WholeMachine | None = None


WRITERS = (
    *("hostname", "mail_name", "timezone", "locale", "keyboard"),
    *("network", "firewall", "repositories", "cleanup"),
)
"""The settings that families set each in a way of their own. mail_name: only where mail servers keep a name of their
own; a family that names no writer of it has nothing to set."""

PIN = r"(=[A-Za-z0-9*][A-Za-z0-9.+~:^*_-]*)?"
"""Behind a package's name: the version that is asked for, in which * stands for anything ("nginx=1.22*")."""

SYSTEMD_UP = """\
state=$(systemctl is-system-running) || :
failed=$(systemctl list-units --state=failed --no-legend --plain --no-pager | cut -d' ' -f1 | tr '\\n' ' ')
echo "$state${failed:+, but these units failed: $failed}"
[ "$state" = running ] || [ "$state" = degraded ]
"""
"""A degraded system counts as up: units that need a machine's hardware fail in containers; services that the recipe
asks for have probes of their own."""

ANY_INIT_UP = (
    "if [ -d /run/systemd/system ]; then\n"
    + SYSTEMD_UP
    + """\
exit
fi
level=$(runlevel 2>/dev/null | cut -d' ' -f2)
case $level in
    [2-5]) ;;
    *) echo "starting"; exit 1 ;;
esac
starting() { pgrep -f '/etc/(rc\\.d|init\\.d)/rc ' >/dev/null; }
if starting || { sleep 1; starting; }; then
    echo "starting the services of runlevel $level"
    exit 1
fi
echo "running, in runlevel $level"
"""
)
"""systemd, or an init of before it that keeps utmp(5) and runs rc(8): System V's, upstart. Such an init writes the
runlevel before it starts rc, so that a machine where no rc runs is asked once more."""


@dataclass(frozen=True, slots=True)
class System:
    """An operating system, as `os = debian-12-amd64` names it.

    name: "debian-12". distribution "debian", version "12", codename "bookworm" ("" where unknown).
    arch: in Debian's words, "amd64". installer: "apt", "dnf", ..., "windows". base: the method that makes its base
    ("mmdebstrap"), or "" where this version of the tool has none: such a recipe can be checked, not built.
    old: whether it is below `old` of its distribution.
    unbuilt: why not, as a sentence, where that is known. title, generation, needs, nt, server: as in Edition; needs is
    None where the disks of its machines are made here. kernel: the package of its kernel in a whole machine, "" for
    none. base_packages: the family's, as this version has them. rpm_macros: as in Distribution, of this version.
    relatives: the distributions whose entries of the catalogue it takes, each with the version that it is made from
    ("" where none is known), the nearest first: a Rocky Linux that of RHEL, and that of Fedora. archives: the
    distribution's own, with the suites of this version; the first is the main one, which [config] mirror stands for.
    Empty where they are not known. osinfo: its id in libosinfo's database, "" where none is known.
    """

    name: str
    distribution: str
    version: str
    codename: str
    arch: str
    installer: str
    family: Family = field(compare=False, repr=False)
    base: str = ""
    old: bool = False
    relatives: tuple[tuple[str, str], ...] = ()
    archives: tuple[Archive, ...] = field(default=(), compare=False, repr=False)
    unbuilt: str = field(default="", compare=False, repr=False)
    title: str = field(default="", compare=False, repr=False)
    generation: str = field(default="", compare=False, repr=False)
    needs: Needs | None = field(default=None, compare=False, repr=False)
    nt: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    server: bool = field(default=False, compare=False, repr=False)
    kernel: str = field(default="", compare=False, repr=False)
    base_packages: tuple[str, ...] = field(default=(), compare=False, repr=False)
    rpm_macros: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    osinfo: str = field(default="", compare=False, repr=False)

    @property
    def own_arch(self) -> str:
        """The architecture in the family's words."""
        return self.family.arches.get(self.arch, self.arch)

    @property
    def kind(self) -> str:
        """ "linux" or "windows"."""
        return self.family.kind

    @property
    def writers(self) -> Mapping[str, str]:
        """Setting -> name of the writer."""
        return self.family.old_writers if self.old else self.family.writers

    @property
    def up(self) -> str:
        """Script that ends with 0 once the system is up, and prints its state."""
        return self.family.old_up if self.old else self.family.up
