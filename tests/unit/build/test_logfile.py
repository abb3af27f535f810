from __future__ import annotations

import os
from pathlib import Path

from vmgen_build.build.logfile import KEPT, open_log
from vmgen_build.events import ArtifactWritten, Note, StepOutput, StepStarted


def test_every_event_stands_in_the_log_with_its_time(tmp_path: Path) -> None:
    with open_log(tmp_path / "logs", "lab") as log:
        log(StepStarted(step="users", title="users", id="abc", index=2, total=9, time=0.25))
        log(StepOutput(step="users", line="\x1b[31madding ana\x1b[0m"))
        log(Note(text="first\nsecond", level="warning"))
        log(ArtifactWritten(path=Path("lab.tar.zst"), size=12, sha256="00"))
    lines = log.path.read_text().splitlines()
    assert lines[0].endswith(".250 step-started step=users title=users id=abc index=2 total=9")
    assert lines[1].endswith(" users | adding ana")
    assert lines[2].endswith(" warning: first")
    assert lines[3].strip() == "second"
    assert lines[4].endswith(" artifact path=lab.tar.zst size=12 sha256=00 unchanged=False")


def test_what_was_written_is_there_before_the_log_is_closed(tmp_path: Path) -> None:
    log = open_log(tmp_path, "lab")
    log(StepOutput(step="x", line="seen"))
    assert "seen" in log.path.read_text()
    log.close()


def test_two_builds_in_one_second_have_logs_of_their_own(tmp_path: Path) -> None:
    logs = [open_log(tmp_path, "lab") for _ in range(3)]
    for number, log in enumerate(logs):
        log(StepOutput(step="x", line=f"build {number}"))
        log.close()
    assert len({log.path for log in logs}) == 3
    assert all(f"build {number}" in log.path.read_text() for number, log in enumerate(logs))


def test_old_logs_of_the_same_name_go(tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        (tmp_path / f"lab-20200101-{number:06}.log").touch()
    other = tmp_path / "lab-big-20200101-000000.log"
    other.touch()
    with open_log(tmp_path, "lab") as log:
        assert log.path.exists()
    assert other.exists()
    kept = sorted(p.name for p in tmp_path.glob("lab-20*.log"))
    assert len(kept) == KEPT
    assert kept[0] == "lab-20200101-000006.log"


def test_a_full_disk_ends_the_log_not_the_build() -> None:
    from vmgen_build.build.logfile import LogFile

    with open("/dev/full", "w", buffering=1) as full:
        log = LogFile(Path("/dev/full"), full)
        log(StepOutput(step="x", line="lost"))
        log(StepOutput(step="x", line="lost too"))
    assert os.path.exists("/dev/full")
