"""What compile writes for people with VMware, and whether the commands in it do what they say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vimjson import lacking, vim_object
from vmgen_build.backends.vmware.text import texts
from vmgen_build.cli import main
from vmgen_build.plan.machine import Machine

Make = Callable[[str], Machine]

HARDWARE = """
[[hdds]]
[[[system]]]
name = -my "odd" $disk.vmdk
[[cds]]
[[[cd0]]]
image = images/my tools.iso
[[eths]]
[[[eth0]]]
[[[eth1]]]
type = bridged
[[[eth2]]]
type = nat
"""

GOVC = """#!/bin/sh
case "$1 $2 $3 $4 $5" in
    "find -i . -type f") echo Folder:group-v3 ;;
    "find -i . -type p") echo ResourcePool:resgroup-8 ;;
    session.login*) shift; echo "$*" > "$OUT/request"; cat > "$OUT/body" ;;
    *) printf '%s\\n' "$@" >> "$OUT/others" ;;
esac
"""
"""A fake of govc (govmomi): find -i prints a reference, session.login sends its input to the path that it is given."""


@pytest.fixture
def install(machine: Make) -> str:
    return texts(machine(HARDWARE), None)["INSTALL"]


def commands(install: str, chapter: str) -> str:
    """Of a chapter: its indented lines."""
    text = install.split(f"\n\n{chapter}", 1)[1].split("\n\n")[0]
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith("  "))


def program(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def shell(script: str, folder: Path, **environment: str) -> None:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    command = ["sh", "-euc", script]
    subprocess.run(command, cwd=folder, check=True, env={"PATH": path, "OUT": str(folder), **environment})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out" / "bin").mkdir(parents=True)
    return tmp_path / "out"


def made(body: Any) -> Any:
    assert body["pool"] == {"_typeName": "ManagedObjectReference", "type": "ResourcePool", "value": "resgroup-8"}
    found = vim_object(body["config"])
    assert lacking(found) == []
    return found


def test_govc_sends_the_machine(machine: Make, install: str, folder: Path) -> None:
    program(folder / "bin/govc", GOVC)
    (folder / "lab.vim.json").write_text(texts(machine(HARDWARE), None)["lab.vim.json"])
    shell(commands(install, "vCenter"), folder, GOVC_DATASTORE="LocalDS_0")
    assert (folder / "request").read_text() == "-r -X POST /sdk/vim25/8.0.1.0/Folder/group-v3/CreateVM_Task\n"
    spec = made(json.loads((folder / "body").read_text()))
    devices = [change.device for change in spec.deviceChange]
    assert [d.backing.deviceName for d in devices if hasattr(d, "macAddress")] == ["VM Network"] * 3
    assert [d.backing.fileName for d in devices if hasattr(d.backing, "fileName")] == [
        '[LocalDS_0] lab/-my "odd" $disk.vmdk',
        "[LocalDS_0] lab/my tools.iso",
    ]
    others = (folder / "others").read_text().splitlines()
    assert others == [
        *("import.vmdk", './-my "odd" $disk.vmdk', "lab"),
        *("datastore.upload", "my tools.iso", "lab/my tools.iso"),
        *("vm.power", "-on", "lab"),
    ]


def test_disks_are_converted_under_their_names(install: str, folder: Path) -> None:
    program(folder / "bin/vmrun", '#!/bin/sh\necho "$*" > "$OUT/started"\n')
    program(folder / "bin/vmware-vdiskmanager", '#!/bin/sh\n[ "$1 $3 $4" = "-r -t 0" ] && cp -- "$2" "$5"\n')
    (folder / '-my "odd" $disk.vmdk').write_text("disk")
    shell(commands(install, "Workstation, Fusion and vmrun"), folder)
    assert (folder / '-my "odd" $disk.vmdk').read_text() == "disk"
    assert not (folder / "packed.vmdk").exists()
    assert (folder / "started").read_text() == "start lab.vmx nogui\n"


def test_the_ova_is_unpacked(install: str, folder: Path) -> None:
    names = ['-my "odd" $disk.vmdk', "my tools.iso"]
    for name in names:
        (folder / name).write_text(name)
    subprocess.run(["tar", "-cf", "lab.ova", "--", *names], cwd=folder, check=True)
    for name in names:
        (folder / name).unlink()
    line = next(line for line in install.splitlines() if line.startswith("  tar "))
    shell(line, folder)
    assert [(folder / name).read_text() for name in names] == names


def test_compile_writes_them(tmp_path: Path) -> None:
    (tmp_path / "lab.ini").write_text("[hardware]\nvm_id = lab\nos = debian-12\n")
    words = ["compile", str(tmp_path / "lab.ini"), "--offline", "--cache", str(tmp_path / "cache")]
    assert main.run([*words, "-b", "vmware", "-b", "kvm", "-o", str(tmp_path / "out")]) == 0
    here = {path.name for path in (tmp_path / "out/vmware").iterdir()}
    assert {"lab.vmx", "lab.vim.json", "INSTALL", "lab.ovf", "plan.json"} <= here
    assert not here & {"domain.xml"} and not (tmp_path / "out/kvm/lab.vmx").exists()
    plan = json.loads((tmp_path / "out/vmware/plan.json").read_text())
    assert not {"lab.vmx", "lab.vim.json", "INSTALL"} & set(plan["build_recipe"]), "no build depends on them"
    assert '"lab-hdd0.vmdk"' in (tmp_path / "out/vmware/lab.vmx").read_text()
