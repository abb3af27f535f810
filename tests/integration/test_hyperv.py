"""A machine in Hyper-V's formats, by one build: the same disk in each, with Hyper-V's drivers early. That it boots is
seen in test_qemuboot.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPES = Path(__file__).parent / "recipes"
FORMATS = {"vhdx": "vhdx", "vhd": "vpc", "vhd-fixed": "vpc"}
"""--format -> QEMU's word."""


def built(vmgen: Run, out: Path) -> dict[str, str]:
    words = [word for form in ("qcow2", *FORMATS) for word in ("--format", form)]
    done = vmgen(RECIPES / "efi.ini", "-b", "kvm", "-o", out, "--set", "hardware.firmware=bios", *words)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = (out / "SHA256SUMS").read_text().splitlines()
    found = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return {name: digest for name, digest in found.items() if not name.endswith(".manifest.json")}


@pytest.mark.slow
def test_every_format_holds_the_machine(vmgen: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sums = built(vmgen, out)
    whole = out / "efitest-kvm-amd64.qcow2"
    for form, driver in FORMATS.items():
        manifests = [json.loads(path.read_text()) for path in out.glob("*.manifest.json")]
        names = [file["name"] for m in manifests if m["packed_as"] == form for file in m["files"]]
        assert names == [names[0], f"{names[0]}.ps1"] and set(names) < sums.keys()
        words = ["qemu-img", "compare", "-f", driver, "-F", "qcow2", out / names[0], whole]
        assert subprocess.run(words, capture_output=True).returncode == 0, form
        seen = vmgen("verify", "--no-boot", out / names[0])
        assert seen.returncode == 0, seen.stdout + seen.stderr
    again = tmp_path / "again"
    assert built(vmgen, again) == sums
