"""OVA files: what is written, and what the check finds in damaged ones."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.ova import check_ova, opened_member, write_ova
from vmgen_build.artifacts.ova import tar as ovatar
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.machine import CdDrive, Drive, Machine, Nic

EPOCH = 1700000000
MB = 1 << 20
ENTRY = tuple[tarfile.TarInfo, bytes]


def machine(disks: int = 2) -> Machine:
    drives = [
        Drive(
            name=f"hdd{i}",
            file=f"lab-hdd{i}.vmdk",
            size=None,
            bus="scsi",
            controller="pvscsi",
            index=0,
            unit=i,
            table="dos",
            boot=not i,
            volumes=(),
        )
        for i in range(disks)
    ]
    return Machine(
        name="lab",
        os="debian-12",
        arch="amd64",
        cpus=1,
        ram=1 << 30,
        firmware="bios",
        hw_version=13,
        drives=tuple(drives),
        cds=(CdDrive(name="cd0", image="isos/a.iso", connected=True),),
        nics=(Nic(name="eth0", hw_addr="02:00:00:00:00:01", type="nat", adapter="e1000", bridge=None, connected=True),),
    )


@dataclass
class Ova:
    """A sound OVA: what it is made of, and the file."""

    path: Path
    text: str
    files: list[Written]
    content: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Ova:
    folder = tmp_path_factory.mktemp("ova")
    files, parts, content = [], [], []
    for i in range(2):
        raw = folder / f"{i}.raw"
        disk = bytearray(3 * MB + 512 * i)
        disk[i * MB : i * MB + 5000] = os.urandom(5000)
        raw.write_bytes(disk)
        files.append(write_vmdk(raw, folder / f"lab-hdd{i}.vmdk"))
        parts.append(OvfFile(files[-1].path.name, files[-1].size, len(disk)))
        content.append(bytes(disk))
    iso = folder / "a.iso"
    iso.write_bytes(b"iso" * 333)
    files.append(Written(iso, 999, sha256_of(iso)))
    text = descriptor(machine(), [*parts, OvfFile("a.iso", 999)])
    write_ova(folder / "lab.ova", text, files, epoch=EPOCH)
    return Ova(folder / "lab.ova", text, files, content)


def entries(path: Path) -> list[ENTRY]:
    with tarfile.open(path) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


def test_it_is_what_importers_ask_for(sound: Ova) -> None:
    found = entries(sound.path)
    assert [info.name for info, _ in found] == ["lab.ovf", "lab.mf", "lab-hdd0.vmdk", "lab-hdd1.vmdk", "a.iso"]
    for info, data in found:
        assert (info.mtime, info.mode, info.uid, info.gid, info.uname, info.gname) == (EPOCH, 0o644, 0, 0, "", "")
        assert info.size == len(data) and not info.pax_headers
    assert found[0][1].decode() == sound.text
    assert found[1][1].decode() == "".join(
        f"SHA256({info.name})= {hashlib.sha256(data).hexdigest()}\n" for info, data in found if info.name != "lab.mf"
    )
    data = sound.path.read_bytes()
    assert data[257:265] == b"ustar\x0000" and len(data) % 10240 == 0


def test_it_says_what_it_wrote_and_writes_the_same_again(sound: Ova, tmp_path: Path) -> None:
    written = write_ova(tmp_path / "lab.ova", sound.text, sound.files, epoch=EPOCH)
    assert written == Written(tmp_path / "lab.ova", sound.path.stat().st_size, sha256_of(sound.path))
    assert (tmp_path / "lab.ova").read_bytes() == sound.path.read_bytes()


def test_a_sound_one_has_no_findings(sound: Ova, tmp_path: Path) -> None:
    done: list[int] = []
    content = check_ova(sound.path, folder=tmp_path, progress=done.append)
    assert content.findings == ()
    assert content.descriptor == sound.text
    assert {name: info.capacity for name, info in content.disks.items()} == {
        "lab-hdd0.vmdk": 3 * MB,
        "lab-hdd1.vmdk": 3 * MB + 512,
    }
    assert [content.raws[f"lab-hdd{i}.vmdk"].read_bytes() for i in range(2)] == sound.content
    assert check_ova(sound.path).raws == {}
    assert done[-1] == sum(member.size for member in content.members if member.name != "lab.mf")


def test_a_member_can_be_read_alone(sound: Ova) -> None:
    member = check_ova(sound.path).members[-1]
    with opened_member(sound.path, member) as file:
        assert file.read() == b"iso" * 333


def test_sha1_for_old_products(sound: Ova, tmp_path: Path) -> None:
    write_ova(tmp_path / "lab.ova", sound.text, sound.files, epoch=EPOCH, digest="sha1")
    found = {info.name: data for info, data in entries(tmp_path / "lab.ova")}
    line = f"SHA1(a.iso)= {hashlib.sha1(found['a.iso']).hexdigest()}\n"
    assert line in found["lab.mf"].decode() and b"SHA256" not in found["lab.mf"]
    assert check_ova(tmp_path / "lab.ova").findings == ()


def test_beyond_8_gib_the_size_is_gnus(tmp_path: Path) -> None:
    """Headers alone: a sparse archive of one member of 9 GiB."""
    big, edge = 9 << 30, (8 << 30) - 1
    assert ovatar.header("a", edge, 0)[257:265] == b"ustar\x0000"
    block = ovatar.header("a", big, 0)
    assert len(block) == 512 and block[257:265] == b"ustar  \0"
    with (tmp_path / "a.tar").open("w+b") as file:
        file.write(block)
        file.truncate(512 + big + 1024)
        members, findings = ovatar.walk(file, 512 + big + 1024)
    assert [(m.name, m.size, m.offset) for m in members] == [("a", big, 512)] and findings == []


Change = Callable[[list[ENTRY]], None]


def rewritten(source: Path, goal: Path, change: Change, kind: int = tarfile.USTAR_FORMAT) -> Path:
    found = entries(source)
    change(found)
    with tarfile.open(goal, "w", format=kind) as tar:
        for info, data in found:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return goal


def by(found: list[ENTRY], name: str) -> int:
    return next(i for i, (info, _) in enumerate(found) if info.name == name)


def edited(name: str, old: str, new: str, sums: bool = True) -> Change:
    """Replace text in one member; sums: with a manifest that fits."""

    def change(found: list[ENTRY]) -> None:
        at = by(found, name)
        info, data = found[at]
        assert old.encode() in data
        found[at] = info, data.replace(old.encode(), new.encode())
        if sums and name != "lab.mf":
            manifest(found)

    return change


def manifest(found: list[ENTRY]) -> None:
    at = by(found, "lab.mf")
    lines = [
        f"SHA256({info.name})= {hashlib.sha256(data).hexdigest()}\n" for info, data in found if info.name != "lab.mf"
    ]
    found[at] = found[at][0], "".join(lines).encode()


def resummed(change: Change) -> Change:
    def both(found: list[ENTRY]) -> None:
        change(found)
        manifest(found)

    return both


def header(member: str, **fields: object) -> Change:
    def change(found: list[ENTRY]) -> None:
        at = by(found, member)
        for key, value in fields.items():
            setattr(found[at][0], key, value)

    return change


def moved(name: str, to: int) -> Change:
    return lambda found: found.insert(to, found.pop(by(found, name)))


def without(name: str) -> Change:
    return lambda found: found.__delitem__(by(found, name))


def added(name: str, data: bytes, at: int = 99, **fields: object) -> Change:
    def change(found: list[ENTRY]) -> None:
        info = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(info, key, value)
        found.insert(at, (info, data))

    return change


def cut_vmdk(found: list[ENTRY]) -> None:
    at = by(found, "lab-hdd0.vmdk")
    found[at] = found[at][0], found[at][1] + bytes(512)


DAMAGE: dict[str, tuple[Change, list[str]]] = {
    "the descriptor is not first": (
        moved("lab.ovf", 1),
        ["the first file is lab.mf, and not the OVF descriptor", "the second file is lab.ovf, and not the manifest"],
    ),
    "the manifest is last": (moved("lab.mf", 9), ["the second file is lab-hdd0.vmdk, and not the manifest"]),
    "no manifest": (
        without("lab.mf"),
        ["the second file is lab-hdd0.vmdk, and not the manifest", "lab.ovf: the manifest has no digest of it"],
    ),
    "no descriptor": (without("lab.ovf"), ["the first file is lab.mf, and not the OVF descriptor"]),
    "disks in another order": (
        moved("lab-hdd1.vmdk", 2),
        ["the files do not stand in the order of References: lab-hdd0.vmdk, lab-hdd1.vmdk, a.iso"],
    ),
    "a missing disk": (
        without("lab-hdd1.vmdk"),
        [
            "the descriptor refers to lab-hdd1.vmdk, which is not in the archive",
            "the manifest names lab-hdd1.vmdk, which is not in the archive",
        ],
    ),
    "a file that nothing refers to": (
        added("notes.txt", b"x"),
        ["notes.txt: the descriptor does not refer to it", "notes.txt: the manifest has no digest of it"],
    ),
    "a file twice": (added("a.iso", b"iso" * 333), ["a.iso is in the archive twice"]),
    "another name": (header("lab.mf", name="x.mf"), ["lab.ovf and x.mf have different names"]),
    "an owner": (header("a.iso", uid=1000, uname="me"), ["a.iso: its owner is 1000:0 (me:), and not 0:0"]),
    "a mode": (header("a.iso", mode=0o755), ["a.iso: its mode is 0755, and not 0644"]),
    "a folder": (
        added("x", b"", type=tarfile.DIRTYPE),
        ["x: it is an entry of type '5'; an OVA holds plain files only"],
    ),
    "a link": (
        added("x", b"", type=tarfile.SYMTYPE, linkname="/etc/shadow"),
        ["x: it is an entry of type '2'; an OVA holds plain files only"],
    ),
    "a name in a folder": (
        added("x/a.txt", b"x"),
        ["x/a.txt: its name has a folder, and importers look for files beside the descriptor"],
    ),
    "another content": (
        edited("a.iso", "iso", "osi", sums=False),
        ["a.iso: its sha256 is "],
    ),
    "another descriptor": (edited("lab.ovf", "vmx-13", "vmx-14", sums=False), ["lab.ovf: its sha256 is "]),
    "a wrong digest": (edited("lab.mf", "= ", "= 0"), ["lab.ovf: its sha256 is "]),
    "blanks before the brackets": (
        edited("lab.mf", "SHA256(", "SHA256 ("),
        ["line 1 of the manifest is not of the form SHA256(name)= digest"],
    ),
    "line ends": (edited("lab.mf", "\n", "\r\n"), ["the manifest's lines do not end with a line feed each"]),
    "mixed digests": (edited("lab.mf", "SHA256(a.iso", "SHA1(a.iso"), ["the manifest mixes SHA1 and SHA256"]),
    "a line twice": (
        edited("lab.mf", "SHA256(a.iso", "SHA256(lab.ovf)= 0\nSHA256(a.iso"),
        ["line 4 of the manifest names lab.ovf again"],
    ),
    "a size": (
        edited("lab.ovf", 'ovf:size="999"', 'ovf:size="998"'),
        ["a.iso has 999 bytes, and the descriptor says 998"],
    ),
    "a capacity": (
        edited("lab.ovf", f'"{3 * MB}"', f'"{4 * MB}"'),
        ["lab-hdd0.vmdk: the disk has 3145728 bytes, and the descriptor says 4194304"],
    ),
    "no VMDK": (
        resummed(lambda found: found.__setitem__(2, (found[2][0], bytes(found[2][0].size)))),
        ["lab-hdd0.vmdk: "],
    ),
    "bytes behind the end-of-stream marker": (
        resummed(cut_vmdk),
        ["bytes behind the end-of-stream marker"],
    ),
    "no XML": (edited("lab.ovf", "</Envelope>", ""), ["the descriptor is not well-formed XML: "]),
    "entities": (
        edited("lab.ovf", "<Envelope", '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><Envelope'),
        ["the descriptor declares a document type, which no OVF descriptor has; it is not read"],
    ),
    "a dangling disk": (
        edited("lab.ovf", 'fileRef="file1"', 'fileRef="file9"'),
        ["disk file9 refers to file 'file9', which is not in References"],
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_found(sound: Ova, tmp_path: Path, name: str) -> None:
    change, wanted = DAMAGE[name]
    findings = check_ova(rewritten(sound.path, tmp_path / "lab.ova", change)).findings
    for text in wanted:
        assert any(text in finding for finding in findings), findings


def test_the_same_archive_rewritten_is_sound(sound: Ova, tmp_path: Path) -> None:
    """So that what the table of damages finds is the damage."""
    assert check_ova(rewritten(sound.path, tmp_path / "lab.ova", lambda found: None)).findings == ()


def test_other_tar_formats_are_found(sound: Ova, tmp_path: Path) -> None:
    gnu = check_ova(rewritten(sound.path, tmp_path / "gnu.ova", lambda found: None, tarfile.GNU_FORMAT))
    assert "lab.ovf: its tar header is of the GNU format, and not USTAR (GNU above 8 GiB)" in gnu.findings
    pax = check_ova(rewritten(sound.path, tmp_path / "pax.ova", header("lab.ovf", mtime=1.5), tarfile.PAX_FORMAT))
    assert any("it is a PAX header; an OVA holds plain files only" in finding for finding in pax.findings)
    assert len(pax.findings) == 1


def cuts() -> Iterator[tuple[str, Callable[[bytes], bytes], str]]:
    yield "empty", lambda data: b"", "the archive does not end with two blocks of zeros"
    yield "no tar", lambda data: b"\x7fELF" * 4096, "at byte 0: this is no header of a tar archive"
    yield "half", lambda data: data[: len(data) // 2], "the archive ends before the"
    yield "no end", lambda data: data.rstrip(b"\0") + bytes(511), "the archive does not end with two blocks of zeros"
    yield "tail", lambda data: data + b"x", "there is something behind the end of the archive"
    yield "a bad checksum", lambda data: b"X" + data[1:], "at byte 0: this is no header of a tar archive"


@pytest.mark.parametrize(("change", "wanted"), [cut[1:] for cut in cuts()], ids=[cut[0] for cut in cuts()])
def test_a_broken_archive_is_found(sound: Ova, tmp_path: Path, change: Callable[[bytes], bytes], wanted: str) -> None:
    path = tmp_path / "lab.ova"
    path.write_bytes(change(sound.path.read_bytes()))
    assert any(wanted in finding for finding in check_ova(path).findings)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot read"):
        check_ova(tmp_path / "lab.ova")


BROKEN: dict[str, tuple[str, str, str]] = {
    "twice": ('ovf:id="file2"', 'ovf:id="file1"', "References names file1 twice"),
    "size": ('ovf:size="999"', 'ovf:size="many"', "a.iso: ovf:size is 'many', and no number of bytes"),
    "no id": ('ovf:id="file3" ', "", "a File of References lacks its ovf:id or ovf:href"),
    "unit": ('Units="byte"', 'Units="MB"', "is no size of a disk with an id"),
    "format": ("vmdk.html#streamOptimized", "vmdk.html#sparse", "disk vmdisk1: its format is not "),
    "boot order": (
        "<VirtualHardwareSection>",
        "<BootOrderSection><Info/></BootOrderSection><VirtualHardwareSection>",
        "there is a BootOrderSection, at which importers add empty disks",
    ),
    "info": ("<Info>Virtual disk information</Info>", "", "DiskSection does not begin with Info"),
    "family": ("vmx-13", "virtualbox-2.2", "VirtualSystemType is 'virtualbox-2.2', which vSphere refuses"),
    "order": (
        "<rasd:ResourceType>6</rasd:ResourceType>",
        "<rasd:ResourceType>6</rasd:ResourceType><rasd:Address>0</rasd:Address>",
        "SCSI controller 0: its elements are not in the schema's (alphabetical) order",
    ),
    "name": (
        "<rasd:ElementName>SCSI controller 0</rasd:ElementName>",
        "",
        "the device with InstanceID 4: it has no ElementName",
    ),
    "numbers": ("<rasd:InstanceID>2<", "<rasd:InstanceID>1<", "two devices have one InstanceID"),
    "network": ("<rasd:Connection>NAT<", "<rasd:Connection>LAN<", "its network 'LAN' is not in the NetworkSection"),
    "parent": ("<rasd:Parent>4<", "<rasd:Parent>1<", "Hard disk hdd0: its Parent '1' is no controller"),
    "place": (
        "<rasd:AddressOnParent>1<",
        "<rasd:AddressOnParent>0<",
        "Hard disk hdd1: another device has its place 0 on the controller",
    ),
    "resource": (
        "ovf:/disk/vmdisk2",
        "ovf:/disk/vmdisk7",
        "Hard disk hdd1: its HostResource ovf:/disk/vmdisk7 is neither a disk nor a file of the descriptor",
    ),
    "no drive": ("ovf:/disk/vmdisk2", "ovf:/disk/vmdisk1", "disk vmdisk2 hangs on no controller"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_of_the_descriptor(sound: Ova, name: str) -> None:
    old, new, wanted = BROKEN[name]
    assert old in sound.text and read_descriptor(sound.text.encode()).findings == ()
    findings = read_descriptor(sound.text.replace(old, new).encode()).findings
    assert any(wanted in finding for finding in findings), findings


def test_sections_out_of_order_are_found(sound: Ova) -> None:
    head, _, rest = sound.text.partition("  <References>")
    references, _, rest = rest.partition("</References>")
    text = f"{head}{rest.removesuffix('</Envelope>' + chr(10))}<References>{references}</References></Envelope>"
    assert any("importers ask for the order References" in f for f in read_descriptor(text.encode()).findings)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", "not well-formed"),
        (b"\xff", "not UTF-8"),
        (b"<x/>", "root element is x"),
        ("<x/>".encode("utf-16"), "not UTF-8"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', "declares a document type"),
    ],
)
def test_what_is_no_descriptor_is_refused(text: bytes, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        read_descriptor(text)


def test_files_must_be_those_of_the_descriptor(sound: Ova, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"refers to lab-hdd0.vmdk .*, and the files are lab-hdd1.vmdk"):
        write_ova(tmp_path / "lab.ova", sound.text, sound.files[1:], epoch=EPOCH)
    with pytest.raises(BuildError, match="which vSphere refuses"):
        write_ova(tmp_path / "lab.ova", sound.text.replace("vmx-13", "x"), sound.files, epoch=EPOCH)
    with pytest.raises(BuildError, match="not well-formed"):
        write_ova(tmp_path / "lab.ova", '<Envelope ovf:size="<size 1>"/>', sound.files, epoch=EPOCH)
    with pytest.raises(ValueError, match="digest 'md5' is none of sha256, sha1"):
        write_ova(tmp_path / "lab.ova", sound.text, sound.files, epoch=EPOCH, digest="md5")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_ustar_cannot_hold_is_refused(sound: Ova, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="use up to 100 bytes, and no slash"):
        write_ova(tmp_path / ("l" * 98 + ".ova"), sound.text, sound.files, epoch=EPOCH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("grow", [-1, 1, 5000])
def test_a_file_that_changed_is_an_error_and_leaves_nothing(sound: Ova, tmp_path: Path, grow: int) -> None:
    iso = tmp_path / "a.iso"
    iso.write_bytes(b"x" * (999 + grow))
    files = [*sound.files[:2], replace(sound.files[2], path=iso)]
    (tmp_path / "lab.ova").write_text("old")
    with pytest.raises(BuildError, match=r"a.iso has \d+ bytes now, and 999 when it was made"):
        write_ova(tmp_path / "lab.ova", sound.text, files, epoch=EPOCH)
    iso.unlink()
    with pytest.raises(HostError, match=r"cannot read .*a\.iso: No such file"):
        write_ova(tmp_path / "lab.ova", sound.text, files, epoch=EPOCH)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.ova"]
    assert (tmp_path / "lab.ova").read_text() == "old"
