"""Issue 8, item 12: OVA, OVF, VMDK and the bundle for OpenVZ, made to exhaust whoever reads them."""

from __future__ import annotations

import gzip
import io
import os
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.openvz.bundle import os_template_findings, read_bundle
from vmgen_build.artifacts.ova import check_ova
from vmgen_build.artifacts.ova.tar import walk
from vmgen_build.artifacts.ovf.parse import parse_xml
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.errors import BuildError, HostError
from vmgen_build.limits import OVA_FILES, TAR_HEADER, XML_ELEMENTS


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(**records: str) -> bytes:
    """A pax header with those records."""
    data = b""
    for key, value in records.items():
        body = f" {key.replace('_', '.')}={value}\n".encode()
        data += str(len(body) + 2 + (len(body) > 97)).encode() + body
    return header("x", len(data), b"x") + data + bytes(-len(data) % 512)


END = bytes(1024)

BAD: dict[str, tuple[bytes, str]] = {
    "negative": (header("a.ovf", -512) + END, "a size below zero"),
    "negative-far": (header("a", 0) + header("b", -1024) + END, "a size below zero"),
    "base-256": (header("a", 2**62) + END, "the limit 'tar-content'"),
    "cut": (header("a", 5000) + b"abc", "cut off"),
    "long-pax": (header("x", 600_000_000, b"x"), "the limit 'tar-header'"),
    "long-name": (header("x", 600_000_000, b"L"), "the limit 'tar-header'"),
    "sparse-pax": (pax(GNU_sparse_realsize=str(2**50), GNU_sparse_major="1") + header("a") + END, "a sparse file"),
    "sparse-gnu": (header("a", 512, b"S") + bytes(512) + END, "a sparse file"),
    "pax-size": (pax(size="-5") + header("a") + END, "no number of bytes"),
    "pax-cut": (header("x", 20, b"x") + b"9999 path=a".ljust(512, b"\0") + END, "damaged pax header"),
    "checksum": (b"x" * 512 + END, "damaged header"),
}


@pytest.mark.parametrize("name", BAD)
def test_issue_8_12_a_tar_stream_refuses(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    with pytest.raises(ValueError) as caught:
        for _ in TarStream(io.BytesIO(data)).entries():
            pass
    assert message in str(caught.value)
    (tmp_path / "b.tar").write_bytes(data)
    with pytest.raises(BuildError, match="is no bundle for OpenVZ"):
        read_bundle(tmp_path / "b.tar")
    (tmp_path / "t.tar.gz").write_bytes(gzip.compress(data))
    assert message in os_template_findings(tmp_path / "t.tar.gz", "t.tar.gz")[0]


def test_what_pythons_tarfile_writes_is_read(tmp_path: Path) -> None:
    """Long names, names that are no ASCII, and all kinds of entries, in both formats."""
    names = ["./short", "./" + "n" * 300, "./\u0219i", "./last"]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as tar:
            for name in names if form != tarfile.USTAR_FORMAT else ["./short", "./last"]:
                info = tarfile.TarInfo(name)
                info.size = 700
                tar.addfile(info, io.BytesIO(name.encode()[:1] * 700))
                link = tarfile.TarInfo(name + ".link")
                link.type, link.linkname = tarfile.SYMTYPE, name
                tar.addfile(link)
        with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
            wanted = [(member.name, member.isfile(), member.size) for member in tar]
        stream = TarStream(io.BytesIO(file.getvalue()))
        assert [(entry.name, entry.is_file, entry.size) for entry in stream.entries()] == wanted
        stream = TarStream(io.BytesIO(file.getvalue()))
        assert {stream.readall() for entry in stream.entries() if entry.is_file} == {b"." * 700}


def test_issue_8_12_an_ova_member_of_negative_size_does_not_loop(tmp_path: Path) -> None:
    path = tmp_path / "a.ova"
    for size in (-512, -1024, -(2**40)):
        path.write_bytes(header("a.ovf", 0) + header("b", size) + END)
        findings = check_ova(path).findings
        assert "b: its size is below zero" in findings


def test_issue_8_12_an_ova_has_few_members(tmp_path: Path) -> None:
    data = b"".join(header(f"{i}.vmdk") for i in range(OVA_FILES.amount + 1)) + END
    members, findings = walk(io.BytesIO(data), len(data))
    assert len(members) == OVA_FILES.amount and "the limit 'ova-files'" in findings[-1]
    pax_only = header("x", 0, b"x") * 5000 + END
    _, findings = walk(io.BytesIO(pax_only), len(pax_only))
    assert len(findings) <= OVA_FILES.amount + 2


def test_issue_8_12_an_ova_with_many_mistakes_lists_few(tmp_path: Path) -> None:
    path = tmp_path / "a.ova"
    lines = b"x\n" * 1_000_000
    path.write_bytes(header("a.ovf") + header("a.mf", len(lines)) + lines + bytes(-len(lines) % 512) + END)
    findings = check_ova(path).findings
    assert len(findings) == 101 and "the limit 'findings'" in findings[-1]


def test_issue_8_12_an_ova_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ova")
    with pytest.raises(HostError, match="it is a pipe, not a file"):
        check_ova(tmp_path / "a.ova")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "'
    + "x" * 1000
    + '"><!ENTITY c "'
    + "&b;" * 1000
    + '">]><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1">'
    + "&c;" * 300
    + "</Envelope>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-7"])
def test_issue_8_12_no_encoding_hides_a_document_type(encoding: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"document type|not UTF-8|not well-formed"):
        read_descriptor(BOMB.encode(encoding))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-7"])
def test_issue_8_12_a_declared_encoding_changes_nothing(encoding: str) -> None:
    with pytest.raises(ValueError, match="document type"):
        read_descriptor(BOMB.replace('"1.0"', f'"1.0" encoding="{encoding}"').encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<a>" * 100_000, "the limit 'xml-depth'"),
        (b"<a>" + b"<b/>" * XML_ELEMENTS.amount + b"</a>", "the limit 'xml-elements'"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a>\0</a>", "NUL"),
        (b"", "not well-formed"),
    ],
)
def test_issue_8_12_a_descriptor_has_limits(text: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_xml(text)
    assert message in str(caught.value)


def test_issue_8_12_numbers_of_a_descriptor_have_few_digits() -> None:
    digits = "9" * 5000
    text = (
        '<o:Envelope xmlns:o="http://schemas.dmtf.org/ovf/envelope/1"><o:References>'
        f'<o:File o:id="f" o:href="d.vmdk" o:size="{digits}"/></o:References><o:DiskSection>'
        f'<o:Disk o:diskId="d" o:fileRef="f" o:capacity="{digits}"/></o:DiskSection></o:Envelope>'
    )
    ovf = read_descriptor(text.encode())
    assert any("no number of bytes" in finding for finding in ovf.findings)
    assert any("no size of a disk" in finding for finding in ovf.findings)


def bundle(content: Callable[[tarfile.TarFile], None]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        content(tar)
    return file.getvalue()


def test_issue_8_12_a_bundles_texts_have_a_limit(tmp_path: Path) -> None:
    def large(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("101.conf")
        info.size = 1_000_001
        tar.addfile(info, io.BytesIO(bytes(info.size)))

    def twice(tar: tarfile.TarFile) -> None:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("101.conf"))

    for content, message in ((large, "the limit 'bundle-text'"), (twice, "101.conf is in it twice")):
        (tmp_path / "b.tar").write_bytes(bundle(content))
        with pytest.raises(BuildError) as caught:
            read_bundle(tmp_path / "b.tar")
        assert message in str(caught.value)
    assert TAR_HEADER.amount == 64_000
