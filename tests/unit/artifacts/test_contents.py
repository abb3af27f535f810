"""What an image of others is, and what its root holds, read as it passes by: made with tarfile, gzip and zstd."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts import contents
from vmgen_build.artifacts.contents import RootContent, read_content
from vmgen_build.artifacts.kinds import kind_of
from vmgen_build.errors import BuildError

PASSWD = b"root:x:0:0::/root:/bin/sh\n"
ROOT: dict[str, bytes | None] = {"./": None, "./etc": None, "./etc/passwd": PASSWD, "./usr": None, "./usr/x": b"12345"}


def tar_of(files: Mapping[str, bytes | None], more: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """None stands for a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.mode = (tarfile.DIRTYPE, 0o755) if data is None else (tarfile.REGTYPE, 0o640)
            info.size, info.uid, info.gid = len(data or b""), 1000, 2000
            tar.addfile(info, io.BytesIO(data or b""))
        for info in more:
            tar.addfile(info)
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def content(tmp_path: Path, data: bytes, **how: bool) -> RootContent:
    path = tmp_path / "image"
    path.write_bytes(data)
    kind = kind_of(path)
    assert kind is not None
    return read_content(path, kind, **how)


def blob(data: bytes) -> tuple[str, dict[str, object]]:
    digest = hashlib.sha256(data).hexdigest()
    return f"blobs/sha256/{digest}", {"digest": f"sha256:{digest}", "size": len(data)}


def layered(*layers: bytes) -> bytes:
    blobs = [blob(layer) for layer in layers]
    manifest = json.dumps({"layers": [descriptor for _, descriptor in blobs]}).encode()
    name, descriptor = blob(manifest)
    files: dict[str, bytes | None] = {one: data for (one, _), data in zip(blobs, layers, strict=True)}
    index = json.dumps({"manifests": [descriptor]}).encode()
    return tar_of({"oci-layout": b"{}", **files, name: manifest, "index.json": index})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (tar_of({"config": b"", "metadata.yaml": b"", "rootfs": None, "rootfs/etc": None}), "lxc"),
        (tar_of({"metadata.yaml": b"", "rootfs": None}), "incus"),
        (tar_of({"metadata.yaml": b"", "rootfs.img": b""}), "incus-vm"),
        (tar_of(ROOT), "root"),
        (layered(), "oci"),
        (tar_of({"Vagrantfile": b"", "metadata.json": b"{}"}), "box"),
        (tar_of({"lab.ovf": b"", "lab.vmdk": b""}), "ova"),
        (tar_of({"INSTALL": b"", "101.conf": b"", "SHA256SUMS": b"", "d.tar.gz": b""}), "openvz"),
        (tar_of({"notes.txt": b""}), "tar"),
        (b"QFI\xfb" + bytes(508), "qcow2"),
        (b"KDMV" + bytes(508), "vmdk"),
        (b"vhdxfile" + bytes(504), "vhdx"),
        (bytes(1024) + b"conectix" + bytes(504), "vhd"),
        (bytes(510) + b"\x55\xaa" + bytes(512), "raw"),
        (bytes(32769) + b"CD001" + bytes(3000), "iso"),
        (b"hsqs" + bytes(508), "squashfs"),
        (b"VMA\0" + bytes(508), "vma"),
        (b"[hardware]\nvm_id = lab\n", None),
        (b"", None),
        (bytes(4096), None),
    ],
)
def test_a_kind_is_known_by_content(tmp_path: Path, data: bytes, kind: str | None) -> None:
    path = tmp_path / "some.name"
    for packed in (data, gzip.compress(data)):
        path.write_bytes(packed)
        found = kind_of(path)
        if kind == "vhd" and packed is not data:
            continue
        assert (found and found.name) == kind
        assert found is None or found.compression == ("" if packed is data else "gzip")


