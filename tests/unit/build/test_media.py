"""The media that compile writes of a recipe for Windows: which files, whose, with what, and what it says."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.plan.windows.conftest import EVERY, FILES, GENERATIONS
from tests.vimjson import lacking, vim_object
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.backends.registry import backend_named
from vmgen_build.cli import main
from vmgen_build.errors import RecipeError
from vmgen_build.plan.context import Facts, PlanContext, guest_renderer
from vmgen_build.plan.planner import make_plan
from vmgen_build.plan.setup import BUILT_NAME
from vmgen_build.plan.setupmedia import FURTHER_RESTARTS, SAYS, SetupMedia, media_of_build, setup_media
from vmgen_build.plan.text.batchlint import findings
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret

RECIPE = """[hardware]
vm_id = lab
os = OS
{hardware}
[users]
[[users]]
[[[ana]]]
name = ana
passwd = canary-ana
[config]
hostname = lab-pc
root_passwd = canary-root
{config}
"""

CANARIES = (b"canary-ana", b"canary-root")

Compile = Callable[..., Path]
Media = Callable[..., SetupMedia]

pytestmark = pytest.mark.skipif(not shutil.which("xorrisofs") or not shutil.which("mcopy"), reason="needs their tools")


def iso(path: Path) -> None:
    path.write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))


def write(folder: Path, os: str, hardware: str = "", config: str = "") -> Path:
    for name in ("setup.iso", "tools.iso", "drivers.iso"):
        iso(folder / name)
    (folder / "disk.qcow2").write_bytes(b"QFI\xfb\0\0\0\3" + bytes(504))
    for name in ("tools.msi", "my tools.exe", "tools.zip"):
        (folder / name).write_bytes(b"tools")
    path = folder / "lab.ini"
    path.write_text(RECIPE.format(hardware=hardware, config=config).replace("os = OS", f"os = {os}"))
    return path


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """compiled(OS, *WORDS) -> the folder that compile writes."""

    def run(os: str, *words: str, hardware: str = "", config: str = "", code: int = 0) -> Path:
        recipe, out = write(tmp_path, os, hardware, config), tmp_path / "out"
        assert main.run(["compile", str(recipe), "--offline", "-o", str(out), *(words or ("-b", "vmware"))]) == code
        return out

    return run


@pytest.fixture
def media(tmp_path: Path) -> Media:
    def make(os: str, hardware: str = "", config: str = "", backend: str = "vmware") -> SetupMedia:
        recipe = load(write(tmp_path, os, hardware, config))
        part = backend_named(backend).part(recipe, None)
        return setup_media(recipe, make_plan(recipe, backend, part, Facts("release", 1700000000), None), None)

    return make


def unpacked(image: Path, folder: Path) -> dict[str, bytes]:
    subprocess.run(["7z", "x", f"-o{folder}", image], check=True, capture_output=True)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bytes_of(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


@pytest.mark.parametrize("backend", ["vmware", "kvm"])
@pytest.mark.parametrize("os", ["win7", "win10-pro", "win11-pro"])
def test_vista_and_later_get_a_cd(compiled: Compile, tmp_path: Path, os: str, backend: str) -> None:
    out = compiled(os, "-b", backend)
    assert stat.S_IMODE((out / "lab-setup.iso").stat().st_mode) == 0o600
    assert not (out / "lab-setup.img").exists()
    found = unpacked(out / "lab-setup.iso", tmp_path / "cd")
    steps = sorted(path.stem for path in out.glob("[0-9]*.bat"))
    folders = {name.split("/")[1] for name in found if name.count("/") > 1}
    assert (sorted(folders), steps[1]) == (steps, "02-users")
    assert {name for name in found if "/" not in name} == {"autounattend.xml"}
    for step in steps:
        assert found[f"vmgen/{step}/script.bat"] == (out / f"{step}.bat").read_bytes()
    assert found["vmgen/run.bat"] == (out / "run.bat").read_bytes()
    assert b"canary-ana" in found["vmgen/02-users/secrets/ana"]
    files = {f"vmgen/{path.relative_to(out / 'files')}" for path in (out / "files").rglob("*") if path.is_file()}
    assert files == {name.replace("/files/", "/") for name in found if "/files/" in name}


@pytest.mark.parametrize("os", ["winxppro", "winsrv2003"])
def test_xp_and_2003_get_a_floppy_too(compiled: Compile, tmp_path: Path, os: str) -> None:
    out = compiled(os)
    assert {stat.S_IMODE((out / f"lab-setup.{end}").stat().st_mode) for end in ("iso", "img")} == {0o600}
    floppy = unpacked(out / "lab-setup.img", tmp_path / "floppy")
    assert {name.lower() for name in floppy} == {"winnt.sif", "start.bat"}
    cd = unpacked(out / "lab-setup.iso", tmp_path / "cd")
    assert {name.split("/")[0] for name in cd} == {"vmgen"}


def test_no_password_is_anywhere_else(
    compiled: Compile, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINDOWS_KEY", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
    out = compiled("winxppro", "-b", "vmware", "-b", "kvm", config="product_key = env:WINDOWS_KEY")
    every = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    holding = {path.name for path, data in every.items() if any(one in data for one in (*CANARIES, b"AAAAA-"))}
    assert holding == {"lab-setup.iso", "lab-setup.img"}
    assert {path.parent.name for path in every if path.suffix == ".iso"} == {"vmware", "kvm"}
    shown = capfd.readouterr()
    assert "canary" not in shown.out + shown.err
    assert "lab-setup.iso and lab-setup.img hold the recipe's passwords; keep them to yourself\n" in shown.err
    assert str(out / "vmware" / "lab-setup.iso") in shown.out.splitlines()


def test_the_same_recipe_gives_the_same_bytes(compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    found = []
    for _ in range(2):
        out = compiled("winxppro", config="packages = ./tools.msi")
        found.append([(out / f"lab-setup.{end}").read_bytes() for end in ("iso", "img")])
        shutil.rmtree(out)
    assert found[0] == found[1]


@pytest.mark.parametrize(("missing", "left"), [("xorrisofs", "lab-setup.iso"), ("mcopy", "lab-setup.img")])
def test_what_this_host_cannot_write_is_left_out(
    compiled: Compile, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], missing: str, left: str
) -> None:
    names = {"lab-setup.iso", "lab-setup.img"}
    earlier = compiled("winxppro")
    assert {path.name for path in earlier.glob("lab-setup*")} == names
    capfd.readouterr()
    find = shutil.which
    monkeypatch.setattr("shutil.which", lambda name, **more: None if name == missing else find(name, **more))
    out = compiled("winxppro")
    assert {path.name for path in out.glob("lab-setup*")} == names - {left}
    [line] = [line for line in capfd.readouterr().err.splitlines() if "not written" in line]
    package = {"xorrisofs": "xorriso", "mcopy": "mtools"}[missing]
    assert re.match(rf"{left} was not written: this host lacks {missing} \(.*\b{package}\b", line)
    assert left not in "".join(path.name for path in out.iterdir())


def test_what_the_cd_cannot_hold_is_no_failure(compiled: Compile, capfd: pytest.CaptureFixture[str]) -> None:
    out = compiled("win10-pro", config=f"packages = ./{'a' * 70}.msi", code=2)
    assert not out.exists()
    (out.parent / f"{'a' * 70}.msi").write_bytes(b"x")
    compiled("win10-pro", config=f"packages = ./{'a' * 70}.msi")
    assert "lab-setup.iso was not written: " in capfd.readouterr().err
    assert not (out / "lab-setup.iso").exists()


def test_answers_that_setup_does_not_take(compiled: Compile, capfd: pytest.CaptureFixture[str]) -> None:
    """An error where the recipe names the medium; else the machine may be another's, and it is shown."""
    config = "root_passwd = 50%\ngeneralise = no"
    bad = RECIPE.replace("root_passwd = canary-root\n", "")
    globals_ = {"hardware": "", "config": config}
    out = compiled("winxppro")
    path = out.parent / "lab.ini"
    path.write_text(bad.format(**globals_).replace("os = OS", "os = winxppro"))
    assert main.run(["compile", str(path), "--offline", "-b", "vmware", "-o", str(out)]) == 0
    error = capfd.readouterr().err
    assert "lab-setup.iso was not written: " in error and "[config] root_passwd" in error and "50%" not in error
    assert list(out.glob("lab-setup*")) == []
    path.write_text(bad.format(**{**globals_, "hardware": "base = iso:setup.iso"}).replace("os = OS", "os = winxppro"))
    assert main.run(["compile", str(path), "--offline", "-b", "vmware", "-o", str(out)]) == 2


