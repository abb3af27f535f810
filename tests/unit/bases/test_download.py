"""Downloads that are cut, stalled, changed, refused: from a real server, into real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.bases.download import NotThere, Patience, download, open_client, small_file
from vmgen_build.errors import BuildError
from vmgen_build.limits import Limit

QUICK = Patience(connect=5, stall=5, tries=3, pause=0.01)
DATA = os.urandom(3 << 20)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def get(url: str, part: Path, patience: Patience = QUICK) -> bool:
    with open_client(patience) as client:
        return download(client, url, part, lambda _done, _total: None, patience)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / ".x.part"


def test_a_file_comes_whole_and_its_progress_is_reported(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA)
    reported: list[tuple[int, int]] = []
    with open_client(QUICK) as client:
        assert download(client, f"{web.url}/x", part, lambda *at: reported.append(at), QUICK) is False
    assert part.read_bytes() == DATA
    assert reported[-1] == (len(DATA), len(DATA))


def test_a_cut_connection_is_taken_up_where_it_broke(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, cuts=[1_000_000, 500_000])
    assert get(f"{web.url}/x", part) is True
    assert part.read_bytes() == DATA
    assert [span for _, span in web.asked] == ["", "bytes=1000000-", "bytes=1500000-"]


def test_tries_are_counted_anew_only_while_the_download_gets_further(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, cuts=[1 << 19] * 6)
    assert get(f"{web.url}/x", part) is True, "each second cut is a gain of 1 MiB"
    part.unlink()
    web.asked.clear()
    web.files["/x"] = served(data=DATA, ranges=False, cuts=[2 << 20] * 9)
    with pytest.raises(BuildError, match="tried 3 times in a row"):
        get(f"{web.url}/x", part)
    assert len(web.asked) == 3, "what comes again up to the same point is no gain"


def test_a_server_without_ranges_starts_again(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, ranges=False, cuts=[1_000_000])
    get(f"{web.url}/x", part)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_what_cannot_be_distinguished_is_not_continued(web: Any, served: Any, part: Path, etag: str) -> None:
    web.files["/x"] = served(data=DATA, etag=etag, cuts=[1_000_000])
    get(f"{web.url}/x", part)
    assert part.read_bytes() == DATA
    assert [span for _, span in web.asked] == ["", ""]


def test_a_date_serves_where_there_is_no_etag(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, etag="", date="Mon, 01 Jan 2024 00:00:00 GMT", cuts=[1_000_000])
    get(f"{web.url}/x", part)
    assert part.read_bytes() == DATA
    assert web.asked[-1] == ("/x", "bytes=1000000-")


def test_a_file_that_changed_between_two_attempts_is_taken_anew(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, cuts=[1_000_000] * 3)
    with pytest.raises(BuildError, match="are kept, and the next try goes on from there"):
        get(f"{web.url}/x", part, Patience(stall=1, tries=1))
    newer = os.urandom(2 << 20)
    web.files["/x"] = served(data=newer, etag='"two"')
    get(f"{web.url}/x", part)
    assert part.read_bytes() == newer


def test_a_part_of_another_address_is_not_continued(web: Any, served: Any, part: Path) -> None:
    web.files |= {"/x": served(data=DATA, cuts=[1_000_000]), "/y": served(data=DATA[::-1])}
    with pytest.raises(BuildError):
        get(f"{web.url}/x", part, Patience(stall=1, tries=1))
    get(f"{web.url}/y", part)
    assert part.read_bytes() == DATA[::-1]


def test_a_part_longer_than_the_file_is_thrown_away(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA)
    part.write_bytes(DATA + b"more")
    note = {"url": f"{web.url}/x", "validator": '"one"', "size": 0}
    part.with_name(part.name + ".json").write_text(json.dumps(note))
    get(f"{web.url}/x", part)
    assert part.read_bytes() == DATA


def test_a_part_that_is_whole_needs_no_server(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA)
    get(f"{web.url}/x", part)
    web.asked.clear()
    assert get(f"{web.url}/x", part) is True
    assert web.asked == []


def test_a_stalled_server_is_left_and_asked_again(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, cuts=[1_000_000], stall=20)
    start = time.monotonic()
    get(f"{web.url}/x", part, Patience(stall=0.5, pause=0.01))
    assert part.read_bytes() == DATA
    assert time.monotonic() - start < 10


def test_a_server_that_trickles_counts_as_stalled(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, pause=0.2)
    patience = Patience(stall=5, tries=2, pause=0.01, window=0.5, rate=10 << 20)
    with pytest.raises(BuildError, match=r"sends less than 10 MB a second"):
        get(f"{web.url}/x", part, patience)


def test_an_overloaded_server_is_asked_again(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA, codes=[503, 429])
    get(f"{web.url}/x", part)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_file_that_is_not_there_is_asked_for_once(web: Any, served: Any, part: Path, code: int) -> None:
    web.files["/x"] = served(data=DATA, codes=[code] * 9)
    with pytest.raises(NotThere, match=f"HTTP {code}"):
        get(f"{web.url}/x", part)
    assert len(web.asked) == 1
    assert not part.exists()


def test_no_server_at_all(web: Any, part: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot download http://127.0.0.1:1/x: .*refused.*tried 3 times"):
        get("http://127.0.0.1:1/x", part)


def test_a_proxy_that_cannot_be_used_is_reported(monkeypatch: pytest.MonkeyPatch, part: Path) -> None:
    from vmgen_build.errors import HostError

    monkeypatch.setenv("all_proxy", "nonsense://here")
    with pytest.raises(HostError, match="proxy"):
        get("http://127.0.0.1:1/x", part)


def test_a_small_file_is_small(web: Any, served: Any) -> None:
    web.files["/x"] = served(data=b"x" * 1000, codes=[500])
    with open_client(QUICK) as client:
        assert small_file(client, f"{web.url}/x", 1000, QUICK) == b"x" * 1000
        with pytest.raises(NotThere, match="more than 999 B"):
            small_file(client, f"{web.url}/x", 999, QUICK)


RUN = """
import pathlib, sys
from vmgen_build.errors import HostError
from vmgen_build.bases.download import Patience, download, open_client
part = pathlib.Path(sys.argv[2])
patience = Patience(pause=0.01)
try:
    with open_client(patience) as client:
        download(client, sys.argv[1], part, lambda *_: print("some", flush=True), patience)
