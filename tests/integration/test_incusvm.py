"""A virtual machine's image for Incus and LXD: built twice to the same bytes, and booted by EFI from what it holds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import ROOT, Run

RECIPE = ROOT / "tests/integration/recipes/efi.ini"


def test_it_boots_and_is_the_same_each_time(vmgen: Run, tmp_path: Path) -> None:
    images = []
    for out in (tmp_path / "0", tmp_path / "1"):
        done = vmgen(RECIPE, "-b", "kvm", "--format", "incus-vm", "-o", out)
        assert done.returncode == 0, done.stderr[-3000:]
        images.append(out / "efitest-amd64.incus-vm.tar.zst")
    assert images[0].read_bytes() == images[1].read_bytes()
    manifest = json.loads((tmp_path / "0" / f"{images[0].name}.manifest.json").read_text())
    assert [one["name"] for one in manifest["files"]] == [images[0].name, "efitest-amd64.incus-vm.yaml"]
    verified = vmgen("verify", images[0])
    assert verified.returncode == 0, verified.stdout + verified.stderr
