"""What makes a root file system a virtual machine's: the steps, the files that they carry, the probes.

That all of it boots is proven by tests/integration/test_vm.py and test_vmguest.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.backends.machines.parts import (
    DISKS,
    ROOT,
    Recipes,
    early,
    files_of,
    late,
    probes_of,
    steps_of,
    uuid_of,
)
from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.errors import RecipeError
from vmgen_build.plan.machine import machine_of
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

USR = "[[[[[u]]]]]\nfs = ext4\nsize = 1G\nmount = /usr"
LATE = "x-systemd.device-timeout=5min"


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_fstab_has_every_volume_that_is_used_outer_mount_points_first(recipe: Recipes) -> None:
    machine = machine_of(recipe(DISKS))
    assert lines_of(vmfiles.fstab(machine)) == [
        f"UUID={uuid_of(machine, 'root')} / ext4 errors=remount-ro 0 1",
        f"UUID={uuid_of(machine, 'boot')} /boot ext2 defaults,{LATE} 0 2",
        f"UUID={uuid_of(machine, 'tree')} /home btrfs defaults,{LATE} 0 0",
        f"UUID={uuid_of(machine, 'win')} /srv ntfs-3g defaults,nofail,{LATE} 0 0",
        f"UUID={uuid_of(machine, 'usb')} /media/usb vfat defaults,nofail,{LATE} 0 2",
        rf"UUID={uuid_of(machine, 'data')} /srv/my\040data ext4 defaults,{LATE} 0 2",
        f"UUID={uuid_of(machine, 'swap')} none swap sw,{LATE} 0 0",
    ]


@pytest.mark.parametrize(
    ("hardware", "want"),
    [
        ("", ["/ ext4 errors=remount-ro 0 1"]),
        ("firmware = efi", ["/ ext4 errors=remount-ro 0 1", f"/boot/efi vfat umask=0077,{LATE} 0 2"]),
        (f"[[hdds]]\n[[[h]]]\n[[[[partitions]]]]\n{ROOT.format(fs='btrfs')}", ["/ btrfs defaults 0 0"]),
        (
            f"[[hdds]]\n[[[h]]]\n[[[[partitions]]]]\n{ROOT.format(fs='ext4')}\n{USR}",
            ["/ ext4 errors=remount-ro 0 1", "/usr ext4 defaults 0 2"],
        ),
    ],
)
def test_fstab_of_simple_machines(recipe: Recipes, hardware: str, want: list[str]) -> None:
    found = lines_of(vmfiles.fstab(machine_of(recipe(hardware))))
    assert [line.split(" ", 1)[1] for line in found] == want


def test_fstab_is_what_findmnt_takes(recipe: Recipes, tmp_path: Path) -> None:
    path = tmp_path / "fstab"
    path.write_text(vmfiles.fstab(machine_of(recipe(DISKS))))
    command = ["findmnt", "--tab-file", str(path), "--noheadings", "--raw", "--output", "TARGET,FSTYPE"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(rows) == 7 and r"/srv/my\x20data ext4" in rows


@pytest.mark.parametrize(
    ("path", "volume", "inside"),
    [
        ("/", "root", "/"),
        ("/usr", "root", "/usr"),
        ("/boot", "boot", "/"),
        ("/boot/grub", "boot", "/grub"),
        ("/bootx", "root", "/bootx"),
        ("/srv/my data/x", "data", "/x"),
    ],
)
def test_where_a_path_lies(recipe: Recipes, path: str, volume: str, inside: str) -> None:
    found, place = vmfiles.holder(machine_of(recipe(DISKS)), path)
    assert (found.option, place) == (volume, inside)


def test_grub_looks_for_the_volume_that_holds_boot(recipe: Recipes) -> None:
    plain, split = recipe(), recipe(DISKS)
    root, boot = uuid_of(machine_of(plain), "root"), uuid_of(machine_of(split), "boot")
    assert files_of(plain)["early.cfg"] == f"search.fs_uuid {root} root\nset prefix=($root)'/boot/grub'\n"
    assert files_of(split)["early.cfg"] == f"search.fs_uuid {boot} root\nset prefix=($root)'/grub'\n"
    menu = files_of(split)["grub.cfg"]
    assert f"--set=root {boot}\n" in menu and "    linux /vmlinuz " in menu and "    initrd /initrd.img\n" in menu
    assert f"'root=UUID={uuid_of(machine_of(split), 'root')}' ro 'console=tty0' 'console=ttyS0,115200'\n" in menu
    assert "    linux /boot/vmlinuz " in files_of(plain)["grub.cfg"]


@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="needs grub-script-check (grub-common)")
def test_grubs_own_parser_takes_its_files(recipe: Recipes) -> None:
    for hardware in ("", DISKS, "firmware = efi"):
        files = files_of(recipe(hardware))
        for name in {"early.cfg", "grub.cfg", "pointer.cfg"} & set(files):
            subprocess.run(["grub-script-check"], input=files[name], text=True, check=True)


def test_a_menu_is_found_beside_grubs_image_of_efi(recipe: Recipes) -> None:
    """virt-v2v looks for one there, and converts no EFI machine without it."""
    efi, bios = recipe("firmware = efi"), recipe()
    assert files_of(efi)["pointer.cfg"] == files_of(efi)["early.cfg"] + "configfile $prefix/grub.cfg\n"
    assert '\nput 0644 pointer.cfg "${image%/*}/grub.cfg"\n' in steps_of(efi)["machine"].script
    assert "pointer.cfg" not in files_of(bios) and "pointer" not in steps_of(bios)["machine"].script


@pytest.mark.parametrize(
    ("hardware", "package", "image", "module"),
    [
        ("", "grub-pc-bin", "/boot/grub/i386-pc/core.img", " biosdisk "),
        ("firmware = efi", "grub-efi-amd64-bin", "/boot/efi/EFI/BOOT/BOOTX64.EFI", " fat "),
    ],
)
def test_the_loader_of_each_firmware(recipe: Recipes, hardware: str, package: str, image: str, module: str) -> None:
    steps = steps_of(recipe(hardware))
    script = steps["machine"].script
    assert f" {package} " in steps["packages-machine"].script and f"image={image}\n" in script
    (line,) = [line for line in script.splitlines() if line.startswith("grub-mkimage ")]
    assert module in line and line.endswith(" ext2")


def test_the_packages_are_those_of_the_file_systems_in_use(recipe: Recipes) -> None:
    (line,) = [n for n in steps_of(recipe(DISKS))["packages-machine"].script.splitlines() if "apt-get" in n]
    packages = set(line.split(" -- ")[1].split())
    assert {"linux-image-amd64", "btrfs-progs", "dosfstools", "ntfs-3g"} <= packages
    assert not {"xfsprogs", "console-setup", "grub-pc"} & packages
    assert "console-setup" in steps_of(recipe(rest="[config]\nkeyboard = de"))["packages-machine"].script
    assert "linux-image-686-pae" in steps_of(recipe(system="debian-12-i386"))["packages-machine"].script


@pytest.mark.parametrize(
    ("system", "hardware", "reason"),
    [
        ("debian-12-arm64", "", "virtual machines of arm64 are not made by this version; write debian-12-amd64"),
        ("debian-13-i386", "", "debian-13 has no kernel for i386; write debian-13-amd64, or debian-12-i386"),
        ("debian-12-i386", "firmware = efi", "an i386 kernel does not start from 64-bit EFI"),
        ("fedora-30", "", "no virtual machines of fedora-30 are made, but of fedora-38 on; write fedora-38"),
        ("centos-7", "", "no virtual machines of centos-7 are made, but of centos-9 on; write centos-9"),
        ("scientific-6", "", "no virtual machines of scientific-6 are made; write debian-12"),
        ("fedora-42-arm64", "", "virtual machines of arm64 are not made by this version; write fedora-42-amd64"),
        ("opensuse-15.6", "", "'opensuse-15.6' is known, but this version makes no virtual machines of it"),
        ("winxppro", "", "of debian or ubuntu or fedora or centos or rocky or almalinux"),
    ],
)
def test_what_cannot_boot_is_refused_at_its_line(recipe: Recipes, system: str, hardware: str, reason: str) -> None:
    with pytest.raises(RecipeError) as caught:
        steps_of(recipe(hardware, system=system))
    assert ":3: [hardware] os: " in str(caught.value) and reason in str(caught.value)


def plan_of(recipe: Recipe, hypervisor: str) -> Plan:
    part = Part(packages=early(recipe, hypervisor), steps=late(recipe))
    return make_plan(recipe, hypervisor, part)


def test_vmware_and_kvm_share_the_machine_and_part_at_their_tools(recipe: Recipes) -> None:
    made = recipe(DISKS, "[devel]\nvim = 1\n")
    vmware, kvm = plan_of(made, "vmware"), plan_of(made, "kvm")
    names = ["packages-devel", "packages-machine", "machine"]
    assert [s.name for s in vmware.steps] == [*names, "tools-vmware", "system", "network", "generalise"]
    assert [s.name for s in kvm.steps] == [*names, "tools-kvm", "system", "network", "generalise"]
    assert [s.id for s in vmware.steps[:3]] == [s.id for s in kvm.steps[:3]]
    assert not {s.id for s in vmware.steps[3:]} & {s.id for s in kvm.steps[3:]}


DAILY = "[users]\n[[users]]\n[[[u]]]\nname = {user}\n[config]\nhostname = {host}\nkeyboard = de\n"


def test_what_people_edit_daily_makes_no_kernel_or_initramfs_anew(recipe: Recipes) -> None:
    plans = [plan_of(recipe(DISKS, DAILY.format(user=user, host=host)), "vmware") for user, host in ("ab", "cd")]
    one, other = ([(step.name, step.id) for step in plan.steps] for plan in plans)
    shared = [name for (name, first), (_, second) in zip(one, other, strict=True) if first == second]
    assert shared == ["packages-config", "packages-machine", "machine", "tools-vmware"]
    assert [name for name, _ in one[4:]] == ["system", "users", "network", "screen-keyboard", "generalise"]


def test_disks_and_adapters_of_another_machine_install_nothing_anew(recipe: Recipes) -> None:
    one, other = (steps_of(recipe(text)) for text in (DISKS, DISKS.replace("00:10", "00:20")))
    assert one["packages-machine"].id == other["packages-machine"].id
    assert one["machine"].id != other["machine"].id
    assert not one["machine"].network


@pytest.mark.parametrize(
    ("dest", "steps"),
    [
        ("/etc/modprobe.d/own.conf", ["initramfs"]),
        ("/etc/modules", ["initramfs"]),
        ("/etc/modules.txt", []),
        ("/etc/motd", []),
    ],
)
def test_files_of_the_recipe_that_an_initramfs_is_made_from(
    recipe: Recipes, tmp_path: Path, dest: str, steps: list[str]
) -> None:
    (tmp_path / "own").write_text("x")
    made = recipe(rest=f"[config]\n[[files]]\n[[[own]]]\nsource = own\ndest = {dest}\n")
    assert [step.name for step in late(made)] == steps


def test_the_machine_changes_with_what_it_is_made_from(recipe: Recipes) -> None:
    first = steps_of(recipe(DISKS))["machine"].id
    assert steps_of(recipe(DISKS.replace("00:10", "00:20")))["machine"].id != first
    assert steps_of(recipe(DISKS.replace("mount = /home", "mount = /opt/home")))["machine"].id != first
    assert steps_of(recipe(DISKS.replace("controller = pvscsi", "controller = lsilogic")))["machine"].id == first
    assert steps_of(recipe(DISKS))["machine"].id == first


def test_every_adapter_has_a_file_that_names_it(recipe: Recipes) -> None:
    files = files_of(recipe(DISKS))
    assert {name for name in files if name.endswith(".link")} == {"10-vmgen-eth0.link", "10-vmgen-lan.link"}
    assert lines_of(files["10-vmgen-lan.link"]) == [
        "[Match]",
        "PermanentMACAddress=00:50:56:00:00:11",
        "",
        "[Link]",
        "NamePolicy=",
        "Name=lan",
    ]


@pytest.mark.parametrize(
    ("partitions", "grows"),
    [
        (ROOT.format(fs="ext4"), True),
        ("[[[[[swap]]]]]\nfs = swap\nsize = 64\n" + ROOT.format(fs="ext4"), True),
        (ROOT.format(fs="ext4") + "[[[[[swap]]]]]\nfs = swap\nsize = 64\n", False),
        (ROOT.format(fs="ext4") + "[[[[[x]]]]]\ntype = extended\n[[[[[y]]]]]\ntype = logical\n", False),
        ("[[[[[x]]]]]\ntype = extended\n" + ROOT.format(fs="ext4") + "type = logical\n", False),
    ],
)
def test_the_root_grows_where_nothing_lies_behind_it(recipe: Recipes, partitions: str, grows: bool) -> None:
    made = recipe(f"[[hdds]]\n[[[hdd0]]]\nsize = 8G\n[[[[partitions]]]]\n{partitions}")
    files = files_of(made)
    assert ("grow-root" in files, "vmgen-grow.service" in files) == (grows, grows)
    assert ("vmgen-grow.service" in steps_of(made)["machine"].script) is grows
    if grows:
        assert f"built={8 << 30}\n" in files["grow-root"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (systemd)")
def test_units_are_what_systemd_takes(recipe: Recipes, tmp_path: Path) -> None:
    files = files_of(recipe())
    units = [name for name in files if name.endswith(".service")]
    assert len(units) == 2
    for name in units:
        (tmp_path / name).write_text(files[name].replace("/usr/lib/vmgen/", "/bin/sh "))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert not [line for line in ran.stderr.splitlines() if str(tmp_path) in line or "vmgen-" in line], ran.stderr


ADAPTERS = {"ens33": "pci0/02:01.0", "ens160": "pci0/03:00.0", "eth0": "pci0/0b:00.0"}


@pytest.mark.parametrize(
    ("names", "there", "want"),
    [
        (["eth0", "lan"], ["lo", "eth0", "ens33"], ["ens33 lan"]),
        (["eth1", "lan"], ["lo", "ens160", "ens33"], ["ens33 eth1", "ens160 lan"]),
        (["eth0"], ["lo", "eth0", "ens33"], []),
        (["eth1", "lan", "dmz"], ["lo", "ens33"], ["ens33 eth1"]),
        (["lan"], ["lo"], []),
    ],
)
def test_adapters_with_other_addresses_are_named_in_the_order_of_the_bus(
    tmp_path: Path, names: list[str], there: list[str], want: list[str]
) -> None:
    """On a tree like sysfs; udevadm and ip are stand-ins, as no host's adapters may be renamed for a test."""
    net = tmp_path / "net"
    for name in there:
        (net / name).mkdir(parents=True)
        if place := ADAPTERS.get(name):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            (net / name / "device").symlink_to(tmp_path / place)
    for tool, body in {"udevadm": "exit 0", "ip": f'echo "$4 $6" >>{tmp_path}/renamed'}.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / tool).chmod(0o755)
    script = Renderer(None).sh("vm/name-links.sh.j2", names=names).replace("/sys/class/net", str(net))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["dash", "-c", script], env=environment, check=True, stdout=subprocess.DEVNULL)
    renamed = tmp_path / "renamed"
    assert (renamed.read_text().splitlines() if renamed.exists() else []) == want