except HostError as error:
    print(error)
print(sorted(p.name for p in part.parent.iterdir()))
print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@needs_root
@pytest.mark.parametrize("length", [True, False])
def test_a_full_disk_is_reported_and_left_empty(web: Any, served: Any, tmp_path: Path, length: bool) -> None:
    web.files["/x"] = served(data=DATA, length=length)
    mount = 'mount -t tmpfs -o size=1m tmpfs "$3" && exec "$0" -c "$1" "$2" "$3/part"'
    command = ["unshare", "--mount", "sh", "-c", mount, sys.executable, RUN, f"{web.url}/x", tmp_path]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    message = "the download needs 3.1 MB" if length else "is full after 1.0 MB of the download, which were removed"
    assert message in lines[-3]
    assert "--cache" in lines[-3]
    assert lines[-2] == "[]"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_download_that_was_ended_goes_on_later(web: Any, served: Any, part: Path, end: signal.Signals) -> None:
    web.files["/x"] = served(data=DATA, pause=0.05)
    command = [sys.executable, "-c", RUN, f"{web.url}/x", str(part)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(end)
    had = part.stat().st_size
    assert 0 < had < len(DATA)
    web.files["/x"] = served(data=DATA)
    assert get(f"{web.url}/x", part) is True
    assert part.read_bytes() == DATA
    assert web.asked[-1] == ("/x", f"bytes={had}-")


def test_memory_does_not_grow_with_the_file(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(zeros=300 << 20, cuts=[200 << 20])
    command = [sys.executable, "-c", RUN, f"{web.url}/x", str(part)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert part.stat().st_size == 300 << 20
    assert peak < 100 << 10


@pytest.mark.parametrize("length", [True, False])
def test_issue_8_15_a_download_ends_at_its_limit(web: Any, served: Any, part: Path, length: bool) -> None:
    """Whether the server says before how long it is, or sends on without end."""
    limit = Limit("small", "", 1 << 20)
    web.files["/x"] = served(zeros=1 << 28, length=length)
    with open_client(QUICK) as client, pytest.raises(NotThere, match="the limit 'small' allows"):
        download(client, f"{web.url}/x", part, lambda _done, _total: None, QUICK, limit)
    assert not part.exists()


def test_what_came_under_a_larger_limit_is_not_taken(web: Any, served: Any, part: Path) -> None:
    web.files["/x"] = served(data=DATA)
    get(f"{web.url}/x", part)
    with open_client(QUICK) as client, pytest.raises(NotThere, match="the limit 'small' allows"):
        download(client, f"{web.url}/x", part, lambda _done, _total: None, QUICK, Limit("small", "", 1 << 20))
    assert not part.exists()
