"""The steps of a plan for Windows: what each generation runs, what is refused, and at which line."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import pytest

from tests.unit.plan.windows.conftest import GENERATIONS, WindowsPlanner, commands, file_of, named
from vmgen_build.errors import RecipeError
from vmgen_build.plan.answers import answer_files
from vmgen_build.plan.setup import answers_of
from vmgen_build.plan.text.batchlint import findings
from vmgen_build.recipe.load import load
from vmgen_build.systems.windows import FAMILY

SECRETS = ("p ^&|<>!'`$x", "s3cret &")

HASH = "$6$aa$" + "x" * 86

EVERY_OS = [
    f"{edition.name}-{arch}" for edition in FAMILY.editions for arch in edition.needs if edition.name != "winxppro"
]


def answers(windows: WindowsPlanner, os: str, text: str) -> str:
    """What Setup reads."""
    plan = windows(os, text)
    [found] = answer_files(answers_of(load(Path(plan.recipe_path)))).values()
    return found.reveal()


@pytest.mark.parametrize("os", EVERY_OS)
def test_every_option_of_every_edition_is_sound_batch(windows: WindowsPlanner, os: str) -> None:
    plan = windows(os.removesuffix("-amd64") if os.startswith("win11") else os, every=True)
    assert {step.dialect for step in plan.steps} == {"batch"}
    assert [(step.name, found) for step in plan.steps if (found := findings(step.script.encode("ascii")))] == []
    names = [step.name for step in plan.steps]
    assert names[0] == "drives" and names[-1] == "generalise"
    assert {"system", "region", "users", "network", "firewall", "settings", "files", "script-own"} <= set(names)


@pytest.mark.parametrize("os", GENERATIONS.values())
def test_no_password_is_in_the_plan(windows: WindowsPlanner, os: str) -> None:
    plan = windows(os, every=True)
    carried = [(file.content or b"").decode("utf-8", "replace") for step in plan.steps for file in step.files]
    text = "\n".join([plan.to_json(), repr(plan), *carried])
    assert [secret for secret in SECRETS if secret in text] == []
    users = named(plan, "users")
    assert {"ana", "Administrator"} == set(users.secrets)


def test_the_password_of_batch_is_one_argument_and_that_of_powershell_itself(windows: WindowsPlanner) -> None:
    old, new = (named(windows(os, every=True), "users") for os in ("winxppro", "win10"))
    assert old.secrets["Administrator"].reveal() == '"s3cret &"\r\n'
    assert new.secrets["Administrator"].reveal() == "s3cret &"


def test_the_computers_name_counts_after_a_restart(windows: WindowsPlanner) -> None:
    for os in GENERATIONS.values():
        assert named(windows(os), "system").reboot


@pytest.mark.parametrize("name", ["a-name-of-sixteen", "1234"])
def test_a_name_that_netbios_has_not(windows: WindowsPlanner, name: str) -> None:
    with pytest.raises(RecipeError, match=r"lab.ini:5: \[config\] hostname: '.*' is no name of a Windows computer"):
        windows("win10", f"[config]\nhostname = {name}\n")


def test_the_machines_name_is_cut(windows: WindowsPlanner) -> None:
    plan = windows("win7")
    assert "call rename name=lab" in named(plan, "system").script


def test_new_accounts_have_the_region_whoever_runs_the_step(windows: WindowsPlanner) -> None:
    script = file_of(named(windows("win11", "[config]\nlocale = ro_RO.UTF-8\nkeyboard = ro\n"), "region"), "region.ps1")
    assert "Set-WinSystemLocale -SystemLocale 'ro-RO'" in script
    assert "InputMethodTips.Add('0418:00020418')" in script
    changes, copies = script.index("Set-WinUserLanguageList"), script.index("Invoke-Reg @('load', 'HKU\\vmgen', $hive)")
    assert changes < copies < script.index("'unload'")
    script = file_of(named(windows("win11", "[config]\nkeyboard = ro\n"), "region"), "region.ps1")
    assert "Set-Culture" not in script and "HKU\\vmgen" in script


def test_users_of_xp(windows: WindowsPlanner) -> None:
    found = commands(named(windows("winxppro", every=True), "users"))
    assert found == [
        "net localgroup students /add",
        r"set /p VMGEN_SECRET=<secrets\ana",
        "net user ana %VMGEN_SECRET% /add /y",
        "net user ana /expires:never",
        'net user ana "/fullname:Ana %%PATH%% & Co. (x)^!"',
        r"net user ana /profilepath:C:\home\ana",
        "net localgroup students ana /add",
        "net localgroup administrators ana /add",
        "net user bob /add /active:no",
        "net user bob /expires:never",
        r"set /p VMGEN_SECRET=<secrets\Administrator",
        "net user Administrator %VMGEN_SECRET% /y",
    ]


def test_what_unix_alone_knows_of_a_user_is_named(windows: WindowsPlanner) -> None:
    plan = windows("win10", every=True)
    assert ("users", "bob: shell", "users of Windows have no such thing here") in plan.skipped


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        (f"[[users]]\n[[[a]]]\nname = a\npasswd_hash = {HASH}\n", 8, "Windows takes no crypt"),
        ("[[users]]\n[[[a]]]\nname = averyveryverylongname\n", 7, "is no user of Windows"),
        ("[[users]]\n[[[a]]]\nname = a\nfull_name = Ană\n", 8, "is not ASCII"),
        ("[[users]]\n[[[a]]]\nname = a\npasswd = 'x\"y'\n", 8, "without double quotes"),
        ("[[users]]\n[[[a]]]\nname = a\npasswd = ăăă\n", 8, "carries printable ASCII"),
    ],
)
def test_users_that_batch_cannot_carry(windows: WindowsPlanner, text: str, where: int, why: str) -> None:
    with pytest.raises(RecipeError, match=rf"lab.ini:{where}: \[users\] \S+: \w+: .*{why}"):
        windows("winvista", f"[users]\n{text}")


@pytest.mark.parametrize(("os", "line"), [("win7", "$user.FullName = 'Ană ''x'''"), ("win11", "-FullName 'Ană ''x'''")])
def test_powershell_carries_what_batch_cannot(windows: WindowsPlanner, os: str, line: str) -> None:
    text = "[users]\n[[users]]\n[[[a]]]\nname = a\nfull_name = Ană 'x'\npasswd = 'ă\"'\n"
    step = named(windows(os, text), "users")
    assert line in file_of(step, "users.ps1")
    assert step.secrets["a"].reveal() == 'ă"'


def test_users_of_seven_have_no_password_in_an_argument(windows: WindowsPlanner) -> None:
    """Vista, without PowerShell, has what XP has."""
    step = named(windows("win7", every=True), "users")
    [line] = commands(step)
    assert line.startswith("powershell ") and "net user" not in step.script
    script = file_of(step, "users.ps1")
    assert "$user.SetPassword((Get-Secret 'ana'))" in script
    assert "Add-Member 'administrators' 'ana'" in script
    assert "$account.Name 'user'\r\n$user.SetPassword((Get-Secret 'Administrator'))" in script
    assert "$flags = 0x10002\r\n$user = Get-Account 'bob' 'user'" in script
    vista = commands(named(windows("winvista", every=True), "users"))
    assert vista == commands(named(windows("winxppro", every=True), "users"))


def test_addresses_are_set_by_the_cards_mac(windows: WindowsPlanner) -> None:
    xp, seven, ten = (named(windows(os, every=True), "network") for os in GENERATIONS.values())
    look_up = "wmic nic where \"MACAddress='00:16:3E:12:34:56'\" get NetConnectionID /value >link.txt"
    assert look_up in commands(xp) and look_up in commands(seven)
    assert 'netsh interface ip set address "%VMGEN_LINK%" static 10.0.0.2 255.255.255.0 10.0.0.1 1' in commands(xp)
    assert 'netsh interface ip add address "%VMGEN_LINK%" 10.1.0.3 255.255.255.0' in commands(xp)
    assert 'netsh interface ipv4 add route prefix=0.0.0.0/0 "interface=%VMGEN_LINK%" nexthop=10.0.0.1' in commands(
        seven
    )
    script = file_of(ten, "network.ps1")
    assert "Get-Card '00-16-3E-12-34-58'\r\nDisable-NetAdapter" in script
    assert "Set-DnsClientServerAddress -InterfaceIndex $card -ServerAddresses '10.0.0.9','10.0.0.10'" in script


def test_xp_has_no_ipv6(windows: WindowsPlanner) -> None:
    with pytest.raises(RecipeError, match=r"lab.ini:7: \[network.eths.eth0\] address: Windows XP .* has no IPv6"):
        windows("winxppro", "[network]\n[[eths]]\n[[[eth0]]]\naddress = 2001:db8::2/64\n")


@pytest.mark.parametrize(
    ("os", "step"),
    [
        ("winsrv2003", True),
        ("winsrv2008r2", True),
        ("winsrv2022", True),
        ("win10", True),
        ("win7", False),
        ("winxp", False),
    ],
)
def test_translation_is_a_role_or_is_named_as_left_out(windows: WindowsPlanner, os: str, step: bool) -> None:
    plan = windows(os, every=True)
    assert ("nat" in [one.name for one in plan.steps]) == step
    assert ("nat" in [what for _, what, _ in plan.skipped]) != step


def test_ports_one_by_one_and_in_ranges(windows: WindowsPlanner) -> None:
    xp, seven, ten = (named(windows(os, every=True), "firewall") for os in GENERATIONS.values())
    rules = [line for line in commands(xp) if "portopening" in line]
    assert len(rules) == 5
    assert rules[0] == 'netsh firewall add portopening protocol=TCP port=8000 "name=100%% web & (more) ^!" mode=ENABLE'
    assert "localport=8000-8001" in commands(seven)[1]
    assert "-LocalPort '8000-8001'" in file_of(ten, "firewall.ps1")


def test_a_rule_whose_name_batch_does_not_carry(windows: WindowsPlanner) -> None:
    text = "[network]\n[[open_ports]]\n[[[a]]]\nport = 8000-8001\nproto = udp\ndescription = Jocuri și 'x'\n"
    text += "[[[b]]]\nport = 22\nproto = tcp\ndescription = ssh\n"
    first, second, third = commands(named(windows("win8.1", text), "firewall"))
    script = base64.b64decode(second.rpartition("-EncodedCommand ")[2]).decode("utf-16-le")
    for line in ("Name = 'Jocuri și ''x'''", "Protocol = '17'", "LocalPorts = '8000-8001'"):
        assert f"$rule.{line}\r\n" in script
    assert "netsh" in first and " name=ssh dir=in " in third
    assert "-DisplayName 'Jocuri și" in file_of(named(windows("win10", text), "firewall"), "firewall.ps1")
    for os in ("winxppro", "winvista"):
        with pytest.raises(RecipeError, match=r"lab.ini:9: \[network\] open_ports: .* is not ASCII"):
            windows(os, text)


def test_a_range_is_too_long_for_xp(windows: WindowsPlanner) -> None:
    text = "[network]\n[[open_ports]]\n[[[a]]]\nport = 1000-2000\n"
    with pytest.raises(RecipeError, match=r"lab.ini:7: \[network.open_ports.a\] port: .* opens single ports"):
        windows("winxppro", text)
    assert "localport=1000-2000" in named(windows("win7", text), "firewall").script


def test_drives_beyond_those_of_setup(windows: WindowsPlanner) -> None:
    xp, seven = (named(windows(os, every=True), "drives") for os in ("winxppro", "win7"))
    assert file_of(xp, "drives.txt").split("\r\n") == [
        *("select disk 0", "create partition primary", "assign letter=G"),
        *("select disk 1", "create partition primary", "assign letter=E", ""),
    ]
    assert commands(xp)[1:] == ['format G: /fs:ntfs "/v:more & data" /q /y', "format E: /fs:ntfs /q /y"]
    assert file_of(seven, "drives.txt").split("\r\n")[:3] == [
        *("select disk 1", "online disk noerr", "attributes disk clear readonly noerr"),
    ]
    assert "format fs=ntfs quick" in file_of(seven, "drives.txt")


def test_no_letter_is_given_twice(windows: WindowsPlanner) -> None:
    """Setup makes the partitions of the first disk, and a step those of the others."""
    text = "[[hdds]]\n[[[a]]]\nsize = 90G\n[[[[partitions]]]]\n[[[[[one]]]]]\nsize = 60G\n[[[[[two]]]]]\nfs = ntfs\n"
    text += "[[[b]]]\nsize = 9G\n[[[[partitions]]]]\n[[[[[three]]]]]\nfs = ntfs\n"
    plan = windows("win10", text)
    assert "<Letter>E</Letter>" in answers(windows, "win10", text)
    assert "assign letter=F" in file_of(named(plan, "drives"), "drives.txt")


@pytest.mark.parametrize(
    ("os", "folder"), [("win10", r"w10\amd64"), ("win7-i386", r"w7\x86"), ("winsrv2012r2", r"2k12R2\amd64")]
)
def test_setup_looks_for_drivers_as_virtio_win_lays_them_out(
    windows: WindowsPlanner, tmp_path: Path, os: str, folder: str
) -> None:
    (tmp_path / "virtio-win.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    text = answers(windows, os, "base = iso:virtio-win.iso\nedition = 1\ndrivers = virtio-win.iso\n")
    for letter in "DEFGH":
        assert text.count(rf"<Path>{letter}:\vioscsi\{folder}</Path>") == 2
    assert "DriverPaths" not in answers(windows, os, "base = iso:virtio-win.iso\nedition = 1\n")


def test_setup_of_xp_takes_no_drivers(windows: WindowsPlanner, tmp_path: Path) -> None:
    (tmp_path / "virtio-win.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    with pytest.raises(RecipeError, match=r"lab.ini:5: \[hardware\] drivers: Setup of Windows XP .* takes none"):
        answers(windows, "winxppro", "base = iso:virtio-win.iso\ndrivers = virtio-win.iso\n")


def test_a_mount_is_a_drive(windows: WindowsPlanner) -> None:
    text = "[[hdds]]\n[[[a]]]\n[[[b]]]\nsize = 9G\n[[[[partitions]]]]\n[[[[[one]]]]]\nmount = /srv\n"
    with pytest.raises(RecipeError, match=r"lab.ini:10: \[hardware\] b: one: mount: '/srv' is no drive of Windows"):
        windows("win10", text)


def test_files_need_a_path_of_windows(windows: WindowsPlanner) -> None:
    text = "[config]\n[[files]]\n[[[a]]]\nsource = motd.txt\ndest = /etc/motd\n"
    with pytest.raises(RecipeError, match=r"lab.ini:8: \[config.files.a\] dest: '/etc/motd' is no path of Windows"):
        windows("win10", text)
    found = commands(named(windows("win10", every=True), "files"))
    assert found[1] == r'copy /y C:\Windows\Temp\vmgen\files\motd "C:\Program Files\lab %%PATH%%\motd.txt"'


def test_scripts_by_the_ends_of_their_names(windows: WindowsPlanner) -> None:
    text = "[config]\n[[scripts]]\n[[[a]]]\nfile = own.ps1\n"
    assert "-File C:\\Windows\\Temp\\vmgen\\files\\script.ps1" in named(windows("win7", text), "script-a").script
    with pytest.raises(RecipeError, match=r"lab.ini:7: .* has no PowerShell; name a batch file"):
        windows("winxppro", text)
    with pytest.raises(RecipeError, match=r"lab.ini:7: .* 'motd.txt' is by its name no script of Windows"):
        windows("win7", text.replace("own.ps1", "motd.txt"))
    lines = named(windows("win7", every=True), "script-lines")
    assert file_of(lines, "script.bat") == "@echo off\r\necho %PATH%\r\nif not exist C:\\lab mkdir C:\\lab\r\n"


def test_updates_come_in_bounded_rounds(windows: WindowsPlanner) -> None:
    plan = windows("win10", "[config]\nupdates = now\n")
    rounds = [step for step in plan.steps if step.name.startswith("updates-")]
    assert len(rounds) == 3 and all(step.success == (0, 3010) and step.timeout for step in rounds)
    with pytest.raises(RecipeError, match=r"lab.ini:5: \[config\] updates: Windows XP gets no updates"):
        windows("winxp", "[config]\nupdates = now\n")


def test_settings_that_nobody_asks_for_are_no_step(windows: WindowsPlanner) -> None:
    names = [step.name for step in windows("win10").steps]
    assert "settings" not in names
    step = named(windows("win7", every=True), "settings")
    assert commands(step)[0] == r"reg import files\settings.reg"
    assert '"NoAutoUpdate"=dword:00000001' in (step.files[0].content or b"").decode("utf-16")


@pytest.mark.parametrize(("power", "old", "new"), [("balanced", "0", "SCHEME_BALANCED"), ("high", "3", "SCHEME_MIN")])
def test_a_power_scheme_goes_by_no_name_of_one_language(
    windows: WindowsPlanner, power: str, old: str, new: str
) -> None:
    found = [commands(named(windows(os, f"[config]\npower = {power}\n"), "settings")) for os in GENERATIONS.values()]
    assert found == [[f"powercfg /setactive {old} /numeric"], *[[f"powercfg /setactive {new}"]] * 2]


def test_a_machine_that_never_sleeps(windows: WindowsPlanner) -> None:
    xp, seven = (named(windows(os, "[config]\npower = never-sleep\n"), "settings") for os in ("winxp", "win7"))
    kinds = [f"{what}-timeout-{source}" for what in ("monitor", "standby", "hibernate") for source in ("ac", "dc")]
    assert commands(xp)[1:-1] == [f"powercfg /change 3 /numeric /{kind} 0" for kind in kinds]
    assert commands(seven)[1:-1] == [f"powercfg /change {kind} 0" for kind in kinds]
    assert commands(xp)[-1] == commands(seven)[-1] == "powercfg /hibernate off"
    assert seven.files == ()


def test_generalise_can_be_left_out(windows: WindowsPlanner) -> None:
    names = [s.name for s in windows("win10", "[config]\ngeneralise = no\n").steps]
    assert not {"clean", "generalise"} & set(names)
    step = named(windows("win10", every=True), "generalise")
    assert list(step.secrets) == ["unattend.xml"]


def test_a_generalised_windows_clears_its_page_file_once(windows: WindowsPlanner) -> None:
    """The last shutdown does; the image's first start turns that off."""
    undone = r'reg add "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"'
    undone += " /v ClearPageFileAtShutdown /t REG_DWORD /d 0 /f"
    xp, vista, seven = (windows(os) for os in ("winxppro", "winvista", "win7"))
    assert "RunOnce" in named(xp, "clean").script and "/d 0 /f" in named(xp, "clean").script
    assert "RunOnce" not in named(vista, "clean").script
    for plan in (vista, seven):
        assert undone in html.unescape(named(plan, "generalise").secrets["unattend.xml"].reveal())
    assert "/t REG_MULTI_SZ" in named(vista, "clean").script
    assert "-Name ClearPageFileAtShutdown -Type DWord -Value 1" in file_of(named(seven, "clean"), "clean.ps1")