def test_a_template_of_the_user_stands_for_the_menu(recipe: Recipes, tmp_path: Path) -> None:
    (tmp_path / "own/vm").mkdir(parents=True)
    (tmp_path / "own/vm/grub.cfg.j2").write_text("menuentry {{ title }} { linux {{ kernel }} {{ arguments }} quiet }\n")
    made = recipe()
    machine = {step.name: step for step in early(made, templates=tmp_path / "own")}["machine"]
    (menu,) = [f.content for f in machine.files if f.name == "grub.cfg"]
    assert menu is not None and menu.startswith(b"menuentry 'Debian 12' { linux /boot/vmlinuz ")


@pytest.mark.parametrize("hardware", ["", DISKS, "firmware = efi"])
def test_every_script_is_clean_shell(recipe: Recipes, tmp_path: Path, hardware: str) -> None:
    (tmp_path / "x").write_text("x")
    files = "[[files]]\n[[[f]]]\nsource = x\ndest = /etc/modules\n"
    made = recipe(hardware, f"[config]\nkeyboard = de\n{files}")
    steps = [*early(made), *early(made, "kvm")[2:], *late(made)]
    assert {"screen-keyboard", "initramfs", "tools-kvm"} <= {step.name for step in steps}
    probes = [*probes_of(made), *(p for s in steps for p in s.probes)]
    scripts = {f"step-{s.name}": s.script for s in steps} | {f"probe-{p.name}": p.script for p in probes}
    scripts |= {name: text for name, text in files_of(made).items() if text.startswith("#!")}
    assert len(scripts) == len(steps) + len(probes) + 1 + ("grow-root" in scripts)
    paths = []
    for name, script in scripts.items():
        paths.append(tmp_path / name)
        paths[-1].write_text(script)
        subprocess.run(["dash", "-n", paths[-1]], check=True)
    ran = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_the_probes_ask_for_each_volume_and_adapter(recipe: Recipes) -> None:
    probes = {p.name: p for p in probes_of(recipe(DISKS))}
    assert {name: p.expected for name, p in probes.items() if name.startswith("volume-")} == {
        "volume-hdd0-boot": "ext2 on /boot",
        "volume-hdd0-root": 'ext4 on / it\'s "$(id)"',
        "volume-hdd0-swap": "swap in use",
        "volume-hdd0-data": "ext4 on /srv/my data",
        "volume-hdd0-old": "ext3 not mounted",
        "volume-hdd1-win": "ntfs on /srv",
        "volume-hdd1-tree": "btrfs on /home",
        "volume-hdd1-usb": "vfat on /media/usb STICK",
    }
    assert probes["lan-hw-addr"].expected == "00:50:56:00:00:11"
    assert "unit-vmgen-grow.service" not in probes


def test_a_machine_without_serial_port_is_distinguished_from_one_without_login(recipe: Recipes) -> None:
    script = next(p.script for p in probes_of(recipe()) if p.name == "consoles")
    assert "exit 77" in script and "'console=tty0 console=ttyS0,115200'" in script
