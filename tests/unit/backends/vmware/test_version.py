"""What an older virtual hardware version lacks is told at its lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.backends.vmware.version import refuse_newer
from vmgen_build.errors import RecipeError
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

Make = Callable[..., Recipe]

HDD = "[[hdds]]\n[[[hdd0]]]\n"
ETH = "[[eths]]\n[[[eth0]]]\n"
ETHS = "[[eths]]\n" + "".join(f"[[[eth{n}]]]\n" for n in range(11))


@pytest.fixture
def recipe(tmp_path: Path) -> Make:
    def make(version: int, hardware: str) -> Recipe:
        path = tmp_path / "r.ini"
        path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12\nhw_version = {version}\n{hardware}")
        return load(path)

    return make


def reported(recipe: Recipe) -> list[tuple[int, str, str]]:
    try:
        refuse_newer(recipe, machine_of(recipe))
    except RecipeError as error:
        return [(problem.where.line, problem.path, problem.text) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("first", "hardware", "line", "path"),
    [
        (13, HDD + "type = nvme\n", 7, "[hardware.hdds.hdd0] type"),
        (10, HDD + "type = sata\n", 7, "[hardware.hdds.hdd0] type"),
        (7, HDD + "type = ide\n", 7, "[hardware.hdds.hdd0] type"),
        (7, HDD + "controller = pvscsi\n", 7, "[hardware.hdds.hdd0] controller"),
        (7, ETH + "adapter = vmxnet3\n", 7, "[hardware.eths.eth0] adapter"),
        (8, ETH + "adapter = e1000e\n", 7, "[hardware.eths.eth0] adapter"),
        (8, "firmware = efi\n", 5, "[hardware] firmware"),
        (7, "num_cpu = 8\n", 5, "[hardware] num_cpu"),
        (18, "num_cpu = 768\n", 5, "[hardware] num_cpu"),
        (7, "ram = 255G\n", 5, "[hardware] ram"),
        (11, "ram = 1012G\n", 5, "[hardware] ram"),
        (7, ETHS.replace("[[[eth10]]]\n", ""), 10, "[hardware.eths.eth4]"),
    ],
)
def test_each_feature_has_a_first_version(recipe: Make, first: int, hardware: str, line: int, path: str) -> None:
    assert reported(recipe(first, hardware)) == []
    assert reported(recipe(30, hardware)) == []
    [(at, option, text)] = reported(recipe(first - 1 if first > 7 else 4, hardware))
    assert (at, option) == (line, path)
    assert f"write hw_version = {first}, or " in text


def test_what_no_version_has(recipe: Make) -> None:
    assert reported(recipe(30, "ram = 30T\n"))[0][2].endswith("; 24560 GiB are the most")
    assert reported(recipe(30, ETHS)) == [
        (16, "[hardware.eths.eth10]", "is one adapter more than the 10 of hw_version 30; 10 are the most")
    ]


def test_an_adapter_that_only_the_network_names(recipe: Make) -> None:
    eths = "[network]\n" + ETHS.replace("eth0]", "one]")
    assert reported(recipe(13, eths))[0][:2] == (17, "[network.eths.eth10]")


def test_all_is_reported_at_once_and_only_for_vmware(recipe: Make) -> None:
    old = recipe(6, "firmware = efi\n" + HDD + "type = nvme\nsize = 8G\n" + ETH + "adapter = vmxnet3\n")
    with pytest.raises(RecipeError) as caught:
        backend_named("vmware").part(old, None)
    assert [problem.path.split()[-1] for problem in caught.value.problems] == ["firmware", "type", "adapter"]
    for other in ("kvm", "lxc"):
        backend_named(other).part(old, None)
