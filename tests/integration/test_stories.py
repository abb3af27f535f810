"""Three people before a terminal: a teacher who begins, an engineer of CI, a user whose build failed at night.

What stands on their screen is asked, at 80 and 120 columns, in windows of 20 lines, with and without colours, piped.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.tmux import Desk, desk

PASSWORD = "canary-4711"
RED, YELLOW, GREEN = "31", "33", "32"

RECIPE = """\
[hardware]
    vm_id = night
    os = debian-12
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = env:ANA_PASSWORD
[config]
    [[scripts]]
        [[[course]]]
            run = '''
                # {unique}
                echo fetching the course
                {line}
                echo ready
                '''
"""


@pytest.fixture
def at(cache: Path, tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, {"VMGEN_CACHE": str(cache), "ANA_PASSWORD": PASSWORD}, (80, 20)) as shown:
        yield shown
    assert_nothing_left(cache / "tmp", tmp_path)


def recipe(folder: Path, name: str, line: str) -> None:
    """Its script is in no cache, whoever ran this test before."""
    (folder / name).write_text(RECIPE.format(line=line, unique=uuid.uuid4()))


def narrow(lines: list[str], columns: int) -> bool:
    """Whether the terminal broke none of them."""
    return all(len(line) < columns for line in lines)


def test_a_teacher_who_has_never_seen_it(at: Desk, tmp_path: Path) -> None:
    password = begin_a_recipe(at)
    correct_a_slip(at, tmp_path)
    build_it(at)
    try_it(at, password)


def begin_a_recipe(at: Desk) -> str:
    """The password that was made."""
    assert any("vmgen-build init lab" in line for line in at.do("vmgen-build --help | tail -n 20").lines)
    at.begin("vmgen-build init lab")
    for question, answer in (
        ("system [debian-12]:", ""),
        ("[none]:", "sever"),
        ("did you mean 'server'?", "none"),
        ("user [student]:", "ana"),
        ("logins over ssh [Y/n]:", "n"),
        ("password of ana", ""),
    ):
        at.until(question)
        at.type(answer)
    done = at.end()
    assert done.code == 0 and narrow(done.lines, 80), done.lines
    assert done.lines[-4:] == [
        "Next:",
        "  vmgen-build check lab.ini      finds its mistakes, after you changed it",
        "  vmgen-build lab.ini --dry-run  shows what a build would do",
        "  vmgen-build lab.ini            as root: builds it, into output/",
    ]
    found = re.search(r"the password of ana: (\S+)\n  keep it", done.whole)
    assert found is not None
    return found[1]


def correct_a_slip(at: Desk, folder: Path) -> None:
    """By the tool's editor, and by another one."""
    changes = "devel.vim=0 users.users.ana.sudo=no config.timezone=Europe/Bucharest"
    assert at.do(f"vmgctl lab.ini {changes}").lines[-1] == "config.timezone = Europe/Bucharest"
    (folder / "lab.ini").write_text((folder / "lab.ini").read_text().replace("Bucharest ", "Bucarest "))
    wrong = at.do("vmgen-build check lab.ini")
    assert wrong.code == 2
    number, text = next(
        (number, line)
        for number, line in enumerate((folder / "lab.ini").read_text().split("\n"), 1)
        if "Europe/Bucarest " in line
    )
    message = (
        f"lab.ini:{number}:16: [config] timezone: 'Europe/Bucarest' is no time zone that is known;"
        " did you mean 'Europe/Bucharest'?"
    )
    below = [
        f"   {number} | {text.partition(' #')[0]}",
        f"      |{' ' * 16}{'^' * 15}",
        f"      |{' ' * 16}Europe/Bucharest",
    ]
    assert wrong.lines[1:] == [message[:80], message[80:].strip(), *below]
    assert at.colours("^^^") == {RED} and at.colours("  Europe/Bucharest") == {GREEN}
    assert at.do("NO_COLOR=1 vmgen-build check lab.ini").lines[3:] == below
    assert at.colours("^^^") | at.colours("time zone") == set()
    at.resize(120, 40)
    assert at.do("vmgen-build check lab.ini 2>&1 | cat; (exit ${PIPESTATUS[0]})").lines[1:] == [message, *below]
    assert at.colours("^^^") == set()
    at.resize(80, 20)
    (folder / "lab.ini").write_text((folder / "lab.ini").read_text().replace("Bucarest ", "Bucharest "))
    right = at.do("vmgen-build check lab.ini")
    assert (right.code, right.lines[-1]) == (0, "lab.ini: ok: 'lab' on debian-12-amd64")
    dry = at.do("vmgen-build lab.ini --dry-run")
    assert narrow(dry.lines, 80) and re.match(r"lab\.ini: \d of 7 steps are in the cache", dry.lines[1])


