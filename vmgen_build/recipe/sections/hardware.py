"""[hardware]: what the machine is made of."""

from __future__ import annotations

# ruff: noqa: RUF009 - option, named and free make dataclass fields
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, named, option, recipe_section
from vmgen_build.recipe.types.bases import BaseSource
from vmgen_build.secret import Secret

if TYPE_CHECKING:
    from vmgen_build.systems.model import System


@dataclass(frozen=True, kw_only=True)
class Partition(Section):
    type: str = option(t.choice("primary", "extended", "logical"), default="primary", doc="Kind of partition.")
    fs: str | None = option(
        t.choice("ext4", "ext3", "ext2", "xfs", "btrfs", "swap", "vfat", "ntfs"),
        default=None,
        doc="File system; none for an extended partition.",
        also="file system, filesystem, format",
    )
    size: int | None = option(
        t.size_or_rest,
        default=None,
        doc="Size; a bare number is MB; 'rest' takes what is left (the default).",
        example="2G",
    )
    mount: str | None = option(
        t.guest_path, default=None, doc="Where the guest mounts it.", example="/home", also="mount point"
    )
    label: str | None = option(t.text, default=None, doc="Label of the file system.")


@dataclass(frozen=True, kw_only=True)
class Disk(Section):
    size: int | None = option(
        t.size,
        default=None,
        doc="Size; a bare number is MB; by default what the content needs and some free space.",
        example="8G",
    )
    type: str = option(
        t.choice("ide", "scsi", "sata", "nvme"),
        default="scsi",
        doc="Bus that the disk hangs on; of Windows by default one that it has a driver for.",
    )
    controller: str = option(t.choice("lsilogic", "pvscsi"), default="lsilogic", doc="SCSI controller.")
    scsi_index: int = option(t.integer(0, 3), default=0, doc="Which SCSI controller the disk hangs on.")
    pos: tuple[int, int] | None = option(t.bus_position, default=None, doc="Position as bus:unit.", example="0:0")
    filename: str | None = option(
        t.file_name, default=None, key="name", doc="Name of the disk's file.", example="hdd.vmdk"
    )
    partitions: dict[str, Partition] = named(
        Partition, names=t.device_name, doc="The disk's partitions, in order.", also="volumes, swap"
    )


@dataclass(frozen=True, kw_only=True)
class Cd(Section):
    image: str | None = option(
        t.text, default=None, doc="ISO image in the drive; empty for an empty drive.", example="debian.iso"
    )
    connected: bool = option(t.boolean, default=True, doc="Whether the drive is connected at start.")


@dataclass(frozen=True, kw_only=True)
class Adapter(Section):
    """A network adapter; its addresses stand in [network]."""

    hw_addr: str | None = option(
        t.mac,
        default=None,
        doc="MAC address; made from the recipe's name when absent or unusable.",
        example="00:16:3e:12:34:56",
        also="mac, mac address, ethernet address",
    )
    type: str = option(
        t.choice("nat", "bridged", "hostonly", "veth", "venet"),
        default="nat",
        doc="How it is joined to the host's network.",
        also="mode",
    )
    adapter: str = option(
        t.choice("e1000", "e1000e", "vmxnet3", "pcnet32"),
        default="e1000",
        doc="Emulated card of a virtual machine; of Windows by default one that it has a driver for.",
        also="model, card",
    )
    bridge: str | None = option(t.interface_name, default=None, doc="Bridge of the host that it joins.", example="br0")
    network: str | None = option(
        t.text,
        default=None,
        doc="Network of a vSphere server that it is connected to while the machine is built there.",
        example="VM Network",
    )
    connected: bool = option(t.boolean, default=True, doc="Whether the link is up at start.")