def test_a_machine_that_is_there_already_gets_none(compiled: Compile) -> None:
    out = compiled("win10-pro", hardware="base = ./disk.qcow2")
    assert list(out.glob("lab-setup*")) == [] and not (out / "run.bat").exists()
    assert "holds the disks" in (out / "INSTALL").read_text()


def test_no_linux_gets_any(compiled: Compile) -> None:
    out = compiled("debian-12")
    assert list(out.glob("lab-setup*")) == [] and list(out.glob("*.bat")) == []


@pytest.mark.parametrize("os", GENERATIONS.values())
def test_every_batch_file_of_ours_passes_the_lint(tmp_path: Path, os: str) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    iso(tmp_path / "setup.iso")
    text = EVERY.replace("os = OS", f"os = {os}\n    base = iso:setup.iso\n    tools = tool.msi")
    if os == "winxppro":
        text = text.replace('root_passwd = "s3cret &"', "root_passwd = s3cret")
    (tmp_path / "lab.ini").write_text(text, newline="")
    recipe = load(tmp_path / "lab.ini")
    plan = make_plan(recipe, "vmware", backend_named("vmware").part(recipe, None), Facts("release", 1700000000), None)
    found = setup_media(recipe, plan, None)
    every = {**found.cd, **found.floppy}
    ours = {n: bytes_of(c) for n, c in every.items() if n.endswith(".bat") and "/files/" not in n}
    assert len(ours) == len(plan.steps) + (3 if os == "winxppro" else 2)
    for name, script in ours.items():
        assert findings(script, stamped=name.endswith("/script.bat")) == [], name
    assert f"gtr {len(plan.steps) + 1 + FURTHER_RESTARTS} goto often" in found.run
    assert all(len(name) < 64 for path in found.cd for name in path.split("/"))


