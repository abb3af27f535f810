"""What an OVA is packed of: disks re-packed or as they came, and a machine's nvram."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.ova import check_ova
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, format_of
from vmgen_build.backends.vmware.nvram import nvram_beside
from vmgen_build.build.engine import _checked_place
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.events import Bus
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MB = 1 << 20
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12-amd64\nfirmware = efi\n[[hdds]]\n[[[a]]]\n[[[b]]]\nsize = 2M\n"

Home = Callable[[], Disks]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Disks as a server sends them, by another writer than ours: their adapter is not that of the recipe."""

    def come() -> Disks:
        folder = tmp_path / "home"
        folder.mkdir()
        disks = []
        for name in ("a", "b"):
            (folder / "raw").write_bytes(hashlib.sha256(name.encode()).digest() * 100 + bytes(2 * MB - 3200))
            disks.append(Disk(name, write_vmdk(folder / "raw", folder / f"{name}.vmdk", adapter="ide").path, "vmdk"))
        (folder / "machine.nvram").write_bytes(b"MRVN" + bytes(100))
        return Disks(tuple(disks), folder / "machine.nvram")

    return come


def pack(tmp_path: Path, disks: Disks, form: str, more: str = "size = 8G\nname = b.vmdk") -> Path:
    path = tmp_path / "r.ini"
    path.write_text(RECIPE.replace("[[[a]]]", f"[[[a]]]\n{more}"))
    recipe = load(path)
    backend = backend_named("vmware")
    plan = make_plan(recipe, "vmware", backend.part(recipe, None))
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    made = format_of(backend, form).pack(plan, disks, out, PackOptions("zstd", form), Bus())
    assert sorted(out.iterdir()) == sorted(one.path for one in made)
    manifest = {"build_recipe": plan.build_recipe}
    assert format_of(backend, form).files_of(made[0].path, manifest) == tuple(one.path.name for one in made)
    return made[0].path


def members(ova: Path) -> dict[str, bytes]:
    with tarfile.open(ova) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_disks_as_they_came(tmp_path: Path, home: Home) -> None:
    disks = home()
    sent = [disk.path.read_bytes() for disk in disks.disks]
    found = members(pack(tmp_path, disks, "ova-as-exported"))
    assert list(found) == ["lab.ovf", "lab.mf", "b.vmdk", "lab-b.vmdk", "lab.nvram"]
    assert [found["b.vmdk"], found["lab-b.vmdk"]] == sent
    assert found["lab.nvram"] == b"MRVN" + bytes(100)
    assert f'ovf:capacity="{2 * MB}"' in found["lab.ovf"].decode()


def test_a_machine_s_nvram_is_in_the_ova(tmp_path: Path, home: Home) -> None:
    made = pack(tmp_path, home(), "ova")
    assert check_ova(made).findings == ()
    assert list(members(made))[-1] == "lab.nvram"


def test_without_nvram_nothing_changes(tmp_path: Path, home: Home) -> None:
    disks = home()
    found = members(pack(tmp_path, Disks(disks.disks), "ova"))
    assert list(found) == ["lab.ovf", "lab.mf", "b.vmdk", "lab-b.vmdk"]
    assert "nvram" not in found["lab.ovf"].decode()


@pytest.mark.parametrize("form", ["vmdk", "qcow2", "raw"])
def test_a_machine_s_nvram_lies_beside_its_disks(tmp_path: Path, home: Home, form: str) -> None:
    """Under the name that a .vmx has for it; for one that came without, nothing does."""
    made = pack(tmp_path, home(), form)
    assert sorted(one.name for one in made.parent.iterdir()) == [f"lab-b.{form}", "lab.nvram", f"lab.{form}"]
    assert made.with_name("lab.nvram").read_bytes() == b"MRVN" + bytes(100)


def test_disks_without_nvram_come_alone(tmp_path: Path, home: Home) -> None:
    made = pack(tmp_path, Disks(home().disks), "raw")
    assert sorted(one.name for one in made.parent.iterdir()) == ["lab-b.raw", "lab.raw"]


def test_an_nvram_of_an_earlier_build_goes(tmp_path: Path, home: Home) -> None:
    disks, artifact = home(), tmp_path / "lab.raw"
    [written] = nvram_beside(disks, artifact)
    assert written.path == tmp_path / "lab.nvram" and written.path.exists()
    assert list(nvram_beside(Disks(disks.disks), artifact)) == []
    assert not written.path.exists()


@pytest.mark.parametrize("damage", ["parent", "cut", "raw"])
def test_disks_that_are_not_taken_as_they_came(tmp_path: Path, home: Home, damage: str) -> None:
    disks = home()
    first, second = disks.disks
    data = second.path.read_bytes()
    if damage == "parent":
        second.path.write_bytes(data.replace(b"CID=", b"parentFileNameHint=/etc/passwd\nCID=", 1))
    elif damage == "cut":
        os.truncate(second.path, len(data) - 512)
    else:
        second = Disk(second.name, second.path)
    with pytest.raises(BuildError, match="take --format ova"):
        pack(tmp_path, Disks((first, second)), "ova-as-exported")


@pytest.mark.parametrize("host", ["", "qemu:"])
def test_only_a_server_sends_disks(tmp_path: Path, host: str) -> None:
    options = BuildOptions(cache=tmp_path, backends=("vmware",), host=host, formats=("ova-as-exported",))
    with pytest.raises(UsageError, match="take --host vsphere://NAME, or --format ova"):
        _checked_place(options)
    with pytest.raises(UsageError, match="it is made by -b vmware, and not by kvm"):
        _checked_place(BuildOptions(cache=tmp_path, backends=("kvm",), host=host, formats=("ova-as-exported",)))
    there = BuildOptions(cache=tmp_path, backends=("vmware",), host="vsphere://a.b", formats=("ova-as-exported",))
    assert _checked_place(there).exports
