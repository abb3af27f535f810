"""Boxes for Vagrant: what is in them, for each provider; the same bytes twice; foreign ones that are no boxes.

That Vagrant takes them is seen in tests/integration/test_boxes.py."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.box import take_out
from vmgen_build.artifacts.result import Disk, Disks, Result, Tree
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, format_by_name, format_of
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.limits import TAR_CONTENT
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.plan.text.ruby import ruby_word
from vmgen_build.recipe.load import load

MIB = 1 << 20
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12\nram = 700\nnum_cpu = 2\n"
NETWORK = "[[eths]]\n[[[eth0]]]\nhw_addr = 00:16:3e:ab:cd:ef\n"
DISKS = "[[hdds]]\n[[[a]]]\nsize = 8M\n[[[b]]]\nsize = 32M\n[[[[partitions]]]]\n[[[[[root]]]]]\nmount = /\n"
USERS = "[users]\n[[users]]\n[[[ana]]]\nname = ana\n[[[bob]]]\nname = bob\n"


def planned(folder: Path, backend: str, text: str = RECIPE) -> Plan:
    (folder / "r.ini").write_text(text)
    recipe = load(folder / "r.ini")
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None))


def packed(plan: Plan, result: Result, out: Path) -> Written:
    out.mkdir(exist_ok=True)
    (made,) = format_of(backend_named(plan.backend), "box").pack(plan, result, out, PackOptions("zstd", "box"), Bus())
    assert made.sha256 == sha256_of(made.path) and made.size == made.path.stat().st_size
    return made


def disks(folder: Path, *names: str) -> Disks:
    folder.mkdir(exist_ok=True)
    for name in names:
        with (folder / f"{name}.img").open("wb") as file:
            file.truncate(8 * MIB if name == names[0] else 5 * MIB)
            os.pwrite(file.fileno(), name.encode() * 70_000, MIB)
    return Disks(tuple(Disk(name, folder / f"{name}.img") for name in names))


def root(folder: Path) -> Tree:
    (folder / "root/etc").mkdir(parents=True, exist_ok=True)
    (folder / "root/dev").mkdir(exist_ok=True)
    (folder / "root/etc/hostname").write_text("hal\n")
    return Tree(folder / "root")


def contents(box: Path) -> dict[str, bytes]:
    with tarfile.open(box) as tar:
        files = [(info.name, tar.extractfile(info)) for info in tar]
        return {name: file.read() for name, file in files if file is not None}


def test_a_container_s_box_has_the_root_and_a_configuration(tmp_path: Path) -> None:
    plan = planned(tmp_path, "lxc", RECIPE + NETWORK)
    made = packed(plan, root(tmp_path), tmp_path / "out")
    found = contents(made.path)
    assert made.path.name == "lab-lxc-amd64.box"
    assert list(found) == ["metadata.json", "Vagrantfile", "lxc-config", "rootfs.tar.gz"]
    assert json.loads(found["metadata.json"]) == {"provider": "lxc", "version": "1.0.0"}
    config = found["lxc-config"].decode()
    assert "lxc.include = /usr/share/lxc/config/common.conf\n" in config and "lxc.arch = x86_64\n" in config
    assert not [key for key in ("lxc.net.", "lxc.rootfs", "lxc.uts") if key in config]
    listed = subprocess.run(["tar", "-tzf", "-"], input=found["rootfs.tar.gz"], capture_output=True, check=True).stdout
    assert b"./rootfs/etc/hostname\n" in listed
    assert packed(plan, root(tmp_path), tmp_path / "again").sha256 == made.sha256


def test_a_machine_s_box_for_libvirt_has_its_disk_and_its_size(tmp_path: Path) -> None:
    plan = planned(tmp_path, "kvm", RECIPE + "firmware = efi\n")
    made = packed(plan, disks(tmp_path / "home", "hdd0"), tmp_path / "out")
    found = contents(made.path)
    assert made.path.name == "lab-libvirt-amd64.box" and made.path.read_bytes()[:2] == b"\x1f\x8b"
    assert list(found) == ["metadata.json", "Vagrantfile", "box.img"]
    assert json.loads(found["metadata.json"]) == {"provider": "libvirt", "format": "qcow2", "virtual_size": 1}
    text = found["Vagrantfile"].decode()
    assert "libvirt.memory = 700\n" in text and "libvirt.cpus = 2\n" in text and "libvirt.loader = '/usr/" in text
    assert '"/vagrant", disabled: true\n' in text and "ssh" not in text
    (tmp_path / "box.img").write_bytes(found["box.img"])
    disks(tmp_path / "same", "hdd0")
    same = ["qemu-img", "compare", "-f", "qcow2", "-F", "raw", tmp_path / "box.img", tmp_path / "same/hdd0.img"]
    assert subprocess.run(same, capture_output=True).returncode == 0
    assert packed(plan, disks(tmp_path / "home", "hdd0"), tmp_path / "again").sha256 == made.sha256


def test_of_several_disks_the_one_that_it_starts_from_is_the_first(tmp_path: Path) -> None:
    plan = planned(tmp_path, "kvm", RECIPE + DISKS)
    found = contents(packed(plan, disks(tmp_path / "home", "a", "b"), tmp_path / "out").path)
    assert json.loads(found["metadata.json"])["disks"] == [{"path": "box.img"}, {"path": "box-a.img"}]
    (tmp_path / "box.img").write_bytes(found["box.img"])
    shown = subprocess.run(["qemu-img", "info", tmp_path / "box.img"], capture_output=True, text=True).stdout
    assert f"({5 * MIB} bytes)" in shown


def test_a_machine_s_box_for_virtualbox_has_what_an_ova_has(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(b"cd" * 4096)
    plan = planned(tmp_path, "vmware", RECIPE + NETWORK + "[[cds]]\n[[[a]]]\nimage = x.iso\n")
    made = packed(plan, disks(tmp_path / "home", "hdd0"), tmp_path / "out")
    found = contents(made.path)
    assert made.path.name == "lab-virtualbox-amd64.box"
    assert list(found) == ["metadata.json", "Vagrantfile", "box.ovf", "lab-hdd0.vmdk", "x.iso"]
    assert json.loads(found["metadata.json"]) == {"provider": "virtualbox"}
    assert "config.vm.base_mac = '00163EABCDEF'\n" in found["Vagrantfile"].decode()
    assert b'ovf:href="lab-hdd0.vmdk"' in found["box.ovf"] and b"<size" not in found["box.ovf"]
    assert packed(plan, disks(tmp_path / "home2", "hdd0"), tmp_path / "again").sha256 == made.sha256


def test_a_cd_that_is_called_as_a_file_of_the_box_is_refused(tmp_path: Path) -> None:
    (tmp_path / "box.ovf").write_bytes(b"cd" * 4096)
    plan = planned(tmp_path, "vmware", RECIPE + "[[cds]]\n[[[a]]]\nimage = box.ovf\n")
    with pytest.raises(BuildError, match=r"a box has a box\.ovf of its own"):
        packed(plan, disks(tmp_path / "home", "hdd0"), tmp_path / "out")


@pytest.mark.parametrize("backend", ["lxc", "kvm", "vmware"])
def test_the_recipe_s_first_user_logs_in_unless_there_is_one_called_vagrant(tmp_path: Path, backend: str) -> None:
    text = planned(tmp_path, backend, RECIPE + USERS).build_recipe["Vagrantfile"]
    assert "  config.ssh.username = 'ana'\n" in text
    assert "ssh" not in planned(tmp_path, backend, RECIPE + USERS.replace("bob", "vagrant")).build_recipe["Vagrantfile"]
    assert "ssh" not in planned(tmp_path, backend).build_recipe["Vagrantfile"]


def test_a_windows_is_spoken_to_by_winrm(tmp_path: Path) -> None:
    text = planned(tmp_path, "kvm", "[hardware]\nvm_id = lab\nos = winsrv2022\n").build_recipe["Vagrantfile"]
    assert 'config.vm.communicator = "winrm"\n' in text and 'libvirt.disk_bus = "sata"\n' in text


@pytest.mark.parametrize("backend", ["lxc", "kvm", "vmware"])
def test_a_box_is_known_by_its_name(backend: str) -> None:
    found = format_by_name(backend_named(backend), Path("mine.box"))
    assert found is not None and found.name == "box" and backend in found.backends
    assert found.files_of(Path("mine.box"), {}) == ("mine.box",)


@pytest.mark.parametrize(
    ("text", "word"), [("a'b", "'a\\'b'"), ("a\\", "'a\\\\'"), ("#{x}", "'#{x}'"), ("", "''"), ("\\'", "'\\\\\\''")]
)
def test_a_value_is_one_string_of_ruby(text: str, word: str) -> None:
    assert ruby_word(text) == word


def test_a_value_that_a_vagrantfile_cannot_have() -> None:
    with pytest.raises(ValueError, match="control character"):
        ruby_word("a\nb")


def box_of(path: Path, *entries: tuple[str, bytes, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, kind, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/shadow"
            tar.addfile(info, io.BytesIO(data))
    return path


FILE, LINK = tarfile.REGTYPE, tarfile.SYMTYPE
META = ("metadata.json", FILE, b"{}")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_is_wanted_is_taken_out(tmp_path: Path, mode: str) -> None:
    box = box_of(tmp_path / "x.box", META, ("a", FILE, b"a" * 3000), ("b", FILE, b"b"), mode=mode)
    take_out(box, {"a": tmp_path / "a"})
    assert (tmp_path / "a").read_bytes() == b"a" * 3000 and not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: box_of(path, META, ("a", LINK, b"")), "no file of a box"),
        (lambda path: box_of(path, META, ("../a", FILE, b"")), "no file of a box"),
        (lambda path: box_of(path, META, ("a", FILE, b""), ("a", FILE, b"x")), "in it twice"),
        (lambda path: box_of(path, META), "lacks a;"),
        (lambda path: box_of(path, ("a", FILE, b"")), r"lacks metadata\.json"),
        (lambda path: path.write_bytes(b"x" * 2000), "no box"),
        (lambda path: path.write_bytes(b"\x1f\x8bnot gzip"), "is damaged"),
    ],
)
def test_what_is_no_box_is_refused(tmp_path: Path, make: Callable[[Path], object], why: str) -> None:
    make(tmp_path / "x.box")
    with pytest.raises(BuildError, match=why):
        take_out(tmp_path / "x.box", {"a": tmp_path / "a"})
    assert not (tmp_path.parent / "a").exists()


def test_a_box_of_endless_content_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.size = TAR_CONTENT.amount + 1
    (tmp_path / "x.box").write_bytes(info.tobuf())
    with pytest.raises(BuildError, match="the limit 'tar-content'"):
        take_out(tmp_path / "x.box", {"a": tmp_path / "a"})