def test_files_with_all_that_a_header_says(tmp_path: Path) -> None:
    device = tarfile.TarInfo("./dev/null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    more = [link("./bin", "usr/bin"), link("./usr/y", "./usr/x", tarfile.LNKTYPE), device]
    files = content(tmp_path, tar_of(ROOT, more), digests=True).files
    assert list(files) == ["bin", "dev/null", "etc", "etc/passwd", "usr", "usr/x", "usr/y"]
    entry = files["usr/x"]
    assert (entry.kind, entry.mode, entry.uid, entry.gid, entry.size) == ("file", 0o640, 1000, 2000, 5)
    assert entry.sha256 == hashlib.sha256(b"12345").hexdigest() and files["usr/y"] == entry
    assert (files["bin"].kind, files["bin"].target) == ("link", "usr/bin")
    assert (files["dev/null"].kind, files["dev/null"].target) == ("char", "1:3")
    assert files["etc"].kind == "dir" and files["etc"].mode == 0o755


def test_the_root_within_a_container_and_what_lies_beside_it(tmp_path: Path) -> None:
    inner = {f"rootfs/{name.removeprefix('./')}": data for name, data in ROOT.items()}
    found = content(tmp_path, tar_of({"config": b"lxc.arch = x86_64\n", "metadata.yaml": b"", **inner}))
    assert list(found.files) == ["etc", "etc/passwd", "usr", "usr/x"] and found.texts["etc/passwd"] == PASSWD
    assert found.outer["config"] == b"lxc.arch = x86_64\n" and found.files["usr/x"].sha256 == ""


def test_the_root_within_a_bundle(tmp_path: Path) -> None:
    outer = {"INSTALL": b"", "101.conf": b"", "SHA256SUMS": b"", "debian.tar.gz": gzip.compress(tar_of(ROOT))}
    found = content(tmp_path, tar_of(outer))
    assert "etc/passwd" in found.files and list(found.members) == list(outer)


def test_upper_layers_count(tmp_path: Path) -> None:
    below = gzip.compress(tar_of({**ROOT, "var": None, "var/a": b"a", "var/b": b"b", "opt": None, "opt/deep": b"d"}))
    above = gzip.compress(tar_of({"etc/passwd": b"new", "var/.wh.a": b"", "opt/.wh..wh..opq": b"", "opt/own": b"o"}))
    found = content(tmp_path, layered(below, above), digests=True)
    assert found.texts["etc/passwd"] == b"new"
    assert sorted(found.files) == ["etc", "etc/passwd", "opt", "opt/own", "usr", "usr/x", "var", "var/b"]
    assert content(tmp_path, layered(above, below)).texts["etc/passwd"] == PASSWD


def test_a_file_in_the_place_of_a_folder_hides_what_lay_below(tmp_path: Path) -> None:
    found = content(tmp_path, layered(tar_of(ROOT), tar_of({"usr": b"now a file"})))
    assert sorted(found.files) == ["etc", "etc/passwd", "usr"]


def test_a_container_made_by_the_usual_programs(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    long = "n" * 150
    (root / "etc" / long).write_text("x")
    (root / "etc/hostname").write_text("lab\n")
    (tmp_path / "config").write_text("")
    for form in ("gnu", "posix"):
        command = ["tar", "--zstd", f"--format={form}", "-C", tmp_path, "-cf", tmp_path / "image", "config", "rootfs"]
        subprocess.run(command, check=True)
        kind = kind_of(tmp_path / "image")
        assert kind is not None and (kind.name, kind.compression) == ("lxc", "zstd")
        found = read_content(tmp_path / "image", kind)
        assert list(found.files) == ["etc", "etc/hostname", f"etc/{long}"] and found.texts["etc/hostname"] == b"lab\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar_of({**ROOT, "../etc/shadow": b"x"}), "leads out"),
        (tar_of(ROOT)[:1600], "cut off|ends within"),
        (gzip.compress(tar_of(ROOT))[:-30], "cut off|ends within"),
        (layered(b"\x28\xb5\x2f\xfd" + bytes(600)), "header"),
        (tar_of({"oci-layout": b"{}", "index.json": b'{"manifests": []}'}), "cannot be read|lacks"),
        (tar_of({"oci-layout": b"{}", "index.json": b"[" * 100}), "nested too deep"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        content(tmp_path, data)


@pytest.mark.parametrize("limit", ["LISTED_FILES", "LISTED_NAMES"])
def test_no_more_than_the_limit_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(contents, limit, replace(getattr(contents, limit), amount=3))
    with pytest.raises(BuildError, match="limit 'listed-"):
        content(tmp_path, tar_of(ROOT))


def test_texts_that_are_kept_have_a_limit_in_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LISTED_TEXTS", replace(contents.LISTED_TEXTS, amount=30))
    each: dict[str, bytes | None] = {f"./var/lib/pacman/local/{name}/desc": b"x" * 10 for name in "abcd"}
    assert content(tmp_path, tar_of(dict(list(each.items())[:3]))).texts
    with pytest.raises(BuildError, match="limit 'listed-texts'"):
        content(tmp_path, tar_of(each))
    with pytest.raises(BuildError, match="limit 'listed-texts'"):
        content(tmp_path, tar_of({"oci-layout": b"{" * 20, "index.json": b"{" * 20}))


def test_files_lie_no_deeper_than_the_limit(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="limit 'root-depth'"):
        content(tmp_path, tar_of({"etc/" + "d/" * 200 + "file": b""}))


def test_only_layers_take_files_away(tmp_path: Path) -> None:
    files = content(tmp_path, tar_of({**ROOT, "./etc/.wh.passwd": b"", "./usr/.wh..wh..opq": b""})).files
    assert {"etc/passwd", "etc/.wh.passwd", "usr/.wh..wh..opq", "usr/x"} <= files.keys()
