"""Issue 8, item 7: of an artifact of others, only the files that its manifest lists are read, by their digests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.listed import listed_files
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, format_of
from vmgen_build.boots.model import Boot
from vmgen_build.errors import BuildError, HostError, RecipeError
from vmgen_build.events import Bus
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MIB = 1 << 20
ISO = b"an iso" * 512

Made = tuple[Path, dict[str, Any]]
Make = Callable[..., Made]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An artifact of one disk and a CD, and its manifest."""

    def packed(backend: str, form: str) -> Made:
        (tmp_path / "debian.iso").write_bytes(ISO)
        path = tmp_path / "r.ini"
        path.write_text("[hardware]\nvm_id = lab\nos = debian-12-amd64\n[[cds]]\n[[[cd0]]]\nimage = debian.iso\n")
        recipe = load(path)
        plan = make_plan(recipe, backend, backend_named(backend).part(recipe, None))
        (tmp_path / "out").mkdir()
        (tmp_path / "home").mkdir()
        disk = tmp_path / "home/hdd0.img"
        disk.write_bytes(b"disk" * 1024 + bytes(MIB - 4096))
        files = format_of(backend_named(backend), form).pack(
            plan, Disks((Disk("hdd0", disk),)), tmp_path / "out", PackOptions("zstd", form), Bus()
        )
        listed = [{"name": file.path.name, "size": file.size, "sha256": file.sha256} for file in files]
        return files[0].path, {"files": listed, "build_recipe": dict(plan.build_recipe)}

    return packed


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Made], tuple[list[bytes], dict[int, bytes]]]:
    """What a boot of an artifact would give QEMU: the content of the disks, and of the CD drives."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen: list[Any] = []

    def booted_vm(machine: object, disks: list[Disk], boot: Boot, cds: dict[int, Path]) -> object:
        seen.append(([disk.path.read_bytes() for disk in disks], {n: path.read_bytes() for n, path in cds.items()}))
        assert all(path.is_relative_to(scratch) for path in (*(d.path for d in disks), *cds.values()))
        return nullcontext()

    monkeypatch.setattr("vmgen_build.boots.qemu.boot.booted_vm", booted_vm)

    def boot(made: Made) -> tuple[list[bytes], dict[int, bytes]]:
        artifact, manifest = made
        backend = backend_named("kvm" if artifact.suffix == ".qcow2" else "vmware")
        with format_of(backend, artifact.suffix[1:]).boot(artifact, manifest, Boot(Bus(), scratch, 1.0, "")):
            pass
        found: tuple[list[bytes], dict[int, bytes]] = seen[-1]
        return found

    return boot


Booted = Callable[[Made], tuple[list[bytes], dict[int, bytes]]]
FORMS = [("kvm", "qcow2"), ("vmware", "ova"), ("vmware", "raw"), ("vmware", "vmdk")]


def with_machine(made: Made, change: Callable[[dict[str, Any]], object]) -> Made:
    machine = json.loads(made[1]["build_recipe"]["machine.json"])
    change(machine)
    made[1]["build_recipe"]["machine.json"] = json.dumps(machine)
    return made


@pytest.mark.parametrize(("backend", "form"), FORMS)
def test_issue_8_7_disks_and_cds_are_the_artifact_s_own(make: Make, booted: Booted, backend: str, form: str) -> None:
    disks, cds = booted(make(backend, form))
    assert [disk[:4096] for disk in disks] == [b"disk" * 1024]
    assert cds == ({0: ISO} if form in ("qcow2", "ova") else {})


@pytest.mark.parametrize(("backend", "form"), FORMS)
def test_issue_8_7_a_file_of_the_host_comes_into_no_cd_drive(
    make: Make, booted: Booted, tmp_path: Path, backend: str, form: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    made = with_machine(make(backend, form), lambda m: m["cds"][0].update(image=str(tmp_path / "secret")))
    assert b"secret" not in booted(made)[1].values()


@pytest.mark.parametrize(("backend", "form"), FORMS)
def test_issue_8_7_a_manifest_s_machine_is_checked_before_all_else(
    make: Make, booted: Booted, backend: str, form: str
) -> None:
    made = with_machine(make(backend, form), lambda m: m["nics"][0].update(adapter="vfio-pci,host=01:00.0"))
    with pytest.raises(HostError, match="a machine that no recipe can have: nics: 0: adapter"):
        booted(made)


def test_issue_8_7_an_ova_with_other_disks_than_its_manifest_says(make: Make, booted: Booted) -> None:
    def second(machine: dict[str, Any]) -> None:
        more = {"name": "hdd1", "file": "other.vmdk", "unit": 1, "boot": False, "volumes": []}
        machine["drives"].append(machine["drives"][0] | more)

    with pytest.raises(BuildError, match=r"lacks disks of the machine that was asked for: other\.vmdk"):
        booted(with_machine(make("vmware", "ova"), second))


@pytest.mark.parametrize("name", ["/etc/shadow", "../secret", "..", "", "a/b.qcow2", 7, None, "x\0.raw"])
def test_issue_8_7_a_listed_name_is_that_of_a_file_beside_the_artifact(tmp_path: Path, name: object) -> None:
    with pytest.raises(HostError, match="is no file beside it"):
        listed_files(tmp_path / "x.qcow2", {"files": [{"name": name, "size": 1, "sha256": ""}]})


def test_issue_8_7_a_listed_file_that_is_a_link_or_another_one_is_refused(
    make: Make, booted: Booted, tmp_path: Path
) -> None:
    artifact, manifest = make("kvm", "qcow2")
    iso = artifact.with_name("lab-kvm-amd64-cd0.iso")
    os.rename(iso, tmp_path / "moved")
    iso.symlink_to(tmp_path / "moved")
    with pytest.raises(HostError, match=r"cannot read .*cd0\.iso"):
        booted((artifact, manifest))
    iso.unlink()
    (tmp_path / "scratch/hdd0.raw").unlink()
    iso.write_bytes(ISO[::-1])
    with pytest.raises(HostError, match=r"cd0\.iso is not the file that the manifest means"):
        booted((artifact, manifest))


@pytest.mark.parametrize(
    "head",
    ["[[hdds]]\n[[[{}]]]\n", "[[hdds]]\n[[[a]]]\n[[[[partitions]]]]\n[[[[[{}]]]]]\nmount = /\n", "[[cds]]\n[[[{}]]]\n"],
)
@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/x", "..", "a b", "a,b"])
def test_issue_8_7_a_recipe_s_own_disks_have_plain_names(tmp_path: Path, head: str, name: str) -> None:
    """Files on the way are called by them."""
    path = tmp_path / "r.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-amd64\n{head.format(name)}")
    with pytest.raises(RecipeError, match=r"cannot be the name of a disk, partition or drive|is not a disk's name"):
        load(path)
