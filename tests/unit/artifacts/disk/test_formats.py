"""Issue 8, item 8: formats are known and never guessed; an image that leads elsewhere or is encrypted is refused."""

from __future__ import annotations

import json
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmgen_build.artifacts.disk.convert import convert, to_raw
from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.vmdk.alone import check_alone
from vmgen_build.errors import BuildError
from vmgen_build.limits import DISK_SIZE

MIB = 1 << 20


def made(path: Path, form: str, *options: str) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", form, *options, path, "8M"], check=True, capture_output=True)
    return path


def patched(path: Path, at: int, form: str, *values: int) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack(form, *values))
    return path


def refusal(path: Path, form: str) -> str:
    with pytest.raises(BuildError) as caught:
        to_raw(Disk("d", path, form), path.with_name("new.raw"))
    assert not path.with_name("new.raw").exists()
    return str(caught.value)


@pytest.mark.parametrize("options", [(), ("-o", "compat=0.10"), ("-o", "extended_l2=on,cluster_size=128k")])
def test_issue_8_8_a_plain_qcow2_is_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = made(tmp_path / "d", "qcow2", *options)
    with path.open("rb") as file:
        assert check_qcow2(file) == 8 * MIB
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", path], check=True, capture_output=True)
    to_raw(Disk("d", path, "qcow2"), tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == bytes(MIB) + b"\7" * 65536 + bytes(7 * MIB - 65536)


def test_issue_8_8_a_qcow2_that_leads_to_a_file_of_the_host_is_refused(tmp_path: Path) -> None:
    secret = made(tmp_path / "secret", "raw")
    assert "its backing file" in refusal(made(tmp_path / "d", "qcow2", "-b", str(secret), "-F", "raw"), "qcow2")
    out = made(tmp_path / "e", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on")
    assert "in another file" in refusal(out, "qcow2")


def encrypted(path: Path) -> Path:
    """qemu-img measures how fast the host is, and ends where a busy one does not let it: it is asked again."""
    secret = ("--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10")
    for _ in range(50):
        with suppress(subprocess.CalledProcessError):
            return made(path, "qcow2", *secret)
        path.unlink(missing_ok=True)
    return made(path, "qcow2", *secret)


def test_issue_8_8_an_encrypted_qcow2_is_refused(tmp_path: Path) -> None:
    assert "encrypted" in refusal(encrypted(tmp_path / "d"), "qcow2")


@pytest.mark.parametrize(
    ("at", "form", "value", "why"),
    [
        (4, ">I", 9, "version 9"),
        (16, ">I", 1, "its backing file"),
        (20, ">I", 40, "clusters have 2^40 bytes"),
        (24, ">Q", 0, "nothing to read"),
        (24, ">Q", 1 << 62, "the limit 'disk-size'"),
        (60, ">I", 100_000, "the limit 'image-snapshots'"),
        (72, ">Q", 1 << 20, "not known here"),
        (72, ">Q", 2, "corrupt"),
        (96, ">I", 63, "no qcow2 image has"),
        (100, ">I", 1 << 30, "no qcow2 image has"),
        (104, ">I", 0xE2792ACA, "the format of a backing file"),
        (104, ">I", 0x44415441, "the name of a data file"),
    ],
)
def test_issue_8_8_a_qcow2_header_is_checked(tmp_path: Path, at: int, form: str, value: int, why: str) -> None:
    path = made(tmp_path / "d", "qcow2")
    length = struct.unpack(">I", path.read_bytes()[100:104])[0]
    assert why in refusal(patched(path, length if at == 104 else at, form, value), "qcow2")


def test_issue_8_8_a_raw_disk_that_begins_like_qcow2_stays_raw(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 10_000)
    path = made(tmp_path / "d", "qcow2", "-b", str(secret), "-F", "raw")
    content = path.read_bytes()
    to_raw(Disk("d", path, "raw"), tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == content
    convert(Disk("d", path, "raw"), tmp_path / "new.qcow2", "qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "raw", tmp_path / "new.qcow2", tmp_path / "back"], check=True)
    assert (tmp_path / "back").read_bytes()[: len(content)] == content


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_issue_8_8_a_vmdk_of_one_file_is_read(tmp_path: Path, kind: str) -> None:
    raw = made(tmp_path / "raw", "raw")
    path = tmp_path / "d"
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", raw, path], check=True)
    with path.open("rb") as file:
        assert check_alone(file) == 8 * MIB


def test_issue_8_8_a_vmdk_that_leads_to_a_file_of_the_host_is_refused(tmp_path: Path) -> None:
    whole = made(tmp_path / "d", "vmdk")
    data = whole.read_bytes()
    for old, new, why in (
        (b"parentCID=ffffffff", b"parentCID=12345678", "its parent"),
        (b"SPARSE", b"FLAT  ", "not one sparse extent"),
        (b"monolithicSparse", b"monolithicFlat\0\0", "createType"),
        (b"ddb.adapterType", b"encryption.keys", "encrypted"),
    ):
        (tmp_path / "x").write_bytes(data.replace(old, new, 1))
        assert why in refusal(tmp_path / "x", "vmdk"), new
    (tmp_path / "x").write_text('# Disk DescriptorFile\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/shadow" 0\n')
    assert "leads to other files" in refusal(tmp_path / "x", "vmdk")
    assert "nothing to read" in refusal(patched(whole, 12, "<Q", 0), "vmdk")


@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk"])
def test_issue_8_8_what_is_no_file_is_not_waited_for(tmp_path: Path, form: str) -> None:
    import os

    os.mkfifo(tmp_path / "d")
    assert "it is no file" in refusal(tmp_path / "d", form)


@pytest.mark.parametrize("form", ["qcow2", "vmdk"])
def test_issue_8_8_any_damage_to_a_header_is_a_refusal_or_none(
    tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    folder = tmp_path_factory.mktemp(form)
    whole, damaged = made(folder / "d", form).read_bytes()[: 2 * MIB], folder / "damaged"
    check = {"qcow2": check_qcow2, "vmdk": check_alone}[form]

    @given(st.integers(0, 160), st.binary(min_size=1, max_size=16), st.integers(0, 4096))
    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    def damage(at: int, data: bytes, cut: int) -> None:
        damaged.write_bytes((whole[:at] + data + whole[at + len(data) :])[: len(whole) - cut * 512])
        with damaged.open("rb") as file:
            try:
                assert 0 < check(file) <= DISK_SIZE.amount
            except ValueError as error:
                assert str(error)

    damage()


def test_issue_8_8_a_descriptor_behind_the_end_is_refused(tmp_path: Path) -> None:
    whole = made(tmp_path / "d", "vmdk")
    (tmp_path / "x").write_bytes(whole.read_bytes()[:300])
    assert "ends before its descriptor" in refusal(tmp_path / "x", "vmdk")
    assert "where programs look for it" in refusal(patched(whole, 28, "<Q", 1 << 62), "vmdk")


def _with_descriptor(whole: bytes, at: int, text: bytes) -> bytes:
    """whole: a VMDK. text: put at this byte, with what its descriptor has behind it gone."""
    size = max(len(whole), at + 20 * 512)
    data = bytearray(whole.ljust(size, b"\0"))
    data[at : at + 20 * 512] = text.ljust(20 * 512, b"\0")
    return bytes(data)


def _chain(path: Path) -> list[str]:
    """The files that QEMU opens for it."""
    command = ["qemu-img", "info", "--backing-chain", "--output=json", "-f", "vmdk", path]
    return [one["filename"] for one in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)]


@pytest.mark.parametrize("place", ["within a line", "behind the header's own", "behind its end", "in small sectors"])
def test_issue_8_8_a_vmdk_with_a_parent_where_qemu_looks_for_it_is_refused(tmp_path: Path, place: str) -> None:
    whole = made(tmp_path / "d", "vmdk").read_bytes()
    other = made(tmp_path / "parent", "vmdk")
    clean = whole[512 : 21 * 512].partition(b"\0")[0]
    hint = b'parentFileNameHint="%s"\n' % bytes(other)
    path = tmp_path / "x"
    if place == "within a line":
        path.write_bytes(_with_descriptor(whole, 512, clean + b"x " + hint))
    elif place == "behind the header's own":
        away = -(-len(whole) // 512)
        path.write_bytes(_with_descriptor(_with_descriptor(whole, away * 512, clean), 512, clean + hint))
        patched(path, 28, "<Q", away)
    elif place == "behind its end":
        path.write_bytes(_with_descriptor(whole, 512, clean + hint))
        patched(path, 36, "<Q", 1)
    else:
        path.write_bytes(_with_descriptor(whole, 512, clean.ljust(1024, b"\n") + hint))
        patched(path, 36, "<Q", 2)
    assert _chain(path) == [str(path), str(other)], "QEMU reads it elsewhere by now; look again at what is checked"
    with path.open("rb") as file, pytest.raises(ValueError, match=r"its parent|where programs look for it"):
        check_alone(file)


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_issue_8_8_qemu_opens_one_file_of_what_is_read(tmp_path: Path, kind: str) -> None:
    raw, path = made(tmp_path / "raw", "raw"), tmp_path / "d"
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", raw, path], check=True)
    with path.open("rb") as file:
        check_alone(file)
    assert _chain(path) == [str(path)]
