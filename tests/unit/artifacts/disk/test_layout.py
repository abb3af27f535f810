"""Where partitions lie: whole MiB, one behind the other, within the disk; and sfdisk takes the script."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgen_build.artifacts.disk.filesystems import MAKERS, PROGRAMS
from vmgen_build.artifacts.disk.layout import FREE, Content, Layout, place, sfdisk_script
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.plan import machine as machines
from vmgen_build.plan.machine import Drive, Machine, machine_of
from vmgen_build.recipe import partitioning
from vmgen_build.recipe.load import load
from vmgen_build.recipe.partitioning import MIB, SMALLEST

GIB = 1024 * MIB


def machine(folder: Path, hdds: str = "", firmware: str = "bios") -> Machine:
    path = folder / "r.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12\nfirmware = {firmware}\n{hdds}")
    return machine_of(load(path))


def drive(folder: Path, hdds: str = "", firmware: str = "bios") -> Drive:
    return machine(folder, hdds, firmware).drives[0]


def hdd(size: str, *partitions: str) -> str:
    lines = ["[[hdds]]", "[[[hdd0]]]", f"size = {size}", "[[[[partitions]]]]"]
    for number, options in enumerate(partitions):
        lines += [f"[[[[[p{number}]]]]]", *options.split(";")]
    return "\n".join(lines) + "\n"


def in_mib(layout: Layout) -> list[tuple[str, int, int]]:
    assert all(p.start % MIB == 0 == p.size % MIB for p in layout.placed)
    return [(p.volume.option, p.start // MIB, p.size // MIB) for p in layout.placed]


KINDS = hdd(
    "8G",
    "mount = /;size = 4G",
    "type = extended",
    "type = logical;fs = swap;size = 512M",
    "type = logical;mount = /home",
    "size = 1G;fs = vfat",
)


def test_all_kinds(tmp_path: Path) -> None:
    layout = place(drive(tmp_path, KINDS), {})
    assert in_mib(layout) == [
        ("p0", 1, 4096),
        ("p1", 4097, 3071),
        ("p2", 4098, 512),
        ("p3", 4611, 2557),
        ("p4", 7168, 1024),
    ]
    assert layout.size == 8 * GIB


def test_the_tables_of_logical_partitions_come_on_top(tmp_path: Path) -> None:
    """As in the thesis's sample, whose logical partitions fill their extended one."""
    text = hdd("8G", "mount = /;size = 5000", "type = extended;size = 3072", *["type = logical;size = 1536"] * 2)
    assert in_mib(place(drive(tmp_path, text), {}))[1:] == [("p1", 5001, 3074), ("p2", 5002, 1536), ("p3", 6539, 1536)]


def test_gpt_keeps_its_copy_at_the_end(tmp_path: Path) -> None:
    layout = place(drive(tmp_path, KINDS, "efi"), {})
    placed = in_mib(layout)
    assert placed[0] == ("esp", 1, 64)
    assert [name for name, _, _ in placed] == ["esp", "p0", "p2", "p3", "p4"]
    assert layout.placed[-1].end == 8 * GIB - MIB


def test_an_open_disk_has_room_for_its_content_and_work(tmp_path: Path) -> None:
    content = Content(GIB, 40000)
    layout = place(drive(tmp_path), {"root": content})
    (root,) = layout.placed
    assert root.size >= GIB * 1.15 + FREE
    assert root.size < GIB * 1.15 + FREE + 40000 * 600
    assert layout.size == root.end
    assert place(drive(tmp_path, firmware="efi"), {"root": content}).size == layout.size + 65 * MIB


def test_open_logical_partitions_make_their_extended_one(tmp_path: Path) -> None:
    text = hdd(
        "", "mount = /;size = 1G", "type = extended", "type = logical;size = 100", "type = logical;mount = /home"
    )
    layout = place(drive(tmp_path, text), {"p3": Content(100 * MIB, 10)})
    assert in_mib(layout)[1:3] == [("p1", 1025, 2 + 100 + 628), ("p2", 1026, 100)]
    assert layout.size == layout.placed[3].end == layout.placed[1].end


def test_what_does_not_fit_names_the_numbers(tmp_path: Path) -> None:
    text = hdd("4G", "mount = /;size = 1G")
    with pytest.raises(BuildError) as caught:
        place(drive(tmp_path, text), {"p0": Content(1100 * MIB, 30000)})
    assert str(caught.value) == (
        "what lies on / does not fit: 1.2 GB in 30000 files and folders, and partition 'p0' of disk 'hdd0' has 1.1 GB;"
        " make it at least 1312M"
    )
    place(drive(tmp_path, hdd("4G", "mount = /;size = 1312M")), {"p0": Content(1100 * MIB, 30000)})


