"""What verifications found, as a JUnit report: the XML that GitLab ("Unit test reports") and Jenkins read.

<testsuites>, a <testsuite> for each artifact, a <testcase> for each setting. Times are in seconds; those of single
settings are not known, and the first one has the whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vmgen_build.build.verify import Verified
from vmgen_build.events import ProbeDone
from vmgen_build.text import clean, without_passwords

_NO_XML = re.compile("[\ufffe\uffff]")
"""What XML 1.0 lacks (2.2, "Characters") of the characters that are left in clean text."""


def junit_report(verified: Iterable[Verified]) -> str:
    """Nothing in it is a character that XML lacks, whatever the images answered."""
    root = Element("testsuites", name="vmgen-build verify")
    for one in verified:
        _suite(root, one)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(root, encoding='unicode')}\n"


def _suite(root: Element, verified: Verified) -> None:
    name = _safe(str(verified.artifact))
    failed = verified.error is not None
    counts = {
        "tests": len(verified.done) + failed,
        "failures": verified.count("fails"),
        "errors": int(failed),
        "skipped": verified.count("skipped"),
    }
    seconds = f"{verified.seconds:.3f}"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - verified.seconds))
    numbers = {key: str(value) for key, value in counts.items()}
    suite = SubElement(root, "testsuite", {"name": name, "timestamp": stamp, "time": seconds, **numbers})
    if verified.error is not None:
        case = SubElement(suite, "testcase", classname=name, name="verification", time=seconds)
        text = _safe(str(verified.error))
        SubElement(case, "error", message=text.partition("\n")[0]).text = text
    for number, probe in enumerate(verified.done):
        _case(suite, name, probe, "0.000" if number or failed else seconds)


def _case(suite: Element, classname: str, probe: ProbeDone, seconds: str) -> None:
    case = SubElement(suite, "testcase", classname=classname, name=_safe(probe.setting), time=seconds)
    found = _safe(probe.found)
    if probe.outcome == "fails":
        SubElement(case, "failure", message=found).text = f"asked by {_safe(probe.origin)}; found: {found}"
    elif probe.outcome == "skipped":
        SubElement(case, "skipped", message=found)


def _safe(text: str) -> str:
    lines = "\n".join(clean(line) for line in without_passwords(text).split("\n"))
    return _NO_XML.sub("\ufffd", lines)