def build_it(at: Desk) -> None:
    """In a window of 20 lines."""
    image = "output/lab-lxc-amd64.tar"
    at.begin("vmgen-build lab.ini --compression none")
    live = at.until("steps done")
    assert any(re.match(r"\S \[\d/7\] ", line) for line in live) and len(live) <= 20
    done = at.end()
    assert done.code == 0 and "steps done" not in done.whole
    steps = [line for line in done.lines if line.startswith("✓")]
    assert len(steps) == 7 and narrow(steps, 80)
    assert at.colours("✓ packing") >= {GREEN}
    at_end = next(number for number, line in enumerate(done.lines) if line.startswith("lab for lxc: built in "))
    results = done.lines[at_end:]
    assert re.match(rf"  {image} +\d+ MB$", results[1]) and re.match(r"  sha256 [0-9a-f]{64}$", results[3])
    assert results[4:6] == [f"  $ vmgen-build run {image}", f"  $ vmgen-build verify {image}"]
    assert "  $ mkdir -p /var/lib/lxc/lab && tar" in done.whole and narrow(results[:6], 80)


def try_it(at: Desk, password: str) -> None:
    at.begin("vmgen-build run output/lab-lxc-amd64.tar")
    prompt = at.until("lab login:")
    assert prompt[-2:] == ["(users: ana; Ctrl-] ends the machine)", "lab login:"]
    at.type("ana")
    at.until("assword:")
    at.type(password)
    at.until("ana@lab:~$")
    at.type("date +%Z; stty size; tput cols")
    at.until("20 80")
    at.key("C-]")
    at.until("lab-lxc-amd64.tar: the machine is gone; the image is as it was")
    done = at.end()
    assert done.code == 0 and "Ctrl-] ends the machine" in done.whole and "its users: ana" in done.whole
    assert re.search(r"^EES?T$", done.whole, re.MULTILINE)


def test_an_engineer_who_reads_exit_codes_and_json(at: Desk, tmp_path: Path) -> None:
    at.resize(120, 40)
    at.do("set -o pipefail")
    recipe(tmp_path, "night.ini", "true")
    (tmp_path / "wrong.ini").write_text((tmp_path / "night.ini").read_text().replace("debian-12", "debain-12"))
    look_for_mistakes(at, tmp_path)
    build_in_ci(at)
    prove_it(at, tmp_path)


def look_for_mistakes(at: Desk, folder: Path) -> None:
    found = at.do("vmgen-build check --json *.ini 2>/dev/null | cat")
    (problem,) = [json.loads(line) for line in found.whole.split("\n") if line.startswith("{")]
    assert found.code == 2
    assert (problem["file"], problem["line"], problem["code"]) == ("wrong.ini", 3, "value")
    assert "did you mean 'debian-12'" in problem["text"]
    assert at.do("vmgen-build check --sarif *.ini > found.sarif").code == 2
    (run,) = json.loads((folder / "found.sarif").read_text())["runs"]
    assert [one["level"] for one in run["results"]] == ["error"]
    assert at.do("vmgen-build check -q night.ini").lines[1:] == []
    refused = at.do("GITHUB_ACTIONS=true vmgen-build wrong.ini 2>&1 | cat")
    assert refused.code == 2 and "\n::error file=wrong.ini,line=3,col=10,endColumn=19::" in refused.whole


def build_in_ci(at: Desk) -> None:
    """The lines of a step that runs are folded, and each has its time."""
    command = "vmgen-build night.ini --compression none 2>&1 | cat"
    done = at.do(f"GITHUB_ACTIONS=true {command}")
    lines = done.whole.split("\n")
    begun = lines.index("::group::[5/7] script course")
    assert re.fullmatch(r"\d\d:\d\d:\d\d   \| ready", lines[begun + 3]) and lines[begun + 5] == "::endgroup::"
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[5/7\] script course: done in [\d.]+ m?s", lines[begun + 6])
    assert done.code == 0 and "\x1b" not in "".join(at.screen("-e"))
    again = at.do(f"GITLAB_CI=true {command}")
    assert re.search(r"(?m)^\d\d:\d\d:\d\d \[7/7\] packing for lxc: cached$", again.whole)
    assert "night for lxc: unchanged since its last build" in again.whole
    names = at.do("vmgen-build night.ini --compression none -q")
    assert names.lines[1:] == ["output/night-lxc-amd64.tar"]


