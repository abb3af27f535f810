"""What images are packed as: several formats at once, compressed disks with block maps, WSL's own files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk.packed import extract_image, mapped_blocks, write_block_map
from vmgen_build.artifacts.result import Disk, Disks, Tree
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import all_backends, backend_named, format_by_name, format_of, formats_of
from vmgen_build.build.engine import _checked_place
from vmgen_build.build.options import BuildOptions
from vmgen_build.cli import main
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.events import Bus
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MB = 1 << 20
MACHINE = "[hardware]\nvm_id = lab\nos = debian-12\n[[hdds]]\n[[[a]]]\nsize = 8M\n[[[b]]]\nsize = 4M\n"
CONTAINER = "[hardware]\nvm_id = lab\nos = debian-12\n"

Home = Callable[[], Disks]


def planned(folder: Path, backend: str, text: str) -> Plan:
    (folder / "r.ini").write_text(text)
    recipe = load(folder / "r.ini")
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None))


def packed(plan: Plan, home: Disks | Tree, form: str, out: Path, compression: str = "zstd") -> tuple[Written, ...]:
    out.mkdir(exist_ok=True)
    options = PackOptions(compression, form)
    return format_of(backend_named(plan.backend), form).pack(plan, home, out, options, Bus())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    def come() -> Disks:
        folder = tmp_path / "home"
        folder.mkdir(exist_ok=True)
        for name, size in (("a", 8 * MB), ("b", 4 * MB)):
            with (folder / f"{name}.img").open("wb") as file:
                file.truncate(size)
                os.pwrite(file.fileno(), hashlib.sha256(name.encode()).digest() * 256, 0)
                os.pwrite(file.fileno(), b"\0" * 4096 + b"x" * 100, 2 * MB)
                os.pwrite(file.fileno(), b"end", size - 3)
        return Disks(tuple(Disk(name, folder / f"{name}.img") for name in "ab"))

    return come


@pytest.mark.parametrize("form", ["raw.xz", "raw.zst"])
@pytest.mark.parametrize(("backend", "stem"), [("vmware", "lab"), ("kvm", "lab-kvm-amd64")])
def test_bmaptool_writes_the_disk_that_was_packed(
    tmp_path: Path, home: Home, backend: str, stem: str, form: str
) -> None:
    digests = [sha256_of(disk.path) for disk in home().disks]
    plan = planned(tmp_path, backend, MACHINE)
    made = packed(plan, home(), form, tmp_path / "out")
    first, second = f"{stem}.{form}", f"{stem}-b.{form}"
    assert [one.path.name for one in made] == [first, f"{first}.bmap", second, f"{second}.bmap"]
    assert [one.sha256 for one in made] == [sha256_of(one.path) for one in made]
    for one, digest in zip((made[0], made[2]), digests, strict=True):
        copy = tmp_path / "copy"
        done = subprocess.run(["bmaptool", "copy", one.path, copy], capture_output=True, text=True)
        assert done.returncode == 0 and "using bmap file" in done.stdout + done.stderr, done.stderr
        assert sha256_of(copy) == digest
        copy.unlink()
    again = packed(plan, home(), form, tmp_path / "again")
    assert [one.sha256 for one in again] == [one.sha256 for one in made]


def test_a_block_map_is_refused_where_the_image_is_another(tmp_path: Path, home: Home) -> None:
    made = packed(planned(tmp_path, "vmware", MACHINE), home(), "raw.zst", tmp_path / "out")
    subprocess.run(["zstd", "-q", "-d", made[0].path, "-o", tmp_path / "other.raw"], check=True)
    with (tmp_path / "other.raw").open("r+b") as file:
        file.write(b"another")
    bmap = ["bmaptool", "copy", "--bmap", made[1].path, tmp_path / "other.raw", tmp_path / "copy"]
    done = subprocess.run(bmap, capture_output=True, text=True)
    assert done.returncode != 0 and "checksum mismatch" in done.stdout + done.stderr


def test_a_map_has_the_blocks_that_hold_something(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"a" * 4096 + bytes(8192) + b"b" * 8192 + bytes(4096) + b"c" * 10)
    with image.open("rb") as file:
        assert list(mapped_blocks(file, image.stat().st_size)) == [(0, 0), (3, 4), (6, 6)]
    text = write_block_map(image, tmp_path / "map").path.read_text()
    assert "<MappedBlocksCount> 4 </MappedBlocksCount>" in text and "<BlocksCount> 7 </BlocksCount>" in text
    assert f'chksum="{hashlib.sha256(b"c" * 10).hexdigest()}"> 6 </Range>' in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "is damaged"),
        (lambda data: b"no image at all", "is damaged"),
        (lambda data: data + data, "larger than its disk of 8388608 bytes"),
    ],
    ids=["cut", "other", "too large"],
)
def test_what_is_no_whole_image_is_refused(
    tmp_path: Path, home: Home, damage: Callable[[bytes], bytes], message: str
) -> None:
    made = packed(planned(tmp_path, "vmware", MACHINE), home(), "raw.zst", tmp_path / "out")
    (tmp_path / "bad").write_bytes(damage(made[0].path.read_bytes()))
    with (tmp_path / "bad").open("rb") as source, pytest.raises(BuildError, match=message):
        extract_image(source, tmp_path / "a.raw", 8 * MB, ["zstd", "-q", "-d", "-c"])
    assert not (tmp_path / "a.raw").exists()


def test_the_level_of_compression_is_taken_where_it_is_the_formats_method(tmp_path: Path, home: Home) -> None:
    plan = planned(tmp_path, "vmware", MACHINE)
    usual = packed(plan, home(), "raw.xz", tmp_path / "usual", "zstd:19")[0].path.read_bytes()
    assert packed(plan, home(), "raw.xz", tmp_path / "six", "xz:6")[0].path.read_bytes() == usual
    assert packed(plan, home(), "raw.xz", tmp_path / "none", "xz:0")[0].path.read_bytes() != usual


def test_disks_are_packed_twice_and_may_be_removed_each_time(tmp_path: Path, home: Home) -> None:
    plan, disks = planned(tmp_path, "vmware", MACHINE), home()
    digests = [sha256_of(disk.path) for disk in disks.disks]
    packed(plan, disks.linked(disks.scratch / "packed-1"), "raw.zst", tmp_path / "out")
    assert [sha256_of(disk.path) for disk in disks.disks] == digests
    packed(plan, disks, "ova", tmp_path / "out")
    assert {one.name for one in (tmp_path / "out").iterdir()} >= {"lab.ova", "lab.raw.zst", "lab-b.raw.zst.bmap"}


@pytest.mark.parametrize(
    ("backends", "formats", "made"),
    [
        (("lxc",), (), {"lxc": ["tar"]}),
        (("lxc",), ("wsl", "tar", "wsl"), {"lxc": ["wsl", "tar"]}),
        (("lxc", "vmware"), ("rootfs", "ova", "raw.xz"), {"lxc": ["rootfs"], "vmware": ["ova", "raw.xz"]}),
        (("kvm", "vmware"), ("qcow2",), {"kvm": ["qcow2"], "vmware": ["qcow2"]}),
    ],
)
def test_each_backend_makes_those_that_it_has(
    tmp_path: Path, backends: tuple[str, ...], formats: tuple[str, ...], made: dict[str, list[str]]
) -> None:
    options = BuildOptions(cache=tmp_path, backends=backends, formats=formats)
    _checked_place(options)
    assert {name: [one.format for one in options.packings(name)] for name in backends} == made


@pytest.mark.parametrize(
    ("backends", "formats", "message"),
    [
        (("lxc",), ("ova",), r"--format ova: it is made by -b vmware, and not by lxc"),
        (("lxc", "openvz"), ("raw.xz",), r"it is made by -b kvm or -b vmware, and not by lxc nor openvz"),
        (("lxc",), ("zip",), r"--format zip: backend lxc makes tar or box or lxd or oci or pct or rootfs or wsl"),
        (("lxc", "vmware"), ("ova",), r"--format ova: backend lxc makes tar or"),
    ],
)
def test_formats_that_nobody_makes_are_refused(
    tmp_path: Path, backends: tuple[str, ...], formats: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _checked_place(BuildOptions(cache=tmp_path, backends=backends, formats=formats))


def test_two_formats_of_one_name_are_refused(tmp_path: Path) -> None:
    formats = ("ova", "ova-as-exported")
    options = BuildOptions(cache=tmp_path, backends=("vmware",), host="vsphere://a.b", formats=formats)
    with pytest.raises(UsageError, match="ova and ova-as-exported: their files bear the same name"):
        _checked_place(options)


@pytest.mark.parametrize(
    ("backend", "name", "packed_as", "form"),
    [
        ("lxc", "lab-lxc-amd64.tar.zst", "", "tar"),
        ("lxc", "lab-rootfs-amd64.tar.xz", "", "rootfs"),
        ("lxc", "mine.tar", "", "tar"),
        ("lxc", "mine.tar", "rootfs", "rootfs"),
        ("lxc", "mine.wsl", "tar", "wsl"),
        ("vmware", "lab.raw.xz", "", "raw.xz"),
        ("kvm", "lab-amd64.incus-vm.tar.xz", "", "incus-vm"),
        ("vmware", "lab.raw", "raw.xz", "raw"),
    ],
)
def test_a_name_and_a_manifest_say_what_it_is(backend: str, name: str, packed_as: str, form: str) -> None:
    found = format_by_name(backend_named(backend), Path(name), packed_as)
    assert found is not None and found.name == form


def test_a_name_that_is_none() -> None:
    assert format_by_name(backend_named("lxc"), Path("lab.ova"), "tar") is None
    assert format_by_name(backend_named("kvm"), Path("mine.tar.zst")) is None, "a container's alone"


def test_every_format_has_a_name_of_its_own_and_says_for_whom_it_is() -> None:
    for backend in all_backends().values():
        names = [one.name for one in formats_of(backend)]
        assert len(set(names)) == len(names)
        assert all(one.about and one.endings for one in formats_of(backend))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "scratch/root"
    for folder in ("etc/systemd", "dev", "usr/bin"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nana:x:1000:1000::/home/ana:/bin/bash\n")
    (root / "etc/hostname").write_text("hal\n")
    (root / "etc/systemd/system.conf").write_text("[Manager]\n")
    return Tree(root)


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        files = [(info.name.removeprefix("./"), tar.extractfile(info)) for info in tar if info.isfile()]
        return {name: file.read().decode() for name, file in files if file is not None}


def test_wsl_starts_as_the_recipe_s_first_user(tmp_path: Path, tree: Tree) -> None:
    made = packed(planned(tmp_path, "lxc", CONTAINER), tree, "wsl", tmp_path / "out")
    found = contents(made[0].path)
    assert made[0].path.name == "lab.wsl" and made[0].path.read_bytes()[:2] == b"\x1f\x8b"
    assert found["etc/wsl.conf"] == "[boot]\nsystemd=true\n[user]\ndefault=ana\n[network]\nhostname=hal\n"
    assert "defaultUid = 1000\ndefaultName = lab\n" in found["etc/wsl-distribution.conf"]
    assert "ConditionVirtualization=!wsl" in found["etc/systemd/system/systemd-networkd.service.d/wsl.conf"]
    assert packed(planned(tmp_path, "lxc", CONTAINER), tree, "wsl", tmp_path / "again")[0].sha256 == made[0].sha256


@pytest.mark.parametrize("name", ["ana\n[boot]\ncommand=evil", "Ana B", "", "-x"])
def test_wsl_takes_no_name_that_is_none(tmp_path: Path, tree: Tree, name: str) -> None:
    (tree.root / "etc/passwd").write_text(f"{name}:x:1000:1000::/:/bin/sh\n")
    (tree.root / "etc/hostname").write_text("a b\n[boot]\n")
    (tree.root / "etc/systemd/system.conf").unlink()
    found = contents(packed(planned(tmp_path, "lxc", CONTAINER), tree, "wsl", tmp_path / "out")[0].path)
    assert found["etc/wsl.conf"] == "" and "defaultUid = 0\n" in found["etc/wsl-distribution.conf"]
    assert not any(name.startswith("etc/systemd/") for name in found)


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "secret").write_text("eva:x:1000:1000::/:/bin/sh\n")
    (tree.root / "etc/passwd").unlink()
    (tree.root / "etc/passwd").symlink_to(tmp_path / "secret")
    found = contents(packed(planned(tmp_path, "lxc", CONTAINER), tree, "wsl", tmp_path / "out")[0].path)
    assert "eva" not in found["etc/wsl.conf"]


@pytest.mark.parametrize(
    ("form", "name"), [("rootfs", "lab-rootfs-amd64.tar.zst"), ("pct", "debian-12-lab_5-pct-1_amd64.tar.zst")]
)
def test_a_plain_root_has_nothing_around_it(tmp_path: Path, tree: Tree, form: str, name: str) -> None:
    plan = replace(planned(tmp_path, "lxc", CONTAINER), epoch=5)
    made = packed(plan, tree, form, tmp_path / "out")
    assert [one.path.name for one in made] == [name]
    listed = subprocess.run(["tar", "-tf", made[0].path], capture_output=True, text=True, check=True).stdout
    assert "./etc/passwd\n" in listed and "rootfs" not in listed


def test_a_container_is_not_made_of_disks(tmp_path: Path, home: Home) -> None:
    with pytest.raises(BuildError, match="choose vmware or kvm"):
        packed(planned(tmp_path, "lxc", CONTAINER), home(), "wsl", tmp_path / "out")


def test_formats_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["formats"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["wsl", "lxc", ".wsl"] in [line[:3] for line in lines]
    assert main.run(["formats", "--json"]) == 0
    assert '{"format": "ova", "backend": "vmware", "ending": ".ova"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "text", "messages"),
    [
        ("cloud", "[config]\npackages = htop\n", [("packages", "write packages = htop, cloud-init")]),
        ("cloud", "[config]\npackages = cloud-init\n", []),
        ("cloud", "[config]\npackages = cloud-init=22.4\n", []),
        ("cloud", "", [("packages", "write packages = cloud-init")]),
        (
            "cloud",
            "[[hdds]]\n[[[a]]]\n[[[b]]]\nsize = 1G\n[config]\npackages = cloud-init\n",
            [("b", "an image for clouds is one disk")],
        ),
        ("iso", "[config]\npackages = htop\n", [("packages", "write packages = htop, live-boot")]),
        ("iso", "[config]\npackages = live-boot\n", []),
        ("iso", "[[cds]]\n[[[cd0]]]\n[config]\npackages = live-boot\n", [("[[[cd0]]]", "this one is left out")]),
        ("cloud", "[[cds]]\n[[[cd0]]]\n[config]\npackages = cloud-init\n", [("[[[cd0]]]", "this one is left out")]),
        ("qcow2", "", []),
    ],
)
def test_what_a_format_wants_of_the_recipe(
    tmp_path: Path, form: str, text: str, messages: list[tuple[str, str]]
) -> None:
    plan = planned(tmp_path, "kvm", f"[hardware]\nvm_id = lab\nos = debian-12\n{text}")
    found = format_of(backend_named("kvm"), form).problems(load(tmp_path / "r.ini"), plan)
    assert [problem.path.split(" ")[-1] for problem in found] == [where for where, _ in messages]
    assert all(end in problem.text for problem, (_, end) in zip(found, messages, strict=True))


@pytest.mark.parametrize("form", ["cloud", "iso"])
def test_a_format_that_a_system_cannot_be(tmp_path: Path, form: str) -> None:
    plan = planned(tmp_path, "kvm", "[hardware]\nvm_id = lab\nos = win10\n")
    (problem,) = format_of(backend_named("kvm"), form).problems(load(tmp_path / "r.ini"), plan)
    assert f"--format {form} is not made of win10; write debian-12" in problem.text


def test_an_image_for_clouds_is_one_compressed_disk(tmp_path: Path) -> None:
    plan = planned(tmp_path, "kvm", "[hardware]\nvm_id = lab\nos = debian-12\n")
    sums = []
    for number in range(2):
        raw = tmp_path / "hdd0.raw"
        raw.write_bytes(b"text " * MB)
        (made,) = packed(plan, Disks((Disk("hdd0", raw),)), "cloud", tmp_path / f"{number}")
        sums.append(made.sha256)
    assert made.path.name == "lab-cloud-amd64.qcow2" and made.size < MB
    assert sums[0] == sums[1] == sha256_of(made.path) and not raw.exists()
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", made.path], check=True)


def test_a_live_image_is_made_of_a_root(tmp_path: Path, home: Home) -> None:
    with pytest.raises(BuildError, match="build it without --host"):
        packed(planned(tmp_path, "kvm", MACHINE), home(), "iso", tmp_path / "out")