def of_a_build(folder: Path, os: str, hardware: str = "", config: str = "") -> SetupMedia:
    recipe = load(write(folder, os, f"base = iso:setup.iso\n{hardware}", config))
    ctx = PlanContext(recipe, recipe.hardware.os, Facts(), (), guest_renderer(recipe, None))
    return media_of_build(ctx, Secret("Vm1-canary"), vmware=False)


@pytest.mark.parametrize("os", GENERATIONS.values())
def test_setup_of_a_build_answers_what_no_step_can_do_and_puts_in_the_tools(tmp_path: Path, os: str) -> None:
    key = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
    config = f"timezone = Europe/Bucharest\nkeyboard = ro\nlocale = ro_RO.UTF-8\nproduct_key = {key}"
    found = of_a_build(tmp_path, os, "tools = tools.msi", config)
    every = {**found.cd, **found.floppy}
    [answers] = [bytes_of(content).decode() for name, content in every.items() if name.endswith((".xml", ".sif"))]
    assert BUILT_NAME in answers and key in answers
    assert not [one for one in ("lab-pc", "canary-root", "canary-ana", "Romania", "0418") if one in answers]
    assert "sysprep" not in found.run
    assert {name.split("/")[1] for name in found.cd if name.startswith("vmgen/")} == {"run.bat", "00-tools"}
    assert bytes_of(found.cd["vmgen/00-tools/files/tools.msi"]) == b"tools"
    assert f"echo {SAYS}%VMGEN_STEP% ended with code %VMGEN_CODE%" in found.run and found.run.count(">COM1") == 1
    ours = {n: bytes_of(c) for n, c in every.items() if n.endswith(".bat") and "/files/" not in n}
    for name, script in ours.items():
        assert findings(script, stamped=name.endswith("/script.bat")) == [], name


