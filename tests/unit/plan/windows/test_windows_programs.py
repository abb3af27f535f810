"""Programs and packages in the steps of a plan for Windows: by which installer, or why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.plan.windows.conftest import GENERATIONS, WindowsPlanner, commands, file_of, named
from vmgen_build.errors import RecipeError


def test_programs_by_chocolatey_and_by_dism(windows: WindowsPlanner) -> None:
    text = "[config]\npackages = ./chocolatey.2.4.1.nupkg, vlc=3.0.20, ./tool.msi\npackages_hold = vlc\n"
    text += "[services]\nsshd = 1\n"
    plan = windows("win10", text)
    names = [step.name for step in plan.steps]
    assert names[:3] == ["chocolatey", "packages-services", "packages-config"]
    assert 'dism /online /add-capability "/capabilityname:OpenSSH.Server~~~~0.0.1.0" /norestart' in commands(
        plan.steps[1]
    )
    assert commands(plan.steps[2])[0] == r"msiexec /i files\tool.msi /qn /norestart"
    assert commands(plan.steps[2])[-2:] == [
        *("choco install vlc --version=3.0.20 -y --no-progress", "choco pin add -n=vlc"),
    ]
    assert plan.steps[2].success == (0, 3010)
    seven = windows("win7", text)
    assert commands(named(seven, "packages-services"))[-2:] == [
        "choco install openssh --package-parameters=/SSHServerFeature -y --no-progress",
        "sc config sshd start= auto",
    ]


def asked(windows: WindowsPlanner, os: str, services: str) -> list[str]:
    return commands(named(windows(os, f"[services]\n{services} = 1\n"), "packages-services"))


@pytest.mark.parametrize(
    ("os", "first", "last"),
    [
        (
            "winvista",
            'start "" /wait pkgmgr "/iu:IIS-WebServerRole;IIS-WebServer;',
            ';WAS-ConfigurationAPI" /quiet /norestart',
        ),
        (
            "winsrv2008",
            'start "" /wait pkgmgr "/iu:IIS-WebServerRole;IIS-WebServer;',
            ';WAS-ConfigurationAPI" /quiet /norestart',
        ),
        (
            "win7",
            "dism /online /enable-feature /featurename:IIS-WebServerRole /featurename:IIS-WebServer ",
            "WAS-ConfigurationAPI /norestart",
        ),
        (
            "winsrv2012",
            "dism /online /enable-feature /featurename:IIS-WebServerRole /featurename:IIS-WebServer ",
            "IIS-RequestFiltering /all /norestart",
        ),
        (
            "win11",
            "dism /online /enable-feature /featurename:IIS-WebServerRole /featurename:IIS-WebServer ",
            "IIS-RequestFiltering /all /norestart",
        ),
    ],
)
def test_a_web_server_is_a_part_of_windows(windows: WindowsPlanner, os: str, first: str, last: str) -> None:
    """A feature comes behind those that it stands under, for a dism that does not look for them itself."""
    found = asked(windows, os, "httpd")
    assert found[0].startswith(first) and found[0].endswith(last)
    assert found[1:] == ["sc config W3SVC start= auto"]


def test_an_ftp_server_has_a_site(windows: WindowsPlanner) -> None:
    found = asked(windows, "winsrv2022", "ftp_server")
    assert "/featurename:IIS-FTPServer /featurename:IIS-FTPSvc" in found[0]
    assert found[1] == "sc config FTPSVC start= auto"
    assert [line.split()[1:4] for line in found[3:]] == [
        ["add", "site", "/name:FTP"],
        ["set", "site", "FTP"],
        ["set", "config", "FTP"],
    ]
    assert "choco" not in "".join(found)


def test_a_recipe_without_programs_has_no_step_for_them(windows: WindowsPlanner) -> None:
    for os in GENERATIONS.values():
        assert [step.name for step in windows(os).steps] == ["system", "network", "clean", "generalise"]


def test_a_package_of_chocolatey_goes_by_its_own_name(windows: WindowsPlanner) -> None:
    plan = windows("win10", "[config]\npackages = apache-httpd\n")
    assert commands(named(plan, "packages-config"))[-1] == "choco install apache-httpd -y --no-progress"


@pytest.mark.parametrize(
    ("os", "service", "why"),
    [
        ("winxppro", "httpd", "Internet Information Services come from its medium"),
        ("winsrv2003", "ftp_server", "bring an installer"),
        ("winvista", "ftp_server", "take Windows 7 or Server 2008 R2"),
        ("win10", "telnet_server", "no telnet server any more; take sshd"),
        ("winxp", "telnet_server", "sc config TlntSvr start= auto"),
    ],
)
def test_what_a_windows_lacks_is_left_out_with_advice(windows: WindowsPlanner, os: str, service: str, why: str) -> None:
    plan = windows(os, f"[services]\n{service} = 1\n")
    [(section, name, reason)] = plan.skipped
    assert (section, name) == ("services", service) and why in reason
    assert "packages-services" not in [step.name for step in plan.steps]


def test_features_of_a_catalogue_of_ones_own(windows: WindowsPlanner, tmp_path: Path) -> None:
    """XP has no command for them; a line that batch cannot have is told."""
    (tmp_path / "own.ini").write_text("[thing]\nsection = devel\npackages.windows = feature:Thing\nunits = a.service\n")
    text = "[config]\ncatalogue = own.ini\n[devel]\nthing = 1\n"
    [(_, name, reason)] = windows("winxppro", text).skipped
    assert name == "thing" and "do it by hand" in reason
    dism = "dism /online /enable-feature /featurename:Thing /norestart"
    assert commands(named(windows("win7", text), "packages-devel")) == [dism]
    (tmp_path / "own.ini").write_text("[thing]\nsection = devel\npackages = feature:Thing\nsetup = a && b\n")
    with pytest.raises(RecipeError, match=r"lab.ini: .*it holds & or"):
        windows("win7", text)


def test_installers_by_their_own_marks(windows: WindowsPlanner) -> None:
    text = "[config]\npackages = ./a-setup.exe, ./inno.exe, ./app.msix, ./fix.msu\n"
    found = commands(named(windows("win10", text), "packages-config"))
    assert found == [
        r'start "" /wait files\a-setup.exe /S',
        r'start "" /wait files\inno.exe /VERYSILENT /SUPPRESSMSGBOXES /NORESTART /SP- /RESTARTEXITCODE=3010',
        r"dism /online /add-provisionedappxpackage /packagepath:files\app.msix /skiplicense",
        r"wusa files\fix.msu /quiet /norestart",
    ]
    for file, os in (("app.msix", "win7"), ("fix.msu", "winxppro")):
        with pytest.raises(RecipeError, match=rf"lab.ini:5: \[config\] packages: .* does not install '{file}'"):
            windows(os, f"[config]\npackages = ./{file}\n")


def test_xp_has_no_chocolatey(windows: WindowsPlanner) -> None:
    plan = windows("winxppro", "[devel]\ngit = 1\n[config]\npackages = vlc\n")
    assert [(section, what) for section, what, _ in plan.skipped] == [("devel", "git"), ("config", "vlc")]


@pytest.mark.parametrize(
    ("packages", "why"),
    [
        ("vlc=3.*", "Chocolatey installs a whole version alone"),
        ("./motd.txt", "how 'motd.txt' is installed silently is not known"),
        ("./other.exe", "how 'other.exe' is installed silently is not known"),
    ],
)
def test_packages_that_are_refused(windows: WindowsPlanner, packages: str, why: str) -> None:
    with pytest.raises(RecipeError, match=rf"lab.ini:5: \[config\] packages: .*{re.escape(why)}"):
        windows("win10", f"[config]\npackages = {packages}\n")


BASE = "base = vm:golden\nlogin = Administrator\nlogin_password = x\n"


def test_packages_of_winget(windows: WindowsPlanner) -> None:
    text = f"{BASE}[config]\npackages = winget:Microsoft.PowerToys=0.81.0, vlc, winget:Notepad++.Notepad++\n"
    for os in ("win10", "win11", "winsrv2025"):
        plan = windows(os, text)
        script = file_of(named(plan, "packages-winget"), "winget.ps1")
        assert "Install-Package @('--id', 'Microsoft.PowerToys', '--version', '0.81.0')" in script
        assert "Install-Package @('--id', 'Notepad++.Notepad++')" in script
        assert named(plan, "packages-winget").success == (0, 3010)
        assert commands(named(plan, "packages-config"))[-1] == "choco install vlc -y --no-progress"


@pytest.mark.parametrize(
    ("os", "text", "line", "why"),
    [
        ("winsrv2019", f"{BASE}[config]\npackages = winget:A.B\n", 8, "Windows Server 2019 has no winget"),
        ("win8.1", f"{BASE}[config]\npackages = winget:A.B\n", 8, "has no winget; name one of Chocolatey's"),
        ("win11", "[config]\npackages = winget:A.B\n", 5, "run as SYSTEM, for which winget is not there"),
        ("win11", f"{BASE}[config]\npackages = winget:A.B=1.*\n", 8, "winget installs a whole version alone"),
        ("win11", f"{BASE}[config]\npackages_remove = winget:A.B\n", 8, "whose alone can be removed or held"),
    ],
)
def test_where_winget_cannot_be_asked(windows: WindowsPlanner, os: str, text: str, line: int, why: str) -> None:
    with pytest.raises(RecipeError, match=rf"lab.ini:{line}: \[config\] packages(_remove)?: .*{re.escape(why)}"):
        windows(os, text)
