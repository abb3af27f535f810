"""The JUnit report of verifications."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from vmgen_build.build.junit import junit_report
from vmgen_build.build.verify import Verified
from vmgen_build.errors import BuildError
from vmgen_build.events import ProbeDone

HOSTILE = "\x1b[31m</failure>\x00\x08 ]]> & \ufffe http://u:secret@mirror/x \ud800"

DONE = (
    ProbeDone(probe="a", setting="[devel] vim", outcome="holds", found="/usr/bin/vim"),
    ProbeDone(probe="b", setting='[users] <ana> & "bea"', outcome="fails", found=HOSTILE, origin="lab.ini"),
    ProbeDone(probe="c", setting="[hardware] ram", outcome="skipped", found="no cgroup"),
)


def report(*verified: Verified) -> ElementTree.Element:
    return ElementTree.fromstring(junit_report(verified).encode())


def test_what_holds_fails_and_is_skipped() -> None:
    root = report(Verified(Path("out/lab.tar.zst"), "lab.ini", DONE, seconds=7.25))
    assert root.attrib == {
        "name": "vmgen-build verify",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "7.250",
    }
    (suite,) = root
    assert suite.tag == "testsuite" and suite.get("name") == "out/lab.tar.zst" and suite.get("failures") == "1"
    assert [(case.get("name"), [child.tag for child in case]) for case in suite] == [
        ("[devel] vim", []),
        ('[users] <ana> & "bea"', ["failure"]),
        ("[hardware] ram", ["skipped"]),
    ]
    assert sum(float(case.get("time", "")) for case in suite) == 7.25


def test_whatever_an_image_answers_it_is_xml_without_passwords() -> None:
    text = junit_report([Verified(Path("x"), "lab.ini", DONE)])
    assert "secret" not in text and "\x1b" not in text and "\x00" not in text
    failure = ElementTree.fromstring(text.encode()).find(".//failure")
    assert failure is not None and "asked by lab.ini" in (failure.text or "")
    assert "</failure>" in (failure.get("message") or "")


def test_an_artifact_that_could_not_be_asked_is_an_error() -> None:
    broken = Verified(Path("b.ova"), "", error=BuildError("it is no OVA\nsecond line"))
    root = report(Verified(Path("a.ova"), "m", DONE[:1]), broken)
    assert (root.get("tests"), root.get("errors"), root.get("failures")) == ("2", "1", "0")
    error = root.find("./testsuite[2]/testcase/error")
    assert error is not None and error.get("message") == "it is no OVA" and "second line" in (error.text or "")