def test_only_what_setup_needs_to_know_makes_another_machine(tmp_path: Path) -> None:
    first = of_a_build(tmp_path, "win10-pro", "tools = tools.iso").cd["autounattend.xml"]
    again = of_a_build(tmp_path, "win10-pro", "tools = tools.iso", "locale = ro_RO.UTF-8\nupdates = off")
    edition = of_a_build(tmp_path, "win10-pro", "tools = tools.iso\nedition = 3")
    assert again.cd["autounattend.xml"] == first != edition.cd["autounattend.xml"]


def test_the_lint_misses_a_stamp_in_what_is_no_step(media: Media) -> None:
    run = media("win7").run.encode()
    assert findings(run) == ["it does not write its stamp once"]
    broken = run.replace(b'"1" goto restart', b'"1" goto nowhere', 1)
    assert any("there is no label nowhere" in what for what in findings(broken, stamped=False))


def test_the_first_logon_looks_for_the_drive(media: Media) -> None:
    answers = ElementTree.fromstring(bytes_of(media("win10-pro").cd["autounattend.xml"]))
    [command] = [one.text or "" for one in answers.iter("{urn:schemas-microsoft-com:unattend}CommandLine")]
    assert command.startswith("cmd /d /c for %d in (D E F ")
    assert command.endswith(r"Z) do if exist %d:\vmgen\run.bat call %d:\vmgen\run.bat")
    sif = media("winxppro").floppy["winnt.sif"].decode()
    assert 'Command0 = "cmd /d /c A:\\start.bat"' in sif


def test_odd_names_of_steps_mean_nothing_to_the_parser(media: Media) -> None:
    found = media("win7", config="[[scripts]]\n[[[a & b (c)%PATH%]]]\nrun = echo x\n")
    [folder] = {name.split("/")[1] for name in found.cd if "script-" in name}
    assert re.fullmatch(r"\d\d-script-a-b-c-PATH-", folder)
    assert f'set "VMGEN_STEP={folder}"' in found.run


@pytest.mark.parametrize(
    ("tools", "backend", "line"),
    [
        ("tools.msi", "vmware", r"msiexec /i files\tools.msi /qn /norestart"),
        ("my tools.exe", "vmware", r'set "VMGEN_TOOLS=files\my tools.exe"'),
        ("my tools.exe", "vmware", '"%VMGEN_TOOLS%" /s /v"/qn REBOOT=R"'),
        ("my tools.exe", "kvm", '"%VMGEN_TOOLS%" /quiet /norestart'),
        ("tools.iso", "vmware", '"%VMGEN_TOOLS%" /s /v"/qn REBOOT=R"'),
        ("tools.iso", "kvm", '"%VMGEN_TOOLS%" /quiet /norestart'),
    ],
)
def test_tools_come_first(media: Media, tools: str, backend: str, line: str) -> None:
    found = media("win10-pro", f"base = iso:setup.iso\ntools = {tools}", backend=backend)
    script = bytes_of(found.cd["vmgen/00-tools/script.bat"]).decode()
    assert line in script.split("\r\n") and findings(script.encode()) == []
    assert ("vmgen/00-tools/files/" + tools in found.cd) is not tools.endswith(".iso")
    first = found.run.split(":step1\r\n")[1].split(":step2")[0]
    assert 'set "VMGEN_STEP=00-tools"' in first and 'set "VMGEN_RESTART=1"' in first


def test_tools_on_a_cd_are_found_by_what_it_holds(media: Media) -> None:
    def found(os: str, backend: str) -> str:
        made = media(os, "base = iso:setup.iso\ntools = tools.iso", backend=backend)
        return bytes_of(made.cd["vmgen/00-tools/script.bat"]).decode()

    assert r'if exist %%d:\setup64.exe set "VMGEN_TOOLS=%%d:\setup64.exe"' in found("win10-pro", "vmware")
    assert r'if exist %%d:\setup64.exe set "VMGEN_TOOLS=%%d:\setup.exe"' in found("winxppro", "vmware")
    assert "virtio-win-guest-tools.exe" in found("win10-pro", "kvm")


