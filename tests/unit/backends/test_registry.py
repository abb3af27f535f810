"""What the registry imports: the backend that is asked for, and no other."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vmgen_build.backends.registry import all_backends, backend_names

LOOK = """
import json, sys
from vmgen_build.backends.registry import backend_named, backend_names
backend_names()
backend_named(sys.argv[1])
print(json.dumps(sorted(name for name in sys.modules if name.startswith("vmgen_build."))))
"""

ALONE = {
    "lxc": [
        "backends.vmware",
        "backends.kvm",
        "backends.openvz",
        "backends.machines",
        "artifacts.openvz",
        "boots.openvz",
    ],
    "openvz": ["backends.vmware", "backends.kvm", "backends.lxc", "backends.machines"],
    "vmware": ["backends.kvm", "backends.openvz", "backends.lxc", "artifacts.openvz", "boots.openvz"],
    "kvm": ["backends.vmware", "backends.openvz", "backends.lxc", "artifacts.openvz", "boots.openvz"],
}
LATE = [
    "artifacts.tarball",
    "artifacts.gzipped",
    "artifacts.vmdk",
    "artifacts.ova",
    "artifacts.disk",
    "boots.lxc",
    "boots.qemu",
]
"""What only packing and booting need."""


@pytest.mark.parametrize("name", ALONE)
def test_a_backend_comes_alone(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOOK, name], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert f"vmgen_build.backends.{name}.backend" in modules
    others = tuple(f"vmgen_build.{room}" for room in (*ALONE[name], *LATE))
    assert [module for module in modules if module.startswith(others)] == []


def test_all_that_there_are() -> None:
    assert set(ALONE) <= set(backend_names())
    assert {name: backend.name for name, backend in all_backends().items()} == {n: n for n in backend_names()}
