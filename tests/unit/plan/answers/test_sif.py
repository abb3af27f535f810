"""winnt.sif and sysprep.inf, read back as Windows reads them: as an INF file, and by GetPrivateProfileString."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plan.answers.examples import KEY, OLD
from vmgen_build.plan.answers import Answers, Slice, answer_files, generalise_files
from vmgen_build.plan.text.inf import INF, inf_string
from vmgen_build.secret import Secret

Sections = dict[str, dict[str, str]]


def lines(text: str) -> list[str]:
    """Every line ends as on Windows, and is ASCII."""
    assert text.isascii() and text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") == text.count("\r")
    return text.split("\r\n")[:-1]


def read(text: str, value: object) -> Sections:
    """value: what reads the text behind a key's equals sign."""
    found: Sections = {}
    section = ""
    for line in filter(None, lines(text)):
        if line.startswith("["):
            section = line.removeprefix("[").removesuffix("]")
            assert section not in found, "a section comes twice"
            found[section] = {}
            continue
        key, equals, rest = line.partition(" = ")
        assert equals and key.isalnum() and key not in found[section], line
        found[section][key] = value(rest)  # type: ignore[operator]
    return found


def of_inf(text: str) -> str:
    """A value as SetupOpenInfFile reads it: quotes are doubled within quotes, %% is one percent sign, and without
    quotes a comma, a semicolon or an equals sign ends it."""
    if not text.startswith('"'):
        assert not set(text) & set(',;="%'), text
        return text
    found, rest = "", text[1:]
    while True:
        part, quote, rest = rest.partition('"')
        assert quote, "a quoted string has no end"
        found += part
        if not rest.startswith('"'):
            break
        found, rest = found + '"', rest[1:]
    assert rest == "", f"text behind a quoted string: {rest}"
    halves = found.split("%%")
    assert not any("%" in half for half in halves), "a single percent sign begins a name of [Strings]"
    return "%".join(halves)


def of_profile(text: str) -> str:
    """A value as GetPrivateProfileString reads it: without blanks around it, and without one pair of quotes."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def setup(of: Answers) -> Sections:
    text = answer_files(of)["winnt.sif"].reveal()
    assert read(text, of_inf) == read(text, of_profile), "both readers read the same"
    return read(text, of_inf)


def sysprep(of: Answers) -> Sections:
    return read(generalise_files(of)["sysprep.inf"].reveal(), of_inf)


def test_the_answers_that_setup_reads() -> None:
    found = setup(OLD)
    assert found["Data"] == {"AutoPartition": "1", "MsDosInitiated": "0", "UnattendedInstall": "Yes"}
    assert found["Unattended"]["UnattendMode"] == "FullUnattended"
    assert found["Unattended"]["Repartition"] == "Yes"
    assert found["Unattended"]["AutoActivate"] == "No"
    assert found["GuiUnattended"] == {
        "AdminPassword": "pass;word = [x]",
        "EncryptedAdminPassword": "No",
        "AutoLogon": "Yes",
        "AutoLogonCount": "1",
        "OemSkipRegional": "1",
        "OemSkipWelcome": "1",
        "TimeZone": "130",
    }
    assert found["UserData"] == {
        "ComputerName": "LAB-XP",
        "FullName": "A Teacher",
        "OrgName": "A School",
        "ProductKey": KEY,
    }
    assert found["RegionalSettings"] == {
        "LanguageGroup": "2",
        "SystemLocale": "00000418",
        "UserLocale": "00000418",
        "InputLocale": "0418:00000418",
    }
    assert found["GuiRunOnce"] == {"Command0": r"cmd /c A:\first.cmd", "Command1": r"C:\second.cmd"}
    assert "LicenseFilePrintData" not in found


def test_a_server_has_its_licences() -> None:
    assert setup(replace(OLD, nt=(5, 2), server=True))["LicenseFilePrintData"] == {
        "AutoMode": "PerServer",
        "AutoUsers": "5",
    }


def test_without_password_key_and_commands() -> None:
    found = setup(replace(OLD, administrator_password=None, product_key=None, first_logon=()))
    assert found["GuiUnattended"]["AdminPassword"] == "*"
    assert "AutoLogon" not in found["GuiUnattended"]
    assert "ProductKey" not in found["UserData"]
    assert "GuiRunOnce" not in found


def test_several_partitions_are_those_that_are_there() -> None:
    slices = (Slice(size=4096, letter="C", system=True, active=True), Slice(letter="D"))
    assert setup(replace(OLD, slices=slices))["Unattended"]["Repartition"] == "No"
    assert setup(replace(OLD, slices=slices[:1]))["Unattended"]["Repartition"] == "Yes"


def test_sysprep_holds_no_password() -> None:
    of = replace(OLD, first_logon=())
    found = sysprep(of)
    assert found["GuiUnattended"]["AdminPassword"] == "*"
    assert found["Networking"] == {"InstallDefaultComponents": "No"}
    assert "pass;word" not in generalise_files(of)["sysprep.inf"].reveal()


def test_sections_and_keys_are_known() -> None:
    """By "Unattend.txt" and "Sysprep.inf" in ref.chm; Unattend.txt's [Data] is of winnt.sif alone."""
    known = dict[str, set[str]]()
    for line in (Path(__file__).parent / "keys.txt").read_text().splitlines():
        if not line.startswith("#"):
            section, *keys = line.split()
            known[section] = set(keys)
    for found in (setup(replace(OLD, nt=(5, 2), server=True)), sysprep(replace(OLD, first_logon=()))):
        for section, entries in found.items():
            assert {key.rstrip("0123456789") for key in entries} <= known[section], section


ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@given(ascii_text)
def test_any_ascii_text_comes_back(text: str) -> None:
    assert of_inf(INF.quote(text)) == text