def test_tools_that_nobody_installs_silently(media: Media) -> None:
    with pytest.raises(RecipeError, match=r"lab.ini:5: \[hardware\] tools: how 'tools.zip' is installed silently"):
        media("win10-pro", "base = iso:setup.iso\ntools = tools.zip")


def test_where_sysprep_follows_setups_answers_stay(media: Media) -> None:
    """It keeps its own there."""
    assert "Panther" not in media("win10-pro").run
    assert r"del /f /q C:\Windows\Panther\unattend.xml" in media("win10-pro", config="generalise = no").run
    assert r"del /f /q C:\Windows\System32\$winnt$.inf" in media("winxppro", config="generalise = no").run


def test_install_says_what_goes_where(compiled: Compile) -> None:
    hardware = "base = iso:setup.iso\ndrivers = drivers.iso\ntools = tools.iso"
    text = (compiled("win11-pro", hardware=hardware) / "INSTALL").read_text()
    for part in ("setup.iso", "lab-setup.iso", "drivers.iso", "tools.iso", "TPM 2.0", "uefi.secureBoot", "ovftool"):
        assert part in text, part
    assert "floppy" not in text and ".ova holds" not in text
    text = (compiled("winxppro", "-b", "kvm", hardware="base = iso:setup.iso") / "INSTALL").read_text()
    assert "path=lab-setup.img,device=floppy" in text and "TPM" not in text
    assert "qemu-img create -f qcow2 lab-kvm-i386.qcow2 3072M" in text


FOUR_DISKS = "[[hdds]]\n" + "".join(f"[[[hdd{n}]]]\ntype = ide\nname = {n}.vmdk\nsize = 40G\n" for n in range(4))
TOOLS = "base = iso:setup.iso\ntools = tools.iso"
MEDIA = f"{TOOLS}\ndrivers = drivers.iso"


def vmx_of(out: Path) -> dict[str, str]:
    return dict(line.rstrip('"').split(' = "', 1) for line in (out / "lab.vmx").read_text().splitlines())


@pytest.mark.parametrize(
    ("os", "hardware", "drives", "left"),
    [
        ("win10-pro", MEDIA, {"ide0:0": "setup.iso", "ide0:1": "lab-setup.iso", "ide1:0": "drivers.iso"}, ""),
        ("win10-pro", MEDIA.replace("tools.iso", "drivers.iso"), {"ide1:1": "drivers.iso", "ide0:1": None}, ""),
        ("winxppro", TOOLS, {"ide0:1": "setup.iso", "ide1:0": "lab-setup.iso", "ide1:1": "tools.iso"}, ""),
        ("winxppro", "base = iso:setup.iso", {"ide1:0": "setup.iso", "ide1:1": "lab-setup.iso", "ide0:1": None}, ""),
        (
            "winxppro",
            f"{TOOLS}\n[[cds]]\n[[[cd0]]]\nimage = own.iso",
            {"ide1:0": "own.iso", "ide0:1": "setup.iso"},
            "no place for tools.iso:",
        ),
        (
            "win7",
            "",
            {"ide1:0": "auto detect", "ide1:1": "lab-setup.iso"},
            "names no medium of Windows: its drive, ide1:0,",
        ),
        ("win7", FOUR_DISKS, {"ide1:1": "3.vmdk"}, "no place for the medium of Windows and lab-setup.iso:"),
    ],
)
def test_the_machine_has_the_media_in_its_drives(
    compiled: Compile, tmp_path: Path, os: str, hardware: str, drives: dict[str, str | None], left: str
) -> None:
    iso(tmp_path / "own.iso")
    out = compiled(os, hardware=hardware)
    found = vmx_of(out)
    assert {place: found.get(f"{place}.fileName") for place in drives} == drives
    assert left in (out / "INSTALL").read_text()
    floppy = {key: value for key, value in found.items() if key.startswith("floppy0.")}
    if os == "winxppro":
        assert floppy["floppy0.fileName"] == "lab-setup.img" and floppy["floppy0.present"] == "TRUE"
    else:
        assert floppy == {"floppy0.present": "FALSE"}
    assert found["bios.bootOrder"] == "hdd,cdrom"


