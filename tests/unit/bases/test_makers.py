"""Roots out of tars of others, and who makes which base."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build import plugins
from vmgen_build.bases.apt.archive import sources_of
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.makers import make_base
from vmgen_build.bases.supply import Making, Request, supply_kind
from vmgen_build.bases.unpack import unpack
from vmgen_build.errors import BuildError, StepFailed, VmgenError
from vmgen_build.installers.apt import Apt
from vmgen_build.plan.bases import Bootstrapped, Image, OsTemplate, PlacedMachine, Tarball
from vmgen_build.systems import Archive
from vmgen_build.systems.parse import parse_system

COMPRESSORS = {"tar": ["cat"], "gz": ["gzip"], "xz": ["xz"], "bz2": ["bzip2"], "zst": ["zstd", "-q"]}


def packed(folder: Path, names: list[str], suffix: str = "tar") -> tuple[Path, str]:
    """A tar of small files, and its sha256."""
    plain = folder / "plain.tar"
    with tarfile.open(plain, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = 4, 0o751, 5
            tar.addfile(info, io.BytesIO(b"text"))
    goal = folder / f"root.{suffix}"
    goal.write_bytes(subprocess.run(COMPRESSORS[suffix], input=plain.read_bytes(), capture_output=True).stdout)
    return goal, hashlib.sha256(goal.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_every_compression_is_unpacked(tmp_path: Path, suffix: str) -> None:
    archive, digest = packed(tmp_path, ["./bin/tool", "./etc/x"], suffix)
    unpack(archive, digest.upper(), tmp_path / "root")
    tool = tmp_path / "root/bin/tool"
    assert tool.read_text() == "text" and tool.stat().st_mode & 0o777 == 0o751 and tool.stat().st_mtime == 5


def test_another_file_is_not_unpacked(tmp_path: Path) -> None:
    archive, digest = packed(tmp_path, ["bin/tool"])
    with pytest.raises(BuildError, match=f"has the sha256 {digest}, and {'0' * 64} is asked for"):
        unpack(archive, "0" * 64, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_what_is_no_root_is_refused(tmp_path: Path) -> None:
    archive, digest = packed(tmp_path, ["rootfs/bin/tool"])
    with pytest.raises(BuildError, match="holds no root file system"):
        unpack(archive, digest, tmp_path / "root")
    with pytest.raises(BuildError, match=r"cannot unpack .*No such file"):
        unpack(tmp_path / "nowhere.tar", digest, tmp_path / "other")


@pytest.mark.parametrize(("suffix", "left"), [("tar", 1024 * 200 + 514), ("gz", 1000)])
def test_a_damaged_archive_is_refused_with_the_programs_own_words(tmp_path: Path, suffix: str, left: int) -> None:
    """A file takes a block of 512 bytes for its header, and one for its content."""
    archive, _ = packed(tmp_path, [f"bin/tool{n}" for n in range(400)], suffix)
    archive.write_bytes(archive.read_bytes()[:left])
    with pytest.raises(StepFailed, match=r"[Uu]nexpected"):
        unpack(archive, hashlib.sha256(archive.read_bytes()).hexdigest(), tmp_path / "root")


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    archive, digest = packed(tmp_path, ["bin/tool", "../evil"])
    with pytest.raises(StepFailed, match=r"'\.\.'"):
        unpack(archive, digest, tmp_path / "root")
    assert not (tmp_path / "evil").exists()


def making(folder: Path) -> Making:
    request = Request(parse_system("debian-12-amd64"), None, 0)
    supply = supply_kind(request.system).of_host(request, lambda _argv: b"")
    (folder / "scratch").mkdir()
    return Making(folder, folder / "scratch", supply, folder / "indexes", lambda _line: None)


def test_a_tarball_becomes_the_root(tmp_path: Path) -> None:
    archive, digest = packed(tmp_path, ["usr/bin/tool"], "zst")
    to_make = making(tmp_path)
    make_base(Tarball(archive, digest), to_make)
    assert (to_make.root / "usr/bin/tool").read_text() == "text"


def test_an_os_template_is_taken_from_the_cache(tmp_path: Path) -> None:
    archive, digest = packed(tmp_path, ["usr/bin/tool"], "gz")
    base = OsTemplate("debian-12-x86_64", digest, "debian", "bookworm", "amd64", (), 0)
    to_make = making(tmp_path)
    with pytest.raises(BuildError, match="debian-12-x86_64 is not in the cache any more"):
        make_base(base, to_make)
    folder = tmp_path / "downloads/ostemplates"
    folder.mkdir(parents=True)
    archive.rename(folder / "debian-12-x86_64.tar.gz")
    make_base(base, to_make)
    assert (to_make.root / "usr/bin/tool").read_text() == "text"


def test_bases_differ_by_what_they_are_made_of(tmp_path: Path) -> None:
    bases = [
        Bootstrapped("mmdebstrap", "debian", "bookworm", "amd64", ("dbus",), "r", 0),
        OsTemplate("debian-12-x86_64", "r", "debian", "bookworm", "amd64", ("dbus",), 0),
        Tarball(Path("/one/root.tar"), "0" * 64),
        Tarball(Path("/one/root.tar"), "1" * 64),
        Image(Path("/one/disk.img"), "raw", "0" * 64),
        Image(Path("/one/disk.img"), "qcow2", "0" * 64),
        PlacedMachine("golden"),
        PlacedMachine("golden", "clean"),
        PlacedMachine("golden", "clean", "2026-11-25"),
    ]
    assert len({base.id for base in bases}) == len(bases)
    assert Tarball(Path("/two/root.tar"), "0" * 64).id == bases[2].id
    assert Image(Path("/two/disk.img"), "raw", "0" * 64).id == bases[4].id
    assert all(base.name == "base" and base.as_dict()["id"] == base.id for base in bases)


class Portage(Apt):
    """An installer of others: of its own supply, of which there is none."""

    supply = ""


def test_a_package_manager_without_a_supply_is_named() -> None:
    with pytest.raises(VmgenError, match="installs its packages with windows, which this version cannot drive"):
        supply_kind(parse_system("win11"))
    gentoo = replace(parse_system("debian-12"), installer="portage")
    plugins.register("vmgen_build.installers", "portage", Portage())
    try:
        with pytest.raises(BuildError, match="cannot fetch packages for portage"):
            supply_kind(gentoo)
        plugins.register("vmgen_build.supplies", "portage", AptSupply)
        assert supply_kind(gentoo) is AptSupply
    finally:
        plugins.unregister("vmgen_build.installers", "portage")
        plugins.unregister("vmgen_build.supplies", "portage")


def test_an_installer_takes_the_supply_that_it_names() -> None:
    plugins.register("vmgen_build.installers", "marked", Apt())
    try:
        assert supply_kind(replace(parse_system("debian-12"), installer="marked")) is AptSupply
    finally:
        plugins.unregister("vmgen_build.installers", "marked")


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        (
            "debian-12",
            [
                "deb http://near/debian bookworm main",
                "deb http://near/debian bookworm-updates main",
                "deb http://deb.debian.org/debian-security bookworm-security main",
            ],
        ),
        ("debian-sid", ["deb http://near/debian sid main"]),
    ],
)
def test_packages_come_from_the_systems_archives(system: str, lines: list[str]) -> None:
    assert [s.line() for s in sources_of(parse_system(system), None, {"debian": "http://near/debian/"})] == lines


def test_a_distribution_of_others_has_archives_of_its_own() -> None:
    archives = (
        Archive(name="lernstick", uri="https://deb.example.org/lernstick/", suites=("spring",), components=("all",)),
        Archive(name="debian", uri="http://deb.debian.org/debian", suites=("bookworm",)),
    )
    system = replace(parse_system("debian-12"), name="lernstick-3", archives=archives)
    lines = [s.line() for s in sources_of(system, None, {"debian": "http://near/debian"})]
    assert lines == ["deb https://deb.example.org/lernstick spring all", "deb http://near/debian bookworm main"]
    mirrored = [s.uri for s in sources_of(system, "http://mine/lernstick", {"debian": "http://near/debian"})]
    assert mirrored == ["http://mine/lernstick", "http://near/debian"]
    with pytest.raises(BuildError, match="no package archive of lernstick-3 is known"):
        sources_of(replace(system, archives=()), None, {})


def test_a_host_of_another_family_takes_debians_own_addresses() -> None:
    request = Request(parse_system("debian-12-amd64"), None, 0)
    answers = {"/etc/os-release": b"ID=debian\n", "$(REPO_URI)": b"http://near/debian\n"}
    answers["dump"] = b'Acquire::http::Proxy "http://proxy:3128";\nDir "/";\n'
    answers["/etc/ssl/certs/ca-certificates.crt"] = b"CERTIFICATES"
    there = supply_kind(request.system).of_host(request, lambda argv: answers[argv[-1]])
    files = there.settings("/run/x", "/var/x")
    keyring = b"/usr/share/keyrings/debian-archive-keyring.gpg"
    first = b"deb [signed-by=" + keyring + b"] http://near/debian bookworm main"
    assert files["sources.list"].splitlines()[0] == first
    assert b'Acquire::http::Proxy "http://proxy:3128";' in files["apt.conf"] and b'Dir "/"' not in files["apt.conf"]
    assert b'CaInfo "/run/x/ca-certificates.crt"' in files["apt.conf"]
    assert files["ca-certificates.crt"] == b"CERTIFICATES"
    answers["/etc/os-release"] = b"ID=centos\n"
    elsewhere = (
        supply_kind(request.system).of_host(request, lambda argv: answers[argv[-1]]).settings("/run/x", "/var/x")
    )
    assert elsewhere["sources.list"].splitlines()[0] == first.replace(b"//near/", b"//deb.debian.org/")
    assert "ca-certificates.crt" not in elsewhere and b"Proxy" not in elsewhere["apt.conf"]