SIZES = st.one_of(st.integers(16 * MIB, GIB // 2).map(lambda n: f"{n}B"), st.sampled_from([None, "100M"]))
PARTS = st.lists(st.tuples(st.sampled_from(["primary", "logical"]), SIZES), min_size=1, max_size=6)
HOLDERS = st.one_of(st.none(), st.integers(100, 3000).map(lambda n: f"{n}M"))


@settings(deadline=None)
@given(parts=PARTS, size=HOLDERS, extended=HOLDERS, firmware=st.sampled_from(["bios", "efi"]))
def test_what_the_check_passes_can_be_placed(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, str | None]],
    size: str | None,
    extended: str | None,
    firmware: str,
) -> None:
    options = ["mount = /"] + [""] * (len(parts) - 1)
    texts = [f"type = {kind};size = {part or 'rest'};{more}" for (kind, part), more in zip(parts, options, strict=True)]
    if any(kind == "logical" for kind, _ in parts):
        texts.append(f"type = extended;size = {extended or 'rest'}")
    try:
        made = drive(tmp_path_factory.mktemp("r"), hdd(size or "", *texts), firmware)
    except RecipeError:
        return
    layout = place(made, {})
    holders = [p for p in layout.placed if p.volume.kind == "extended"]
    tops = sorted((p for p in layout.placed if p.volume.kind != "logical"), key=lambda p: p.start)
    logical = sorted((p for p in layout.placed if p.volume.kind == "logical"), key=lambda p: p.start)
    assert tops[0].start == MIB
    assert all(a.end <= b.start for a, b in pairwise(tops))
    assert all(a.end + MIB == b.start for a, b in pairwise(logical))
    assert all(holders[0].start + MIB <= p.start and p.end <= holders[0].end for p in logical)
    assert tops[-1].end <= layout.size - (MIB if firmware == "efi" else 0)
    for p in layout.placed:
        assert p.size >= (p.volume.size or 0)


def table(script: str, size: int, folder: Path) -> dict[str, Any]:
    image = folder / "disk"
    image.touch()
    os.truncate(image, size)
    subprocess.run(["/usr/sbin/sfdisk", "-q", image], input=script, text=True, check=True, env={"LC_ALL": "C"})
    assert "No errors" in subprocess.run(["/usr/sbin/sfdisk", "--verify", image], capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(subprocess.check_output(["/usr/sbin/sfdisk", "-J", image]))["partitiontable"]
    return found


def test_sfdisk_makes_the_dos_table(tmp_path: Path) -> None:
    one = machine(tmp_path, KINDS)
    layout = place(one.drives[0], {})
    script = sfdisk_script("lab", one.drives[0], layout)
    assert script == sfdisk_script("lab", one.drives[0], layout) != sfdisk_script("lab2", one.drives[0], layout)
    found = table(script, layout.size, tmp_path)
    rows = [(int(p["node"][-1]), p["start"] * 512, p["size"] * 512, p["type"]) for p in found["partitions"]]
    placed = {p.volume.number: p for p in layout.placed}
    assert [(n, s, z) for n, s, z, _ in rows] == [(n, placed[n].start, placed[n].size) for n in sorted(placed)]
    assert [(n, t) for n, _, _, t in rows] == [(1, "83"), (2, "5"), (3, "c"), (5, "82"), (6, "83")]
    assert [p.get("bootable", False) for p in found["partitions"]] == [True, False, False, False, False]
    assert f"label-id: {found['id']}" in script


def test_sfdisk_makes_the_gpt(tmp_path: Path) -> None:
    one = machine(tmp_path, KINDS, "efi")
    layout = place(one.drives[0], {})
    found = table(sfdisk_script("lab", one.drives[0], layout), layout.size, tmp_path)
    parts = found["partitions"]
    assert [(p["start"] * 512, p["size"] * 512) for p in parts] == [(p.start, p.size) for p in layout.placed]
    assert parts[0]["type"].startswith("C12A7328") and parts[1]["type"].startswith("0FC63DAF")
    assert len({p["uuid"] for p in parts}) == 5


def test_every_file_system_of_a_recipe_has_a_maker() -> None:
    assert set(MAKERS) == set(PROGRAMS) == set(SMALLEST)


def test_the_machine_and_the_checks_agree() -> None:
    assert partitioning.ESP_SIZE == machines.ESP_SIZE
