"""Issue 8, items 1 and 16: whom an image of others runs as."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host import confined, usernamespace
from vmgen_build.host.usernamespace import FIRST_ID, IDS, user_namespace

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root maps users that are not its own")


def test_issue_8_16_nobody_who_reads_hostile_disks_is_a_user_of_a_guest() -> None:
    """Such a program of the host could else be killed, and its files changed, by a guest's user of that number."""
    guests = range(FIRST_ID, FIRST_ID + IDS)
    assert confined.USER not in guests and confined.NOBODY not in guests and 0 not in guests
    assert guests[-1] < 1 << 31, "some programs keep the number of a user in a signed int"


def test_issue_8_1_the_numbers_of_the_documentation_are_those_of_the_code() -> None:
    text = " ".join((Path(__file__).parents[3] / "docs/security.md").read_text().split())
    assert f"as user {FIRST_ID} and the {IDS - 1} after it" in text
    assert f"as the user and group {confined.USER}," in text


@as_root
def test_issue_8_1_users_with_large_numbers_are_there(tmp_path: Path) -> None:
    with user_namespace() as enter, (tmp_path / "file").open("wb") as file:
        os.fchown(file.fileno(), FIRST_ID, FIRST_ID)
        script = f"chown 1000000:{IDS - 1} /proc/self/fd/{file.fileno()} && cat /proc/self/uid_map"
        command = [*enter, "sh", "-c", script]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, pass_fds=[file.fileno()]).stdout
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (FIRST_ID + 1_000_000, FIRST_ID + IDS - 1)
    assert out.split() == [b"0", str(FIRST_ID).encode(), str(IDS).encode()]


@as_root
def test_issue_8_1_a_host_without_these_users_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usernamespace, "FIRST_ID", 0xFFFFFFF0)
    with pytest.raises(HostError, match=r"has not the users .* add --trusted"), user_namespace():
        pass


TWO = """\
from contextlib import ExitStack
from vmgen_build.host.usernamespace import user_namespace
first, second = ExitStack(), ExitStack()
words = [one.enter_context(user_namespace()) for one in (first, second)]
first.close()
print(words[1][1].partition("=")[2], flush=True)
open(words[1][1].partition("=")[2]).close()
second.close()
"""


@as_root
def test_each_namespace_ends_by_itself_in_any_order() -> None:
    """The second one's holder had the first one's pipe, and was waited for: for ever."""
    ran = subprocess.run([sys.executable, "-c", TWO], timeout=60, stdout=subprocess.PIPE)
    assert ran.returncode == 0 and ran.stdout.startswith(b"/proc/")
