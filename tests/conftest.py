"""What all tests share: where containers can't be made, and which tests make them."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from vmgen_build.host.environment import forget

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

GROUPS = {
    "build": (
        *("test_build.py", "test_container_formats.py", "test_extending.py", "test_foreign_machines.py"),
        *("test_sources.py", "test_sources_wanted.py"),
    ),
    "distro": (
        "test_family_sources.py",
        *("test_arches.py", "test_bootstraps.py", "test_distributions.py", "test_family_settings.py"),
        "test_fedora_machine.py",
        *("test_package_managers.py", "test_thesis.py"),
    ),
    "format": (
        *("test_boxes.py", "test_cloud.py", "test_hyperv.py", "test_incusvm.py", "test_libvirt.py", "test_live.py"),
        *("test_media_boot.py", "test_qemuboot.py"),
    ),
    "host": ("test_chaos.py", "test_deb.py", "test_hosts.py"),
    "machine": (
        *("test_disk.py", "test_machine_guest.py", "test_ova.py", "test_using_machine.py"),
        *("test_vm.py", "test_vm_faults.py"),
    ),
    "node": (
        *("test_connections.py", "test_install.py", "test_moments.py", "test_node.py", "test_onnode.py"),
        *("test_openvz.py", "test_refused.py", "test_removal.py", "test_runners.py", "test_thesis_node.py"),
        "test_vzctl.py",
    ),
    "server": (
        *("test_building.py", "test_exporting.py", "test_import.py", "test_keeping.py", "test_library.py"),
        "test_machines.py",
        *("test_own.py", "test_publishing.py", "test_session.py", "test_sites.py", "test_standin.py"),
        *("test_vsphere.py", "test_waiting.py", "test_windows.py", "test_windows_verify.py", "test_windows_ways.py"),
        "test_windows_setup_there.py",
    ),
    "windows": (
        *("test_windows_machine.py", "test_windows_setup.py", "test_windows_verify_here.py"),
        *("test_wine_probes.py", "test_wine_recipes.py", "test_wine_registry.py", "test_wine_run.py"),
        "test_wine_sif.py",
        *("test_wine_steps.py", "test_wine_values.py"),
    ),
}
"""Integration tests that share no state with the others, and run beside them."""

TURNS = (
    (
        *("test_keeping.py", "test_machine_guest.py", "test_package_managers.py", "test_using_machine.py"),
        "test_windows_ways.py",
    ),
    ("test_arches.py", "test_chaos.py", "test_moments.py", "test_windows_setup.py"),
    (
        *("test_bootstraps.py", "test_boxes.py", "test_fedora_machine.py", "test_libvirt.py", "test_own_machine.py"),
        "test_sources_wanted.py",
    ),
    ("test_building.py", "test_cloud.py", "test_deb.py", "test_foreign_machines.py", "test_hyperv.py"),
    ("test_hosts.py", "test_live.py", "test_qemuboot.py", "test_thesis_node.py", "test_windows_setup_there.py"),
    ("test_distributions.py", "test_incusvm.py", "test_onnode.py", "test_own.py", "test_sources.py"),
)
"""What takes minutes of a processor and shows one more way to what others show too: each turn some 22 minutes of one.
The number in $VMGEN_TEST_TURN says whose turn it is; without it all run."""


def _turn() -> int | None:
    """None where all modules run."""
    named = os.environ.get("VMGEN_TEST_TURN", "")
    return int(named) % len(TURNS) if named.isdecimal() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    turn = _turn()
    if turn is None:
        return
    waiting = {name for number, names in enumerate(TURNS) if number != turn for name in names}
    config.hook.pytest_deselected(items=[item for item in items if item.path.name in waiting])
    items[:] = [item for item in items if item.path.name not in waiting]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A group of which no test has its turn has not failed."""
    if _turn() is not None and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def pytest_itemcollected(item: pytest.Item) -> None:
    if "integration" not in item.path.parts:
        return
    item.add_marker(pytest.mark.integration)
    for group, files in GROUPS.items():
        if item.path.name in files:
            item.add_marker(group)
    if os.geteuid() != 0:
        item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell holds changes no result."""
    services = ("CI", "GITHUB_ACTIONS", "GITLAB_CI")
    for name in ("VMGEN_CACHE", "VMGEN_DEBUG", "NO_COLOR", "SOURCE_DATE_EPOCH", *services):
        monkeypatch.delenv(name, raising=False)
    forget()