@recipe_section("hardware")
@dataclass(frozen=True, kw_only=True)
class Hardware(Section):
    vm_id: str = option(
        t.machine_id,
        doc="Name of the machine, or its number (OpenVZ: above 100).",
        example="lab",
        also="name, machine, ctid",
    )
    os: System = option(
        t.system,
        doc="Operating system: distribution-version[-architecture].",
        example="debian-12",
        also="operating system, distribution, distro, release, version, system, architecture, arch",
    )
    base: BaseSource | None = option(
        t.base,
        default=None,
        doc="What the machine starts from: a file or folder, an address, images:ALIAS of an image server,"
        " template:NAME of OpenVZ, vm:NAME or vm:NAME@SNAPSHOT of a vSphere server, or iso:FILE, a medium that Windows"
        " is installed from; by default made of packages, else looked for there.",
        example="images:debian/12",
        also="image, template, snapshot, iso",
    )
    base_sha256: str | None = option(
        t.sha256, default=None, doc="Checksum of the base's file, by SHA-256; an address needs it, or base_key."
    )
    base_key: Path | None = option(
        t.host_file,
        default=None,
        doc="Public key by which the base's signature (ADDRESS.asc, .sig or .gpg), or the image server's, is checked.",
        example="example.asc",
    )
    clone: str | None = option(
        t.choice("linked", "full"),
        default=None,
        doc="How a vm:NAME is cloned: linked (its disks begin with a snapshot's, and cannot grow) or full (a copy); by"
        " default linked where a snapshot is named.",
    )
    login: str | None = option(
        t.login_name,
        default=None,
        doc="User of a base that is a whole machine, which is started as it is (--host qemu: or vsphere:): root, or"
        " one who may use sudo without a password.",
    )
    login_password: Secret | None = option(t.login_password, default=None, doc="Password of that user.", also="passwd")
    login_key: Secret | None = option(
        t.login_key, default=None, doc="Private key that lets that user in by ssh, as file:~/.ssh/id_ed25519."
    )
    communicator: str | None = option(
        t.choice("ssh", "agent", "tools"),
        default=None,
        doc="How a base that is a whole machine is spoken to: ssh (the default of --host qemu:), agent (QEMU's guest"
        " agent in it; the default of a Windows there) or tools (VMware's; the default of --host vsphere: with a"
        " password).",
    )
    edition: str | None = option(
        t.text,
        default=None,
        doc="Which image of a medium of Windows is installed: its number or its name; needed where it holds several.",
        example="Windows 10 Pro",
    )
    drivers: Path | None = option(
        t.iso_file,
        default=None,
        doc="ISO image of drivers that Setup of Windows needs to see its disk, or the network, laid out as virtio-win.",
        example="virtio-win.iso",
    )
    tools: Path | None = option(
        t.host_file,
        default=None,
        doc="The hypervisor's tools for Windows, as an ISO image or an installer; they are put in at the first start.",
        example="windows.iso",
    )
    num_cpu: int | None = option(
        t.integer(1, 768),
        default=None,
        doc="Number of CPUs.",
        example="2",
        also="cpus, cores, processors, processor, vcpu",
    )
    ram: int | None = option(
        t.size, default=None, doc="Memory; a bare number is MB.", example="1024", also="memory, mem"
    )
    firmware: str = option(
        t.choice("bios", "efi"),
        default="bios",
        doc="Firmware of a virtual machine; efi where the system takes no other.",
        also="bios, efi, uefi",
    )
    hw_version: int = option(t.integer(4, 30), default=13, doc="VMware's virtual hardware version.")
    hdds: dict[str, Disk] = named(Disk, doc="Hard disks.", also="disk, disks, hard disk, drive, storage, hdd")
    cds: dict[str, Cd] = named(Cd, names=t.device_name, doc="CD drives.", also="cdrom, dvd, drive, iso")
    eths: dict[str, Adapter] = named(
        Adapter,
        names=t.interface_name,
        doc="Network adapters; an lxc machine without any gets eth0.",
        also="nic, nics, card, network card, network adapter, adapters",
    )

    @property
    def is_started(self) -> bool:
        """Whether the base is a whole machine that is started as it is, where the plan runs in such ones."""
        if self.base is None or self.is_installed:
            return False
        if "os" not in self.faulty and self.os.kind == "windows":
            return self.base.kind in ("vm", "file", "url")
        return self.base.kind == "vm" or self.login is not None or self.communicator is not None

    @property
    def is_installed(self) -> bool:
        """Whether the base is a medium that Setup of Windows makes the machine from."""
        return self.base is not None and self.base.kind == "iso"

    @property
    def clones_linked(self) -> bool:
        """Of a "vm": whether its disks are shared, and not copied."""
        return self.base is not None and (self.clone or ("linked" if self.base.snapshot else "full")) == "linked"
