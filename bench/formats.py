"""Each format beside the usual tool for it, on a Debian root of about 860 MB and its disk, in one run: medians of N and
their ratios. Both sides make a checksum of what they wrote, as people publish one.

    .venv/bin/python bench/formats.py [--runs 3] [--work DIR]

Run as root on an otherwise idle machine; it needs bmap-tools, grub-pc-bin, grub-efi-amd64-bin, squashfs-tools,
qemu-utils, umoci, xorriso, xz-utils, zstd.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from vmdk import file_system, make_root, run, settle

OURS = """
import pathlib, sys, uuid
from functools import partial
from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.disk.convert import convert
from vmgen_build.artifacts.disk.packed import compress_image, write_block_map
from vmgen_build.artifacts.gzipped import gzip_members
from vmgen_build.artifacts.disk.vhd import settle_vhd
from vmgen_build.artifacts.disk.vhdx import settle_vhdx
from vmgen_build.artifacts.live import LiveContent, write_live
from vmgen_build.artifacts.oci import ImageLayer, ImageText, write_oci
from vmgen_build.artifacts.plaintar import write_files
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.artifacts.vma import VmaContent, VmaDisk, write_vma
form, root, raw, goal = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
content = TarContent(root, ".", 0, ("dev", "proc", "sys", "run"))
if form == "rootfs":
    write_tarball(goal, content, Compression("zstd", 3), scratch=goal.parent)
elif form == "wsl":
    write_tarball(goal, content, gzip_members, scratch=goal.parent)
elif form == "oci":
    text = ImageText("bench", {"architecture": "amd64", "os": "linux", "config": {}}, content.empty, 0)
    write_oci(goal, [ImageLayer(root, "bench")], text, goal.parent)
elif form == "box":
    image = convert(Disk("d", raw), goal.with_name("box.img"), "qcow2")
    small = {"metadata.json": b"{}", "Vagrantfile": b""}
    write_files(goal, small, {"box.img": image}, epoch=0, encode=gzip_members)
    image.path.unlink()
elif form == "vhdx":
    settle = partial(settle_vhdx, ident=uuid.NAMESPACE_URL)
    convert(Disk("d", raw), goal, "vhdx", options="subformat=dynamic,block_size=1M", settle=settle)
elif form in ("vhd", "vhd-fixed"):
    settle = partial(settle_vhd, ident=uuid.NAMESPACE_URL, epoch=0)
    kind = {"vhd": "dynamic", "vhd-fixed": "fixed"}[form]
    convert(Disk("d", raw), goal, "vpc", options=f"subformat={kind},force_size=on", settle=settle)
elif form == "iso":
    (root / "boot/live").touch()
    both = ("bios", "efi")
    live = LiveContent(root, "bench", "boot/live", "boot/live", "boot=live", content.empty, "bench", both, 0)
    write_live(goal, live, Compression("zstd", 3), goal.parent)
elif form == "cloud":
    convert(Disk("bench", raw), goal, "qcow2", compressed=True)
elif form == "vma":
    archive = VmaContent("", [VmaDisk("drive-scsi0", raw.stat().st_size, raw)], bytes(16), 0)
    write_vma(goal, archive, Compression("zstd", 3))
else:
    method = {"raw.zst": ("zstd", 3), "raw.xz": ("xz", 1)}[form]
    compress_image(raw, goal, Compression(*method))
    write_block_map(raw, goal.with_name(f"{goal.name}.bmap"))
"""

TAR = (
    "tar --create --file=- --sort=name --mtime=@0 --clamp-mtime --numeric-owner --xattrs --acls --format=posix"
    " --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* --exclude=./run/* -C $1 ."
)

CONVERT = "qemu-img convert -f raw"

THEIRS = {
    "rootfs": f"{TAR} | zstd -q -T0 -3 >$3; sha256sum $3",
    "wsl": f"{TAR} | gzip -n >$3; sha256sum $3",
    "oci": "umoci init --layout $3.d; umoci new --image $3.d:x; umoci insert --image $3.d:x $1 /; tar -cf $3 -C $3.d .;"
    " rm -r $3.d; sha256sum $3",
    "raw.zst": "zstd -q -T0 -3 -c $2 >$3; bmaptool -q create $2 >$3.bmap; sha256sum $3",
    "raw.xz": "xz -T0 -1 -c $2 >$3; bmaptool -q create $2 >$3.bmap; sha256sum $3",
    "vhdx": f"{CONVERT} -O vhdx -o subformat=dynamic,block_size=1M $2 $3; sha256sum $3",
    "vhd": f"{CONVERT} -O vpc -o subformat=dynamic,force_size=on $2 $3; sha256sum $3",
    "vhd-fixed": f"{CONVERT} -O vpc -o subformat=fixed,force_size=on $2 $3; sha256sum $3",
    "box": f"mkdir $3.d; {CONVERT} -O qcow2 $2 $3.d/box.img; touch $3.d/metadata.json $3.d/Vagrantfile;"
    " tar -c -S -C $3.d ./metadata.json ./Vagrantfile ./box.img | gzip -c >$3; rm -r $3.d; sha256sum $3",
    "iso": "mkdir -p $3.d/live; mksquashfs $1 $3.d/live/filesystem.squashfs -quiet -no-progress -comp zstd"
    " -Xcompression-level 3 -wildcards -e 'dev/*' 'proc/*' 'sys/*' 'run/*'; grub-mkrescue -o $3 $3.d 2>/dev/null;"
    " rm -r $3.d; sha256sum $3",
    "cloud": "qemu-img convert -c -O qcow2 $2 $3; sha256sum $3",
    "vma": "zstd -q -T0 -3 -c $2 >$3; sha256sum $3",
}
"""Scripts: root, disk, what they make. xz at its quickest level: the ratio is asked for, not the size. A box is what
vagrant-libvirt's tools/create_box.sh makes. Nothing of Debian's writes vma: beside it stands the compression of the
disk alone."""


def ours(form: str, root: Path, raw: Path, goal: Path) -> None:
    run(sys.executable, "-c", OURS, form, root, raw, goal)


def theirs(form: str, root: Path, raw: Path, goal: Path) -> None:
    run("bash", "-euo", "pipefail", "-c", THEIRS[form], "sh", root, raw, goal)


def measured(make: Callable[[str, Path, Path, Path], None], form: str, root: Path, raw: Path) -> tuple[float, float]:
    """Seconds, and the size in MB."""
    with tempfile.TemporaryDirectory(dir=raw.parent) as name:
        goal = Path(name) / "made"
        settle()
        start = time.monotonic()
        make(form, root, raw, goal)
        return time.monotonic() - start, goal.stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "vmgen-bench")
    parser.add_argument("--forms", nargs="+", choices=THEIRS, default=list(THEIRS))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    root, raw = options.work / "root", options.work / "disk.raw"
    make_root(root)
    file_system(root, raw)
    print(f"{'format':10} {'theirs':>8} {'ours':>8} {'ratio':>6}   {'MB':>6} {'MB':>6}")
    for form in options.forms:
        rows = [(measured(theirs, form, root, raw), measured(ours, form, root, raw)) for _ in range(options.runs)]
        (their_time, their_size), (our_time, our_size) = (
            [statistics.median(part) for part in zip(*side, strict=True)] for side in zip(*rows, strict=True)
        )
        ratio = our_time / their_time
        print(f"{form:10} {their_time:8.1f} {our_time:8.1f} {ratio:6.2f}   {their_size:6.0f} {our_size:6.0f}")
    raw.unlink()
    if not any(options.work.iterdir()):
        shutil.rmtree(options.work)


if __name__ == "__main__":
    main()
