"""Each reader of foreign data: what reads, which errors it may raise, and what its samples are mutated with.

A further reader is one entry of TARGETS, and its samples in corpus/NAME/.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.manifest import parse_manifest
from vmgen_build.artifacts.media import boot_catalog, windows_images
from vmgen_build.artifacts.media.wim import _images as images_of_text
from vmgen_build.artifacts.openvz.bundle import conf_findings, os_template_findings, read_bundle
from vmgen_build.artifacts.openvz.config import parse_conf
from vmgen_build.artifacts.ova import check_ova
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.sums import NAME, read_sums
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.artifacts.vmdk import check_vmdk
from vmgen_build.bases.apt.release import digest_of_indexes, signed_release
from vmgen_build.build.questions import asks_something
from vmgen_build.errors import BuildError, HostError, RecipeError, VmgenError
from vmgen_build.guests.qemu.agent import _parsed as parsed_answer
from vmgen_build.guests.qemu.console import TAIL, Console
from vmgen_build.guests.runners.hostkeys import known_keys
from vmgen_build.guests.runners.stream import Marked
from vmgen_build.host.bounds import bounded
from vmgen_build.host.lines import Lines
from vmgen_build.host.system import parse_os_release
from vmgen_build.limits import FINDINGS, JSON_DEPTH, OVA_FILES, PROBES, Limit
from vmgen_build.plan.export import _Folder, _remove_earlier
from vmgen_build.plan.model import Probe
from vmgen_build.plan.readback import machine_read_back
from vmgen_build.plan.text.guard import ShellText
from vmgen_build.recipe.load import load
from vmgen_build.text import clean, without_passwords

CORPUS = Path(__file__).parent / "corpus"

TIME = Limit("fuzz-time", "processor time that one input takes", 4, "s")
MEMORY = Limit("fuzz-memory", "memory that one input takes", 250_000_000)


@dataclass(frozen=True)
class Target:
    """read: takes the bytes, and an empty folder of its own. errors: what it may raise. tokens: what is put into a
    sample. mended: makes checksums right again, so that a mutation gets behind them. bombs: small inputs that once took
    much time or memory."""

    read: Callable[[bytes, Path], object]
    errors: tuple[type[Exception], ...]
    tokens: tuple[bytes, ...]
    mended: Callable[[bytes], bytes] = bytes
    bombs: tuple[bytes, ...] = ()

    def run(self, data: bytes, folder: Path) -> None:
        data = self.mended(data)
        try:
            with bounded("a sample", TIME, MEMORY):
                self._read(data, folder)
        except RecipeError as error:
            raise AssertionError(str(error)) from error

    def _read(self, data: bytes, folder: Path) -> None:
        try:
            self.read(data, folder)
        except self.errors as error:
            assert str(error), "an error without a message"


def tar_sums(data: bytes) -> bytes:
    """With the checksum of each block that looks like a header (POSIX.1-2017, ustar)."""
    fixed = bytearray(data)
    for at in range(0, len(fixed) - 511, 512):
        if fixed[at + 257 : at + 262] == b"ustar":
            sums = tarfile.calc_chksums(bytes(fixed[at : at + 512]))
            fixed[at + 148 : at + 156] = b"%06o\0 " % sums[0]
    return bytes(fixed)


def _recipe(data: bytes, folder: Path) -> None:
    path = folder / "r.ini"
    path.write_bytes(data)
    try:
        load(path, environ={"ANA_PASSWORD": "secret"})
    except RecipeError as error:
        assert len(error.problems) <= 51
        raise


def _programs(data: bytes, folder: Path) -> None:
    (folder / "mine.ini").write_bytes(data)
    _recipe(b"[hardware]\nvm_id = a\nos = debian-12\n[devel]\ngreeter = 1\n[config]\ncatalogue = mine.ini\n", folder)


def _manifest(data: bytes, _: Path) -> None:
    assert len(parse_manifest(data)["probes"]) <= PROBES.amount


def _ova(data: bytes, folder: Path) -> None:
    (folder / "a.ova").write_bytes(data)
    content = check_ova(folder / "a.ova")
    assert len(content.members) <= OVA_FILES.amount and len(content.findings) <= FINDINGS.amount + 1


def _tar(data: bytes, _: Path) -> None:
    stream = TarStream(io.BytesIO(data))
    for entry in stream.entries():
        if entry.is_file and entry.size < len(data):
            assert len(stream.readall()) == entry.size


def _bundle(data: bytes, folder: Path) -> None:
    (folder / "b.tar").write_bytes(data)
    bundle = read_bundle(folder / "b.tar")
    conf_findings(bundle.conf, bundle.os_template)


def _os_template(data: bytes, folder: Path) -> None:
    (folder / "t.tar.gz").write_bytes(data)
    os_template_findings(folder / "t.tar.gz", "t.tar.gz")


def _conf(data: bytes, _: Path) -> None:
    conf_findings(parse_conf(data.decode("utf-8", "replace")), "t.tar.gz")


def _sums(data: bytes, folder: Path) -> None:
    (folder / NAME).write_bytes(data)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in read_sums(folder).values())


def _known_hosts(data: bytes, folder: Path) -> None:
    (folder / "known_hosts").write_bytes(data)
    with mock.patch.dict(os.environ, VMGEN_SSH_KNOWN_HOSTS=str(folder / "known_hosts")):
        known_keys("node.example")


def _release(data: bytes, folder: Path) -> None:
    (folder / "InRelease").write_bytes(data)
    release = signed_release(f"{folder.as_uri()}/InRelease", "", ())
    digest_of_indexes(release, ("main",), "amd64")


def _qcow2(data: bytes, folder: Path) -> None:
    (folder / "disk.qcow2").write_bytes(data)
    with (folder / "disk.qcow2").open("rb") as file:
        check_qcow2(file)


def _medium(data: bytes, folder: Path) -> None:
    """A CD of 300 sectors. data: some of them, each with its number, its length, and its bytes without the zeros at
    their end."""
    image, at = bytearray(300 * 2048), 0
    while at + 4 <= len(data):
        sector, length = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (0, 2))
        piece = data[at + 4 : at + 4 + min(length, 2048)]
        begin = sector % 300 * 2048
        image[begin : begin + len(piece)] = piece
        at += 4 + len(piece)
    (folder / "medium.iso").write_bytes(image)
    for found in windows_images(folder / "medium.iso") or ():
        assert clean(found.name) == found.name
    boots = boot_catalog(folder / "medium.iso")
    assert boots is None or boots.firmware <= {"bios", "efi"}


def _wim(data: bytes, _: Path) -> None:
    for found in images_of_text(data.decode("utf-16", "replace")):
        assert clean(found.name) == found.name and len(found.name) <= 200


def _export(data: bytes, folder: Path) -> None:
    """Nothing is removed but what is a step's."""
    out = folder / "out"
    kept = [folder / "canary.sh", folder / "01-canary.sh", out / "mine.sh", out / "files/mine/x"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (out / "plan.json").write_bytes(data)
    with closing(_Folder(out, os.open(out, os.O_RDONLY | os.O_DIRECTORY))) as opened:
        _remove_earlier(opened)
    assert all(path.exists() for path in kept)


def _marked(data: bytes, _: Path) -> None:
    """However it comes in pieces."""
    found = []
    for size in (7, len(data) or 1):
        stream, out = Marked(b"MARK ", "a command"), None
        for at in range(0, len(data), size):
            out = stream.add(data[at : at + size])
            if out is not None:
                break
        found.append(stream.number)
        assert stream.searched <= 2 * len(data) + 64 * (len(data) // size + 1)
    assert found[0] == found[1]


def _lines(data: bytes, _: Path) -> None:
    lines: list[str] = []
    taken = Lines(lines.append, 100)
    for at in range(0, len(data), 1000):
        taken.add(data[at : at + 1000])
    taken.add(b"", final=True)
    assert all(len(line) <= 100 and "\n" not in line for line in lines)


def _text(data: bytes, _: Path) -> None:
    line = without_passwords(clean(data.decode("utf-8", "replace")))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)


def _probe(data: bytes, _: Path) -> None:
    asks_something(Probe("p", "s", data.decode("utf-8", "replace")))


def _answer(data: bytes, _: Path) -> None:
    parsed_answer(data.decode("ascii", "replace"), 3)


def _console(data: bytes, folder: Path) -> None:
    (folder / "console").write_bytes(data)
    console = Console(folder / "console")
    console.end()
    console.asks_for_login()
    assert len(console.tail().splitlines()) <= TAIL + 1


_ATTRIBUTES = b" ".join(b'p:a%d=""' % number for number in range(4000))
NAMES = (
    b'<a xmlns="%s">%s</a>' % (b"u" * 200_000, b"<b/>" * 2500),
    b'<a xmlns:p="%s" %s/>' % (b"u" * 2_000_000, _ATTRIBUTES),
    b'<a xmlns:p="%s">%s</a>' % (b"u" * 990, b"".join(b"<b %s/>" % _ATTRIBUTES for _ in range(70))),
)

TAR = (b"\0" * 512, b"\xff" * 8, b"\x80" + b"\0" * 11, b"77777777777", b"x", b"L", b"S", b"30 GNU.sparse.size=999999\n")
JSON = (b"[" * (JSON_DEPTH.amount + 1), b"1e999", b"-1", b"NaN", b"null", b"{}", b'"\\ud800"', b'"\\u0000"', b"9" * 30)
XML = (
    b"<!DOCTYPE a [",
    b"<!ENTITY b 'c'>",
    b"&b;",
    b"]>",
    b"<a>" * 40,
    b"\0",
    b"\xff\xfe",
    b"<?xml encoding='utf-16'?>",
)
WIM = tuple(
    text.encode("utf-16-le")
    for text in (
        '<IMAGE INDEX="',
        '1">',
        "</IMAGE>",
        "<NAME>",
        "</NAME>",
        "<MAJOR>",
        "\u0665",
        "&#27;",
        "&#xD800;",
        "9" * 99,
    )
)
INI = (b"[", b"]", b"[[", b"'''", b'"', b"=", b"#", b",", b"\r", b"\0", b"\x1b[2J", b"file:/dev/zero", b"-1", b"9" * 30)

TARGETS: dict[str, Target] = {
    "recipe": Target(_recipe, (RecipeError,), INI),
    "programs": Target(_programs, (RecipeError,), (*INI, b"packages.debian-..12", b"80/tcp", b"https://", b"@", b"-")),
    "manifest": Target(_manifest, (ValueError,), JSON),
    "tar": Target(_tar, (ValueError,), TAR, tar_sums),
    "ova": Target(_ova, (VmgenError,), (*TAR, *XML), tar_sums),
    "ovf": Target(lambda data, _: read_descriptor(data), (ValueError,), XML, bombs=NAMES),
    "vmdk": Target(lambda data, _: check_vmdk(io.BytesIO(data)), (VmgenError,), (b"\0" * 512, b"\xff" * 8, b"KDMV")),
    "bundle": Target(_bundle, (BuildError,), TAR, tar_sums),
    "os-template": Target(_os_template, (), (b"\x1f\x8b\x08\0", b"\0" * 8, b"\xff" * 4)),
    "vzctl-conf": Target(_conf, (ValueError,), (b'="', b'"\n', b"NETIF", b"\xb2", b":", b"9" * 5000, b"\0")),
    "sums": Target(_sums, (VmgenError,), (b"  ", b"/", b"\0", b"\n")),
    "known-hosts": Target(_known_hosts, (VmgenError,), (b"@revoked ", b"|1|", b"*", b"!", b"[", b"]:22", b"=", b"\0")),
    "machine": Target(lambda data, _: machine_read_back(data.decode("utf-8", "replace")), (ValueError,), JSON),
    "qcow2": Target(_qcow2, (ValueError,), (b"\0" * 8, b"\xff" * 8, b"\xe2\x79\x2a\xca", b"\x02")),
    "medium": Target(
        _medium, (), (b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x3f", b"\0\x01", b"\x05\x01", b"\x10")
    ),
    "wim": Target(_wim, (), WIM, bombs=(WIM[0] * 200_000 + WIM[2], (WIM[0] + WIM[1] + WIM[3] + WIM[2]) * 40_000)),
    "release": Target(
        _release, (VmgenError,), (b"Date:", b"Date: Thu, 99 Xxx 99999", b"\n ", b"\n\n", b"SHA256:", b"-----BEGIN PGP ")
    ),
    "export": Target(_export, (), (*JSON, b"..", b"/", b"steps", b"name", b"sh")),
    "marked": Target(
        _marked, (HostError,), (b"MARK ", b"MARK 1\n", b"MARK 0", b"9" * 64, b"\n", b"\0"), bombs=(b"MARK" * 9000,)
    ),
    "lines": Target(_lines, (), (b"\r", b"\n", b"\r\n", b"\xc3", b"\xf0\x9f", b"\0"), bombs=(b"x" * 2_000_000,)),
    "text": Target(
        _text, (), (b"\x1b[", b"\x1b]", b"\xc2\x9b", b"://", b"@", b":", b"\xe2\x80\xae"), bombs=(b"a." * 32768 + b"@",)
    ),
    "probe": Target(
        _probe, (), (b" ", b"\t", b";", b"&&", b"#", b"true", b"exit 0", b"echo "), bombs=(b" " * 200_000 + b"x",)
    ),
    "agent": Target(_answer, (), (b" ", b"=", b"-1", b"9" * 5000, b"\xff")),
    "console": Target(
        _console, (), (b"\x1b[", b"1" * 5000, b";", b"H", b"ALERT! " * 900, b"login: ", b"\r", b"\x9b", b"\xff")
    ),
    "os-release": Target(
        lambda data, _: parse_os_release(data.decode("utf-8", "replace")), (VmgenError,), (b"'", b'"', b"=", b"\\")
    ),
    "template": Target(
        lambda data, _: ShellText().feed(data.decode("utf-8", "replace")),
        (ValueError,),
        (b'"', b"'", b"`", b"$(", b"${", b"<<EOF\n", b"\\", b"#", b")", b"}"),
    ),
}