def test_what_a_build_left_is_looked_for_where_each_windows_has_it(windows: WindowsPlanner) -> None:
    xp, vista, eight = (named(windows(os), "clean") for os in ("winxppro", "winvista", "win8"))
    assert r'if exist "C:\Windows\System32\$winnt$.inf" del /f /q "C:\Windows\System32\$winnt$.inf"' in xp.script
    assert r"C:\Windows\Panther\unattend.xml" in vista.script
    script = file_of(eight, "clean.ps1")
    assert r"@('C:\Windows\Panther\unattend.xml','C:\Windows\Panther\Unattend\unattend.xml'," in script
    assert "$own = @('vmgen','vmgen-setup','vmgen.log')" in script
    assert "/startcomponentcleanup" in script
    assert "/startcomponentcleanup" not in file_of(named(windows("win7"), "clean"), "clean.ps1")


def test_free_space_is_bounded(windows: WindowsPlanner) -> None:
    """In files of 512 MiB, 2 TiB at most, and in no more time than a step of updates has."""
    for os in ("winxppro", "winvista"):
        step = named(windows(os), "clean")
        assert "if %VMGEN_COUNT% gtr 4096 goto zeroed" in step.script
        assert r"fsutil file createnew C:\vmgen-zero\%VMGEN_COUNT% 536870912" in step.script
    assert named(windows("win10"), "clean").timeout == 3 * 3600


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("ram = 512\n", 4, r"\[hardware\] ram: Windows 10 takes at least 2G"),
        ("[[hdds]]\n[[[hdd0]]]\nsize = 10G\n", 6, r"size: Windows 10 takes at least 20G"),
    ],
)
def test_a_machine_that_is_too_small(windows: WindowsPlanner, text: str, line: int, what: str) -> None:
    with pytest.raises(RecipeError, match=rf"lab.ini:{line}: .*{what}"):
        windows("win10", text)


def test_eleven_starts_by_efi_alone(windows: WindowsPlanner) -> None:
    assert '"firmware": "efi"' in windows("win11").build_recipe["machine.json"]
    with pytest.raises(RecipeError, match=r"lab.ini:4: \[hardware\] firmware: Windows 11 .* does not start from bios"):
        windows("win11", "firmware = bios\n")
