"""What makes a machine of the Fedora of the tests: Debian's kernel, dracut, GRUB and udev as one package of Fedora's.

The kernel has the modules that the tests' machines use. GRUB has no module blscfg, which is Fedora's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.distros import rpms
from tests.distros.content import Package
from tests.distros.debian import UNTAKEN, debian_root
from tests.distros.family import Distribution
from tests.distros.kept import kept
from tests.distros.keys import signing_keys
from tests.distros.repositories import repositories
from vmgen_build.bases.apt.archive import host_apt_settings, sources_here
from vmgen_build.systems.parse import parse_system

HERE = Path(__file__).resolve().parent

DRIVERS = (
    *("ahci", "ata_piix", "mptsas", "mptspi", "nvme", "sd_mod", "sr_mod", "virtio_blk", "virtio_scsi", "vmw_pvscsi"),
    "sym53c8xx",
    *("ext4", "e1000", "virtio_net", "vmxnet3", "virtio_pci", "virtio_console", "virtio_rng", "af_packet", "overlay"),
    *("nf_tables", "nft_ct", "nft_chain_nat", "nft_reject_inet", "nft_fib_inet", "nft_compat", "nft_masq", "nft_log"),
    *("crc32c_generic", "ipv6", "nft_limit", "nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6"),
)

WANTED = "linux-image-amd64 dracut-core cpio zstd grub-common grub2-common grub-pc-bin udev kmod e2fsprogs fdisk"
"""Debian's packages of which it is made."""

PROVIDED = "kernel-modules dracut grub2-tools grub2-pc-modules systemd-udev"
"""Fedora's packages, beside kernel-core, that it stands for. The rest is in the root, or named in it."""

TAKEN = {
    **{f"usr/{name}": f"usr/{name}" for name in ("bin", "sbin", "lib")},
    **{name: f"usr/{name}" for name in ("bin", "sbin", "lib")},
    **{f"etc/{name}": f"etc/{name}" for name in ("dracut.conf.d", "udev", "modprobe.d")},
}
"""Folder of Debian's packages -> where it lies in Fedora's."""

SPEC = """\
Name: kernel-core
Version: 6.1
Release: 1
Summary: Kernel, initramfs and boot loader
License: GPL
AutoReqProv: no
{provides}
%description
Of Debian.
%install
mkdir -p %{{buildroot}}
cp -a /build/content/. %{{buildroot}}/
%post
ldconfig
%files
%defattr(-,root,root,-)
{files}
"""

BUILD = """
rpmbuild --quiet -bb -D '_topdir /build' -D '_binary_payload w1.zstdio' -D '__spec_install_post %{nil}' \\
    -D '_build_id_links none' -D 'debug_package %{nil}' /build/boot.spec >/build/log 2>&1 ||
    { tail /build/log; exit 1; }
"""

TOOLS = Package(
    name="open-vm-tools",
    files={
        "/usr/lib/systemd/system/vmtoolsd.service": "[Unit]\nConditionVirtualization=vmware\n[Service]\n"
        "ExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    },
)


def boot_repository(cache: Path, distribution: Distribution) -> Path:
    """A folder with what its repository of updates holds, and what makes a machine."""
    updates, debian, keys = repositories(cache, distribution) / "updates", debian_root(cache), signing_keys(cache)
    made_of = [(HERE / "boot.py").read_text(), updates.parent.name]

    def make(folder: Path) -> None:
        scratch, repository = folder / "scratch", folder / "repository"
        shutil.copytree(updates, repository, ignore=shutil.ignore_patterns("repodata"))
        _content(scratch, cache, debian.layers[0])
        files = [path for path in (scratch / "content").rglob("*") if path.is_symlink() or not path.is_dir()]
        listed = "".join(f'"/{path.relative_to(scratch / "content")}"\n' for path in sorted(files))
        provides = "".join(f"Provides: {name}\n" for name in PROVIDED.split())
        (scratch / "boot.spec").write_text(SPEC.format(files=listed, provides=provides))
        debian.bound({scratch: "/build"}).sh(BUILD)
        made = [*(scratch / "RPMS").rglob("*.rpm")]
        made += rpms.build_rpms(debian, folder / "tools", [TOOLS], distribution.tag).iterdir()
        signed = folder / "signed"
        signed.mkdir()
        for file in made:
            shutil.move(file, signed)
        rpms.sign_rpms(debian, keys["distribution"], signed.iterdir())
        for file in signed.iterdir():
            shutil.move(file, repository)
        rpms.index_rpms(debian, folder / "index", repository, keys["distribution"], {})
        for left in (scratch, folder / "tools", folder / "index", signed):
            shutil.rmtree(left)

    return kept(cache, f"{distribution.name}-boot", made_of, make) / "repository"


def _content(scratch: Path, cache: Path, below: Path) -> None:
    """scratch/content: the files of WANTED that the root below has not."""
    root, content = scratch / "root", scratch / "content"
    scratch.mkdir()
    _extract(root, cache)
    _trim(root)
    for top, goal in TAKEN.items():
        for folder, _, names in os.walk(root / top):
            for name in names:
                path = goal / Path(folder, name).relative_to(root / top)
                if not os.path.lexists(below / path):
                    (content / path).parent.mkdir(parents=True, exist_ok=True)
                    os.rename(Path(folder, name), content / path)
    for tool in ("mkimage", "script-check"):
        (content / f"usr/bin/grub2-{tool}").symlink_to(f"grub-{tool}")
    shutil.rmtree(root)


def _extract(root: Path, cache: Path) -> None:
    command = ["mmdebstrap", "--mode=root", "--variant=extract", "--skip=check/qemu", f"--include={WANTED}"]
    command += [f"--aptopt={setting.rstrip(';')}" for setting in host_apt_settings()]
    command += [f"--dpkgopt=path-exclude={path}" for path in UNTAKEN]
    sources = [source.line() for source in sources_here(parse_system("debian-bookworm-amd64"), None, cache)]
    ran = subprocess.run([*command, "bookworm", root, *sources], stdin=subprocess.DEVNULL, capture_output=True)
    if ran.returncode != 0:
        raise RuntimeError(f"mmdebstrap: {ran.stderr[-4000:].decode()}")


def _trim(root: Path) -> None:
    """The kernel lies where Fedora's does; of its modules, DRIVERS stay, and what they need."""
    (modules,) = (root / "lib/modules").iterdir()
    version = modules.name
    os.rename(root / f"boot/vmlinuz-{version}", modules / "vmlinuz")
    subprocess.run(["depmod", "-b", root, version], check=True)
    wanted = set()
    for driver in DRIVERS:
        show = ["modprobe", "-d", root, "-S", version, "--show-depends", driver]
        ran = subprocess.run(show, capture_output=True, text=True)
        wanted |= {line.split()[1] for line in ran.stdout.splitlines() if line.startswith("insmod ")}
    assert len(wanted) > len(DRIVERS) // 2
    for path in (modules / "kernel").rglob("*.ko"):
        if str(path) not in wanted:
            path.unlink()
    for path in modules.glob("modules.*"):
        if path.name not in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            path.unlink()
