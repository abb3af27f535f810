"""A root file system of about 860 MB to an OVA, by QEMU's tools and by ours, in one run: medians of N and their ratios.

Theirs: mke2fs -d, qemu-img convert to a stream-optimized VMDK, tar. Ours: the same mke2fs -d, write_vmdk, write_ova,
which also make all checksums and sync what they wrote. Neither side makes a partition table. The root is made once, by
mmdebstrap, which needs the network. Run as root on an otherwise idle machine:

    .venv/bin/python bench/vmdk.py [--runs 3] [--work DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = "systemd-sysv,linux-image-amd64,git,vim,nmap,tcpdump,openssh-server,iproute2,iptables"
DISK = 2 << 30

PACKER = """
import json, pathlib, sys, time
from vmgen_build.artifacts.ova import write_ova
from vmgen_build.artifacts.vmdk import write_vmdk
start = time.monotonic()
raw, vmdk, ova = map(pathlib.Path, sys.argv[1:4])
written = write_vmdk(raw, vmdk)
packed = time.monotonic()
descriptor = sys.argv[4].format(name=vmdk.name, size=written.size, capacity=raw.stat().st_size)
write_ova(ova, descriptor, [written], epoch=0)
end = time.monotonic()
peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(json.dumps({"vmdk": packed - start, "tar": end - packed, "peak": int(peak) / 1024}))
"""

DESCRIPTOR = """\
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="{name}" ovf:size="{size}"/></References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{capacity}"
      ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <VirtualSystem ovf:id="bench"><Info>A machine</Info></VirtualSystem>
</Envelope>
"""


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} … failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout


def make_root(root: Path) -> None:
    if root.is_dir():
        return
    part = root.with_name("root.part")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from vmgen_build.bases.apt.archive import sources_here
    from vmgen_build.systems.parse import parse_system

    mirror = [source.line() for source in sources_here(parse_system("debian-12"), None, root.with_name("cache"))]
    run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", part, *mirror)
    part.rename(root)


def settle() -> None:
    """Let the disk come to rest between two runs."""
    os.sync()
    time.sleep(6)


def file_system(root: Path, raw: Path) -> None:
    raw.unlink(missing_ok=True)
    with raw.open("wb") as file:
        file.truncate(DISK)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, raw)


def theirs(raw: Path, vmdk: Path, ova: Path) -> dict[str, float]:
    start = time.monotonic()
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk)
    packed = time.monotonic()
    descriptor = vmdk.with_name("bench.ovf")
    descriptor.write_text(DESCRIPTOR)
    run("tar", "--format=ustar", "-cf", ova, "-C", vmdk.parent, descriptor.name, vmdk.name)
    return {"vmdk": packed - start, "tar": time.monotonic() - packed, "peak": 0.0}


def ours(raw: Path, vmdk: Path, ova: Path) -> dict[str, float]:
    """peak: MiB of memory, the interpreter included."""
    row: dict[str, float] = json.loads(run(sys.executable, "-c", PACKER, raw, vmdk, ova, DESCRIPTOR))
    return row


def build(root: Path, work: Path, pack: Callable[[Path, Path, Path], dict[str, float]]) -> dict[str, float]:
    """Seconds of each part and in all; the VMDK's size in MB."""
    raw, vmdk, ova = work / "disk.raw", work / "disk.vmdk", work / "bench.ova"
    for old in (vmdk, ova):
        old.unlink(missing_ok=True)
    settle()
    start = time.monotonic()
    file_system(root, raw)
    made = time.monotonic()
    row = pack(raw, vmdk, ova)
    return row | {"mke2fs": made - start, "all": time.monotonic() - start, "size": vmdk.stat().st_size / 1e6}


def used(root: Path) -> int:
    return int(run("du", "-s", "--block-size=1", root).split()[0])


def report(rows: dict[str, list[dict[str, float]]]) -> None:
    medians = {
        side: {part: statistics.median(row[part] for row in some) for part in some[0]} for side, some in rows.items()
    }
    print(f"\n{'medians':12}{'qemu-img':>12}{'vmgen-build':>14}{'ratio':>9}")
    for part in ("mke2fs", "vmdk", "tar", "all", "size"):
        left, right = (medians[side][part] for side in ("theirs", "ours"))
        unit = "MB" if part == "size" else "s"
        print(f"{part:12}{left:10.2f} {unit:2}{right:11.2f} {unit:2}{right / left:9.3f}")
    print(f"peak memory of the packer: {max(row['peak'] for row in rows['ours']):.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None, help="kept; a root made there before is taken again")
    arguments = parser.parse_args()
    work = Path(arguments.work or tempfile.mkdtemp(prefix="vmgen-bench-", dir="/var/tmp"))
    work.mkdir(parents=True, exist_ok=True)
    make_root(work / "root")
    print(f"the root holds {used(work / 'root') / 1e6:.0f} MB", flush=True)
    rows: dict[str, list[dict[str, float]]] = {"theirs": [], "ours": []}
    for number in range(arguments.runs):
        for side, pack in {"theirs": theirs, "ours": ours}.items():
            rows[side].append(build(work / "root", work, pack))
            reported = "  ".join(f"{name} {value:.2f}" for name, value in rows[side][-1].items())
            print(f"run {number + 1} {side:7}{reported}", flush=True)
    run("qemu-img", "compare", "-f", "raw", "-F", "vmdk", work / "disk.raw", work / "disk.vmdk")
    report(rows)
    if arguments.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