def test_the_same_machine_for_vsphere(compiled: Compile) -> None:
    out = compiled("winxppro", hardware="base = iso:setup.iso")
    spec = vim_object(json.loads((out / "lab.vim.json").read_text()))
    assert lacking(spec) == []
    assert [(one.key, one.value) for one in spec.extraConfig] == [("bios.bootOrder", "hdd,cdrom")]
    backings = [change.device.backing for change in spec.deviceChange if change.device.backing is not None]
    paths = [backing.fileName for backing in backings if hasattr(backing, "fileName")]
    assert {f"[datastore] lab/{name}" for name in ("setup.iso", "lab-setup.iso", "lab-setup.img")} <= {*paths}
    text = (out / "lab-empty.ovf").read_text()
    odd = [one for one in read_descriptor(text.encode()).findings if "ovf:size is ''" not in one]
    assert odd == ["disk  refers to file '', which is not in References"], "an empty one, which the importer makes"
    assert re.findall('ovf:href="([^"]+)"', text) == ["setup.iso", "lab-setup.iso", "lab-setup.img"]
    assert "ovf:fileRef" not in text and f'ovf:capacity="{3 << 30}"' in text and "ovf:size" not in text
    assert "lab-setup" not in (out / "lab.ovf").read_text(), "a build's OVA has none of them"


@pytest.mark.parametrize("option", ["drivers", "tools"])
def test_media_lie_beside_each_other(
    compiled: Compile, tmp_path: Path, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "more").mkdir()
    iso(tmp_path / "more" / "setup.iso")
    compiled("win10-pro", hardware=f"base = iso:setup.iso\n{option} = more/setup.iso", code=2)
    error = capfd.readouterr().err
    assert (
        f"lab.ini:5:{len(option) + 4}: [hardware] {option}: another file beside the machine is called 'setup.iso' too"
        in error
    )


def test_a_folder_in_the_place_of_a_medium_stays(compiled: Compile, capfd: pytest.CaptureFixture[str]) -> None:
    out = compiled("winxppro")
    for end in ("iso", "img"):
        (out / f"lab-setup.{end}").unlink()
        (out / f"lab-setup.{end}" / "own").mkdir(parents=True)
    compiled("winxppro")
    assert [(out / f"lab-setup.{end}" / "own").is_dir() for end in ("iso", "img")] == [True, True]
    assert capfd.readouterr().err.count(" was not written: ") == 2


def test_no_root_and_no_rest(compiled: Compile) -> None:
    out = compiled("win10-pro")
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert (out / "lab-setup.iso").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cd_that_is_half_written_does_not_stay(compiled: Compile, tmp_path: Path, number: int) -> None:
    """What kill -9 leaves goes with the next call."""
    recipe, out = write(tmp_path, "win10-pro", config="packages = ./large.msi"), tmp_path / "out"
    with (tmp_path / "large.msi").open("wb") as file:
        file.truncate(300 << 20)
    words = [sys.executable, "-m", "vmgen_build", "compile", recipe, "--offline", "-b", "vmware", "-o", out]
    tool = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not [part for part in out.glob(".lab-setup.iso.part-*") if part.stat().st_size > 1 << 20]:
        assert tool.poll() is None, tool.communicate()[0]
        time.sleep(0.01)
    tool.send_signal(number)
    printed = tool.communicate()[0]
    assert "Traceback" not in printed and "lab-setup" not in printed
    if number == signal.SIGKILL:
        assert tool.returncode == -number
        compiled("win10-pro")
    else:
        assert tool.returncode == 128 + number and not (out / "lab-setup.iso").exists()
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_compile_left_goes_and_nothing_else(compiled: Compile, tmp_path: Path) -> None:
    out = compiled("win10-pro")
    for name in ("dead", "alive"):
        (out / f".vmgen-cd-{name}" / "vmgen").mkdir(parents=True)
    (out / ".vmgen-cd-link").symlink_to(tmp_path)
    lock = os.open(out / ".vmgen-cd-alive", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    compiled("win10-pro")
    os.close(lock)
    assert {path.name for path in out.glob(".*")} == {".vmgen-cd-alive", ".vmgen-cd-link"}
    assert (tmp_path / "lab.ini").exists()
