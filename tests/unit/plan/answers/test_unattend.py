"""unattend.xml: well-formed, of known elements alone, and what it says is what was meant."""

from __future__ import annotations

import base64
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plan.answers.examples import FULL, KEY, NT, answers
from vmgen_build.plan.answers import Answers, Slice, answer_files, generalise_files, usual_slices
from vmgen_build.secret import Secret

NS = "{urn:schemas-microsoft-com:unattend}"
WCM = "{http://schemas.microsoft.com/WMIConfig/2002/State}"
MICROSOFT = "Microsoft-Windows-"
Version = tuple[int, int]
Leaf = tuple[str, str, str]


def setup(of: Answers) -> ET.Element:
    return ET.fromstring(answer_files(of)["autounattend.xml"].reveal())


def sysprep(of: Answers) -> ET.Element:
    return ET.fromstring(generalise_files(of)["unattend.xml"].reveal())


def components(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    for settings in root:
        for component in settings:
            yield settings.attrib["pass"], component


def leaves(root: ET.Element) -> Iterator[tuple[Leaf, str]]:
    """((pass, component, path), text) of each element that holds no others."""

    def inner(element: ET.Element, path: str) -> Iterator[tuple[str, str]]:
        if not len(element):
            yield path, element.text or ""
        for child in element:
            yield from inner(child, f"{path}/{child.tag.removeprefix(NS)}")

    for name, component in components(root):
        for child in component:
            for path, text in inner(child, child.tag.removeprefix(NS)):
                yield (name, component.attrib["name"].removeprefix(MICROSOFT), path), text


def texts(root: ET.Element, path: str) -> list[str]:
    return [text for (_, _, found), text in leaves(root) if found == path or found.endswith(f"/{path}")]


@cache
def known() -> dict[Leaf, tuple[Version, Version]]:
    found: dict[Leaf, tuple[Version, Version]] = {}
    for line in (Path(__file__).parent / "elements.txt").read_text().splitlines():
        if not line.startswith("#"):
            of_pass, component, path, first, last = line.split()
            a, b = (tuple(map(int, version.split("."))) for version in (first, last))
            found[of_pass, component, path] = ((a[0], a[1]), (b[0], b[1]))
    return found


def unknown(root: ET.Element, nt: Version) -> list[Leaf]:
    never = ((99, 0), (0, 0))
    return [leaf for leaf, _ in leaves(root) if not known().get(leaf, never)[0] <= nt <= known().get(leaf, never)[1]]


FIRMWARE = [(nt, "bios") for nt in NT] + [(nt, "efi") for nt in NT[1:]]


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize(("nt", "firmware"), FIRMWARE)
def test_every_element_is_known_to_its_windows(nt: Version, firmware: str, server: bool) -> None:
    of = answers(nt=nt, firmware=firmware, slices=usual_slices(firmware), server=server)
    assert unknown(setup(of), nt) == []
    assert unknown(sysprep(of), nt) == []


def test_the_table_finds_what_a_windows_does_not_know() -> None:
    of = setup(answers(nt=(10, 0)))
    assert ("oobeSystem", "Shell-Setup", "OOBE/HideOnlineAccountScreens") in unknown(of, (6, 1))
    assert ("oobeSystem", "Shell-Setup", "OOBE/SkipMachineOOBE") in unknown(setup(FULL), (10, 0))


def test_every_line_of_the_table_is_used() -> None:
    used = set[Leaf]()
    for nt, firmware in FIRMWARE:
        of = answers(nt=nt, firmware=firmware, slices=usual_slices(firmware))
        used |= {leaf for root in (setup(of), sysprep(of)) for leaf, _ in leaves(root)}
    assert used == known().keys()


@pytest.mark.parametrize(("arch", "word"), [("i386", "x86"), ("amd64", "amd64"), ("arm64", "arm64")])
def test_every_component_is_named_whole(arch: str, word: str) -> None:
    for root in (setup(answers(arch=arch, nt=(10, 0))), sysprep(answers(arch=arch, nt=(10, 0)))):
        assert root.tag == f"{NS}unattend"
        for _, component in components(root):
            assert component.attrib == {
                "name": component.attrib["name"],
                "processorArchitecture": word,
                "publicKeyToken": "31bf3856ad364e35",
                "language": "neutral",
                "versionScope": "nonSxS",
            }


def test_drivers_are_for_setup_and_for_what_it_installs() -> None:
    root = setup(FULL)
    for name in ("windowsPE", "offlineServicing"):
        found = [text for (of, _, path), text in leaves(root) if of == name and path.startswith("DriverPaths")]
        assert found == list(FULL.drivers)
    assert "DriverPaths" not in answer_files(answers(drivers=()))["autounattend.xml"].reveal()


def test_no_component_comes_twice_in_a_pass() -> None:
    for root in (setup(FULL), sysprep(FULL)):
        found = [(name, component.attrib["name"]) for name, component in components(root)]
        assert len(found) == len(set(found))
        assert [settings.attrib["pass"] for settings in root][-2:] == ["specialize", "oobeSystem"]
    assert next(settings.attrib["pass"] for settings in setup(FULL)) == "windowsPE"
    assert next(settings.attrib["pass"] for settings in sysprep(FULL)) == "generalize"


def test_items_of_lists_are_added() -> None:
    """Each has wcm:action, by which Setup knows the items of a list apart; keys of driver folders are their own."""
    root = setup(FULL)
    lists = ("Disk", "CreatePartition", "ModifyPartition", "MetaData", "PathAndCredentials")
    lists += ("SynchronousCommand", "RunSynchronousCommand")
    for name in lists:
        found = list(root.iter(f"{NS}{name}"))
        assert found and all(item.attrib[f"{WCM}action"] == "add" for item in found), name
    assert [item.attrib[f"{WCM}keyValue"] for item in root.iter(f"{NS}PathAndCredentials")] == ["1", "2"] * 2


def decoded(value: str) -> str:
    return base64.b64decode(value, validate=True).decode("utf-16-le")


def test_passwords_are_in_the_schemas_own_encoding() -> None:
    text = answer_files(FULL)["autounattend.xml"].reveal()
    root = ET.fromstring(text)
    assert set(texts(root, "PlainText")) == {"false"}
    (administrator,) = texts(root, "AdministratorPassword/Value")
    assert decoded(administrator) == "päss & <word>AdministratorPassword"
    assert [decoded(value) for value in texts(root, "AutoLogon/Password/Value")] == ["päss & <word>Password"]
    assert "päss" not in text


def test_an_image_by_its_number_or_its_name() -> None:
    by_name, by_number = setup(FULL), setup(answers(image="4"))
    assert texts(by_name, "MetaData/Key") == ["/IMAGE/NAME"]
    assert texts(by_name, "MetaData/Value") == ["Windows 7 PROFESSIONAL"]
    assert texts(by_number, "MetaData/Key") == ["/IMAGE/INDEX"]
    assert texts(by_number, "MetaData/Value") == ["4"]
    assert texts(setup(answers(image="")), "MetaData/Key") == []


def created(root: ET.Element) -> list[tuple[str, str, str]]:
    found = root.iter(f"{NS}CreatePartition")
    return [tuple(item.findtext(f"{NS}{name}", "") for name in ("Type", "Size", "Extend")) for item in found]  # type: ignore[misc]


def modified(root: ET.Element) -> list[tuple[str, str, str, str]]:
    names = ("PartitionID", "Format", "Letter", "Active")
    found = root.iter(f"{NS}ModifyPartition")
    return [tuple(item.findtext(f"{NS}{name}", "") for name in names) for item in found]  # type: ignore[misc]


def test_the_usual_disk_of_a_bios() -> None:
    root = setup(FULL)
    assert created(root) == [("Primary", "350", ""), ("Primary", "", "true")]
    assert modified(root) == [("1", "NTFS", "", "true"), ("2", "NTFS", "C", "")]
    assert texts(root, "InstallTo/PartitionID") == ["2"]
    single = setup(answers(slices=usual_slices("bios", reserved=False)))
    assert created(single) == [("Primary", "", "true")]
    assert modified(single) == [("1", "NTFS", "C", "true")]


def test_the_usual_disk_of_efi_with_a_further_partition() -> None:
    further = Slice(label="Data", letter="E")
    root = setup(answers(firmware="efi", slices=(*usual_slices("efi", 40960), further)))
    assert created(root) == [("EFI", "260", ""), ("MSR", "16", ""), ("Primary", "40960", ""), ("Primary", "", "true")]
    assert modified(root) == [
        ("1", "FAT32", "", ""),
        ("2", "", "", ""),
        ("3", "NTFS", "C", ""),
        ("4", "NTFS", "E", ""),
    ]
    assert texts(root, "InstallTo/PartitionID") == ["3"]


def test_an_extended_partition_has_no_number() -> None:
    """As the reference of PartitionID says: logical ones are counted where their extended one lies."""
    slices = (
        Slice(size=20480, letter="C", active=True, system=True),
        Slice(kind="extended", size=30720, fs=""),
        Slice(size=1024, letter="D"),
        Slice(kind="logical", size=10240, letter="E"),
        Slice(kind="logical", letter="F", fs="FAT32"),
    )
    root = setup(answers(slices=slices))
    assert [kind for kind, _, _ in created(root)] == ["Primary", "Extended", "Primary", "Logical", "Logical"]
    assert [(number, letter) for number, _, letter, _ in modified(root)] == [
        ("1", "C"),
        ("2", "E"),
        ("3", "F"),
        ("4", "D"),
    ]


def test_a_product_key_and_none() -> None:
    with_key, without = setup(FULL), setup(answers(product_key=None))
    assert texts(with_key, "ProductKey/Key") == [KEY]
    assert texts(without, "ProductKey/Key") == []
    assert texts(without, "ProductKey/WillShowUI") == ["Never"]
    assert texts(sysprep(FULL), "ProductKey") == [KEY]
    assert texts(sysprep(answers(product_key=None)), "ProductKey") == []


def test_names_of_regions() -> None:
    root = setup(FULL)
    assert set(texts(root, "InputLocale")) == {"0418:00020418"}
    assert set(texts(root, "UserLocale")) == {"ro-RO"}
    assert set(texts(root, "UILanguage")) == {"en-US"}
    assert set(texts(root, "TimeZone")) == {"GTB Standard Time"}


def test_it_is_never_activated_and_nothing_bypasses_the_checks_of_setup() -> None:
    for nt in NT:
        text = answer_files(answers(nt=nt))["autounattend.xml"].reveal()
        assert texts(ET.fromstring(text), "SkipAutoActivation") == ["true"]
        assert "LabConfig" not in text and "slmgr" not in text


def test_without_commands_nobody_is_logged_on() -> None:
    root = setup(answers(first_logon=(), commands=(), administrator_password=None, nt=(6, 1)))
    assert texts(root, "AutoLogon/Enabled") == []
    assert not list(root.iter(f"{NS}UserAccounts"))
    assert not [c for _, c in components(root) if c.attrib["name"] == "Microsoft-Windows-Deployment"]


def test_updates_from_the_start_or_not() -> None:
    assert texts(setup(FULL), "ProtectYourPC") == ["3"]
    assert texts(setup(answers(updates=True)), "ProtectYourPC") == ["1"]


hostile = st.text(
    st.one_of(st.sampled_from("\"'&<>%^!|]-"), st.characters(blacklist_categories=("Cs", "Cc", "Cn"))), max_size=40
).filter(lambda text: not any(ord(char) & 0xFFFE == 0xFFFE for char in text))


@given(hostile, hostile, hostile)
def test_hostile_values_come_back(text: str, command: str, password: str) -> None:
    secret = Secret("p" + password)
    changed = {"first_logon": (command,), "commands": (command,), "administrator_password": secret}
    root = setup(answers(owner=text, image="n" + text, **changed))
    assert texts(root, "RegisteredOwner") == [text]
    assert texts(root, "CommandLine") == [command]
    assert texts(root, "RunSynchronousCommand/Path") == [command]
    assert texts(root, "MetaData/Value") == ["n" + text]
    assert decoded(texts(root, "AutoLogon/Password/Value")[0]) == f"p{password}Password"


needs_osinfo = pytest.mark.skipif(shutil.which("osinfo-install-script") is None, reason="needs libosinfo-bin")

OSINFO = {"winvista": (6, 0), "win7": (6, 1), "win8": (6, 2), "win8.1": (6, 3), "win10": (10, 0)}


@needs_osinfo
@pytest.mark.parametrize("arch", ["i386", "amd64"])
@pytest.mark.parametrize("system", OSINFO)
def test_components_passes_and_elements_are_those_of_libosinfo(system: str, arch: str, tmp_path: Path) -> None:
    theirs = osinfo(system, {"amd64": "x86_64"}.get(arch, arch), tmp_path)
    ours = setup(answers(nt=OSINFO[system], arch=arch))
    places = {
        (name, component.attrib["name"], component.attrib["processorArchitecture"])
        for name, component in components(ours)
    }
    own = {"Microsoft-Windows-Security-SPP-UX", "Microsoft-Windows-Security-Licensing-SLC-UX"}
    own |= {"Microsoft-Windows-International-Core", "Microsoft-Windows-PnpCustomizationsNonWinPE"}
    assert {
        (name, component.attrib["name"], component.attrib["processorArchitecture"])
        for name, component in components(theirs)
    } == {place for place in places if place[1] not in own} - (
        {place for place in places if "Deployment" in place[1]} if system == "winvista" else set()
    )
    used = {leaf for leaf, _ in leaves(theirs) if "LocalAccount" not in leaf[2]}
    shared = {leaf for leaf in used if leaf in {found for found, _ in leaves(ours)}}
    assert len(shared) > 20
    other = {path.rsplit("/", 1)[-1] for _, _, path in used - shared}
    assert other <= {"Extend", "Size", "SkipMachineOOBE", "SkipUserOOBE", "NetworkLocation", "ProductKey"} | {
        "Path"
    } | {"Description"}


def osinfo(system: str, arch: str, folder: Path) -> ET.Element:
    settings = {
        "admin-password": "x",
        "hardware-arch": arch,
        "hostname": "LAB",
        "l10n-language": "en_US",
        "reg-product-key": KEY,
        "user-login": "jo",
        "user-password": "x",
        "user-realname": "Jo",
    }
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    command = ["osinfo-install-script", "-q", "-p", "desktop", "-d", str(folder), *words, system]
    subprocess.run(command, check=True, capture_output=True)
    return ET.parse(folder / "autounattend.xml").getroot()