def prove_it(at: Desk, folder: Path) -> None:
    """At 80 columns a long value stands in its column; a file that was changed is refused."""
    at.resize(80, 30)
    image = "output/night-lxc-amd64.tar"
    done = at.do(f"vmgen-build verify {image} --junit report.xml")
    rows = [line for line in done.lines if line.startswith("holds")]
    assert done.code == 0 and narrow(done.lines[1:], 81), done.lines
    assert re.fullmatch(rf"{image}: all \d+ settings hold; asked: its own manifest", done.lines[-1])
    assert at.colours("holds  the file") == {GREEN}
    user = next(number for number, line in enumerate(done.lines) if "[users] ana  " in line)
    column = done.lines[user].index("ana:x:")
    assert done.lines[user + 1][:column].strip() == "" and done.lines[user + 1].endswith("ash")
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert len(list(suite.iter("testcase"))) == len(rows) and not list(suite.iter("failure"))
    with (folder / image).open("ab") as file:
        file.write(b"more")
    refused = at.do(f"vmgen-build verify --no-boot {image} 2>&1 | cat")
    assert refused.code == 1 and "its size or sha256 differs" in refused.whole


def test_a_user_whose_build_failed_at_night(at: Desk, tmp_path: Path, cache: Path) -> None:
    recipe(tmp_path, "night.ini", "coursectl --week 1")
    read_what_failed(at)
    look_round_in_it(at)
    mend_it(at, tmp_path)
    kept = "".join(path.read_text(errors="replace") for path in (cache / "logs").glob("night-*"))
    assert PASSWORD not in kept


SUMMARY = [
    "error: step 'script-course' failed with exit code 127",
    "its last lines:",
    "  fetching the course",
    "  /run/vmgen/files/script: 4: coursectl: not found",
]
ADVICE = "what to do: the program 'coursectl' is not in the image: add its package to '[config] packages'"
AGAIN = "the same command begins at step 5 of 7: what comes before is in the cache"
LINE = "line 4 of its script (night.ini:15): coursectl --week 1"


def read_what_failed(at: Desk) -> None:
    """The last screen of a window of 20 lines says it all."""
    failed = at.do("vmgen-build night.ini --compression none")
    assert failed.code == 1
    last = failed.lines[failed.lines.index(SUMMARY[0]) :]
    assert last[:4] == SUMMARY
    assert last[-4:] == [LINE, ADVICE[:80].rstrip(), ADVICE[80:].strip(), AGAIN]
    assert at.colours(SUMMARY[0]) == {RED} and at.colours("✗ script course") >= {RED}
    why = at.do("vmgen-build why night.ini --compression none")
    assert why.code == 0 and narrow(why.lines, 80)
    assert "  runs again: script course\n    it failed in the last build\n" in why.whole
    assert "the last build did not reach it: 'script course' failed (each)" in why.whole


def look_round_in_it(at: Desk) -> None:
    """In a wide window, without colours: what failed stands above the shell, too."""
    at.resize(120, 40)
    at.begin("NO_COLOR=1 vmgen-build night.ini --compression none --on-error shell")
    before = at.until("this shell is where it failed; 'exit' ends it, and the build", "root@")
    assert before[before.index(LINE) + 1 :][:2] == [ADVICE, AGAIN]
    assert [line for line in before if line.startswith("✓")][:1] == ["✓ base system                            cached"]
    at.type("echo $((40 + 2)) $(id -u); cat /proc/1/comm; tty")
    at.until("42 0", "/dev/pts/")
    at.type("exit")
    done = at.end()
    assert done.code == 1 and done.lines[-2:] == [ADVICE, AGAIN]
    assert at.colours(SUMMARY[0]) | at.colours("✗ script course") == set()


def mend_it(at: Desk, folder: Path) -> None:
    """The next build begins at the step that failed."""
    (folder / "course.sh").write_text(f"mkdir -p /srv/course # {uuid.uuid4()}\necho ready\nsleep 2\n")
    assert at.do("vmgctl night.ini config.scripts.course.run@course.sh").code == 0
    at.begin("vmgen-build night.ini --compression none")
    live = at.until("    ready", "steps done")
    running = next(number for number, line in enumerate(live) if re.match(r"\S \[5/7\] script course ", line))
    assert live[running + 1 : running + 4] == ["    ready", "· clean-up", "· packing for lxc"]
    assert live[running + 4].startswith("  4 of 7 steps done, 4 from the cache, ")
    done = at.end()
    assert done.code == 0
    assert [line.split()[-1] for line in done.lines if line.startswith("✓")][:4] == ["cached"] * 4
    assert "; 4 of 7 steps from the cache" in done.whole
