"""Each reader of foreign data: what reads, which errors it may raise, and what its samples are mutated with.

A further reader is one entry of TARGETS, and its samples in corpus/NAME/.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.manifest import parse_manifest
from vmgen_build.artifacts.openvz.bundle import conf_findings, os_template_findings, read_bundle
from vmgen_build.artifacts.openvz.config import parse_conf
from vmgen_build.artifacts.ova import check_ova
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.sums import NAME, read_sums
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.artifacts.vmdk import check_vmdk
from vmgen_build.bases.apt.release import digest_of_indexes, signed_release
from vmgen_build.boots.qemu.agent import _parsed as parsed_answer
from vmgen_build.boots.qemu.console import TAIL, Console
from vmgen_build.errors import BuildError, RecipeError, VmgenError
from vmgen_build.guests.runners.hostkeys import known_keys
from vmgen_build.host.system import parse_os_release
from vmgen_build.limits import FINDINGS, JSON_DEPTH, OVA_FILES, PROBES
from vmgen_build.plan.readback import machine_read_back
from vmgen_build.plan.text.guard import ShellText
from vmgen_build.recipe.load import load

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """read: takes the bytes, and an empty folder of its own. errors: what it may raise. tokens: what is put into a
    sample. mended: makes checksums right again, so that a mutation gets behind them."""

    read: Callable[[bytes, Path], object]
    errors: tuple[type[Exception], ...]
    tokens: tuple[bytes, ...]
    mended: Callable[[bytes], bytes] = bytes

    def run(self, data: bytes, folder: Path) -> None:
        try:
            self.read(self.mended(data), folder)
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


def _answer(data: bytes, _: Path) -> None:
    parsed_answer(data.decode("ascii", "replace"), 3)


def _console(data: bytes, folder: Path) -> None:
    (folder / "console").write_bytes(data)
    console = Console(folder / "console")
    console.end()
    console.asks_for_login()
    assert len(console.tail().splitlines()) <= TAIL + 1


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
INI = (b"[", b"]", b"[[", b"'''", b'"', b"=", b"#", b",", b"\r", b"\0", b"\x1b[2J", b"file:/dev/zero", b"-1", b"9" * 30)

TARGETS: dict[str, Target] = {
    "recipe": Target(_recipe, (RecipeError,), INI),
    "manifest": Target(_manifest, (ValueError,), JSON),
    "tar": Target(_tar, (ValueError,), TAR, tar_sums),
    "ova": Target(_ova, (VmgenError,), (*TAR, *XML), tar_sums),
    "ovf": Target(lambda data, _: read_descriptor(data), (ValueError,), XML),
    "vmdk": Target(lambda data, _: check_vmdk(io.BytesIO(data)), (VmgenError,), (b"\0" * 512, b"\xff" * 8, b"KDMV")),
    "bundle": Target(_bundle, (BuildError,), TAR, tar_sums),
    "os-template": Target(_os_template, (), (b"\x1f\x8b\x08\0", b"\0" * 8, b"\xff" * 4)),
    "vzctl-conf": Target(_conf, (ValueError,), (b'="', b'"\n', b"NETIF", b"\xb2", b":", b"9" * 5000, b"\0")),
    "sums": Target(_sums, (VmgenError,), (b"  ", b"/", b"\0", b"\n")),
    "known-hosts": Target(_known_hosts, (VmgenError,), (b"@revoked ", b"|1|", b"*", b"!", b"[", b"]:22", b"=", b"\0")),
    "machine": Target(lambda data, _: machine_read_back(data.decode("utf-8", "replace")), (ValueError,), JSON),
    "qcow2": Target(_qcow2, (ValueError,), (b"\0" * 8, b"\xff" * 8, b"\xe2\x79\x2a\xca", b"\x02")),
    "release": Target(
        _release, (VmgenError,), (b"Date:", b"Date: Thu, 99 Xxx 99999", b"\n ", b"\n\n", b"SHA256:", b"-----BEGIN PGP ")
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
