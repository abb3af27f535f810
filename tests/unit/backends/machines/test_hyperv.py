"""The script that makes a machine in Hyper-V, read by tree-sitter's grammar of PowerShell. None of it ran on Windows:
what the commands do there is Microsoft's word alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import tree_sitter
import tree_sitter_powershell

from tests.unit.backends.machines.parts import Recipes
from vmgen_build.backends.machines.hyperv import hyperv_script
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.plan.machine import CdDrive, Machine, machine_of

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

HARDWARE = """num_cpu = 2
ram = 513
firmware = {firmware}
[[hdds]]
[[[data]]]
size = 1G
[[[system]]]
size = 5G
[[[[partitions]]]]
[[[[[root]]]]]
mount = /
size = 4G
[[cds]]
[[[cd0]]]
[[[cd1]]]
[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:ab:cd:ef
[[[eth1]]]
connected = no
hw_addr = 00:16:3e:ab:cd:f0
"""


@pytest.fixture
def machine(recipe: Recipes) -> Machine:
    return machine_of(recipe(HARDWARE.format(firmware="bios")))


def script_of(machine: Machine, ending: str = "vhdx", cds: tuple[str, ...] = ("lab-cd0.iso", "")) -> str:
    return hyperv_script(machine, [f"lab-{drive.name}.{ending}" for drive in machine.drives], cds)


def commands(script: str) -> list[str]:
    """Each command in one line, in a script that the grammar has a place for."""
    root = PARSER.parse(script.replace("\r\n", "\n").encode()).root_node
    assert not root.has_error, script
    found, left = [], [root]
    while left:
        node = left.pop()
        left += reversed(node.children)
        if node.type == "command":
            found.append(" ".join((node.text or b"").decode().split()))
    return found


def named(script: str, name: str) -> list[str]:
    return [command for command in commands(script) if command.startswith(f"{name} ")]


def places(script: str) -> list[str]:
    """Of the drives, in order."""
    return re.findall(r"\$place = @\{ (.*?) \}", script)


def test_bios_is_generation_1_and_its_root_is_on_the_first_ide_disk(machine: Machine) -> None:
    script = script_of(machine)
    assert named(script, "New-VM") == [
        "New-VM -Name $Name -Path $Path -Generation 1 -MemoryStartupBytes 538968064 -NoVHD"
    ]
    assert named(script, "Set-VMProcessor") == ["Set-VMProcessor -VM $vm -Count 2"]
    assert "Set-VMFirmware" not in script and "Convert-VHD" not in script
    assert named(script, "Copy-Image") == [
        "Copy-Image 'lab-data.vhdx' 'lab-data.vhdx'",
        "Copy-Image 'lab-system.vhdx' 'lab-system.vhdx'",
        "Copy-Image 'lab-cd0.iso' 'lab-cd0.iso'",
    ]
    assert places(script) == [
        "ControllerType = 'SCSI'; ControllerNumber = 0; ControllerLocation = 0",
        "ControllerType = 'IDE'; ControllerNumber = 0; ControllerLocation = 0",
        "ControllerNumber = 0; ControllerLocation = 1",
        "ControllerNumber = 1; ControllerLocation = 0",
    ]


def test_efi_is_generation_2_without_secure_boot(recipe: Recipes) -> None:
    script = script_of(machine_of(recipe(HARDWARE.format(firmware="efi"))))
    assert "-Generation 2 " in named(script, "New-VM")[0]
    assert named(script, "Set-VMFirmware") == [
        "Set-VMFirmware -VM $vm -EnableSecureBoot Off",
        "Set-VMFirmware -VM $vm -FirstBootDevice $boot",
    ]
    assert re.search(r"ControllerLocation = 0 \}\r\n *\$drive = .*\r\n *\$boot = \$drive", script)
    assert [place.rpartition(" ")[2] for place in places(script)] == ["1", "0", "2", "3"]
    assert "'IDE'" not in script


def test_generation_2_takes_no_vhd_and_gets_a_vhdx(recipe: Recipes, machine: Machine) -> None:
    script = script_of(machine_of(recipe(HARDWARE.format(firmware="efi"))), "vhd")
    assert named(script, "Copy-Image")[0] == "Copy-Image 'lab-data.vhd' 'lab-data.vhdx'"
    assert named(script, "Convert-VHD") == ["Convert-VHD -Path $source -DestinationPath $goal -VHDType Dynamic"]
    assert named(script_of(machine, "vhd"), "Copy-Image")[0] == "Copy-Image 'lab-data.vhd' 'lab-data.vhd'"


def test_adapters_keep_their_addresses_and_join_a_switch_each(machine: Machine) -> None:
    script = script_of(machine)
    assert named(script, "Add-VMNetworkAdapter") == [
        "Add-VMNetworkAdapter -VM $vm -Name 'eth0' -StaticMacAddress '00163EABCDEF' @join",
        "Add-VMNetworkAdapter -VM $vm -Name 'eth1' -StaticMacAddress '00163EABCDF0' @join",
    ]
    assert re.findall(r"\$join = (.*?)\r\n", script) == ["@{ SwitchName = $switches[0] }", "@{}"]
    assert "@($SwitchName) + @($SwitchName[-1]) * 2\r\n" in script


def test_what_a_recipe_says_is_one_string(machine: Machine) -> None:
    odd = "a'b`$(x)\u2019"
    nics = tuple(replace(nic, name=odd) for nic in machine.nics)
    script = script_of(replace(machine, name=odd, nics=nics))
    assert commands(script) and script.count("'a''b`$(x)\u2019\u2019'") == 3
    with pytest.raises(RecipeError, match="control character"):
        script_of(replace(machine, name="a\nb"))


def test_what_was_made_is_taken_away_again(machine: Machine) -> None:
    script = script_of(machine)
    catch = script[script.index("} catch {") :]
    assert re.findall(r"\b(?:Stop|Remove|Get)-\w+", catch) == [*("Stop-VM", "Remove-VM", "Remove-Item", "Get-VM")]
    assert script.index("Test-Path") < script.index("New-Item")


def test_more_drives_than_there_are_places_are_refused(machine: Machine) -> None:
    cds = tuple(CdDrive(name=f"cd{n}", image=None, connected=False) for n in range(4))
    with pytest.raises(BuildError, match=r"4 CD drives, and .* generation 1 has places for 3"):
        script_of(replace(machine, cds=cds), cds=("",) * 4)
    drives = (machine.drives[1], *machine.drives[:1] * 65)
    with pytest.raises(BuildError, match="more disks than"):
        script_of(replace(machine, drives=drives))


def test_windows_keeps_secure_boot(recipe: Recipes) -> None:
    script = script_of(machine_of(recipe("firmware = efi", system="winsrv2022")), cds=())
    assert named(script, "Set-VMFirmware") == ["Set-VMFirmware -VM $vm -FirstBootDevice $boot"]