@given(ascii_text.filter(lambda text: not set(text) & set('"%') and text != "*"))
def test_hostile_values_come_back_from_both_readers(text: str) -> None:
    found = setup(replace(OLD, owner=text, administrator_password=Secret(text), first_logon=(text,)))
    assert found["UserData"]["FullName"] == text
    assert found["GuiUnattended"]["AdminPassword"] == (text or "*")
    assert found["GuiRunOnce"]["Command0"] == text


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "a\x1ab", "ä", "x" * 2000, "\ud800"])
def test_what_no_inf_file_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"holds|not ASCII|longer|not valid"):
        inf_string(text)


needs_osinfo = pytest.mark.skipif(shutil.which("osinfo-install-script") is None, reason="needs libosinfo-bin")


@needs_osinfo
@pytest.mark.parametrize(("system", "nt"), [("winxp", (5, 1)), ("win2k3", (5, 2))])
def test_what_libosinfo_answers_is_answered(system: str, nt: tuple[int, int], tmp_path: Path) -> None:
    settings = {"admin-password": "x", "hardware-arch": "i386", "hostname": "LAB", "l10n-timezone": "Europe/Bucharest"}
    settings |= {"reg-product-key": KEY, "user-login": "jo", "user-password": "x", "user-realname": "Jo"}
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    command = ["osinfo-install-script", "-q", "-p", "jeos", "-d", str(tmp_path), *words, system]
    subprocess.run(command, check=True, capture_output=True)
    theirs: dict[str, dict[str, str]] = {}
    for line in (tmp_path / "winnt.sif").read_text().splitlines():
        if line.strip().startswith("["):
            entries = theirs.setdefault(line.strip().strip("[]").lower(), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            entries[key.strip().lower()] = value.strip().strip('"')
    found = setup(replace(OLD, nt=nt, server=system == "win2k3"))
    ours = {name.lower(): {key.lower(): value for key, value in keys.items()} for name, keys in found.items()}
    assert theirs["data"].keys() == ours["data"].keys()
    for section in ("guiunattended", "userdata"):
        missing = theirs[section].keys() - ours[section].keys()
        assert missing <= {"productid", "oemskipregional"}, section
