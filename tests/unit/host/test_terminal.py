"""Our terminal joined with another: a pseudo terminal stands for the user's, a socket for the other end."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from vmgen_build.host.terminal import Reminder, Until
from vmgen_build.plan.text.render import Renderer

MARK = b"\x1b]vmgen-0123456789abcdef\x07"

JOINED = """\
import socket, sys
from vmgen_build.host import terminal
wire = socket.socket(fileno=int(sys.argv[1]))
terminal.join(wire, bytes.fromhex(sys.argv[2]))
print("left", flush=True)
"""


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_mark_is_found_in_any_pieces_and_never_shown(size: int) -> None:
    text = b"one \x1b]vm two \x1b]vmgen-0123" + MARK + b"more"
    until, shown = Until(MARK), b""
    for at in range(0, len(text), size):
        shown += until.shown(text[at : at + size])
        if until.found:
            break
    assert until.found and shown == b"one \x1b]vm two \x1b]vmgen-0123"


def test_what_was_kept_back_is_shown_at_the_end() -> None:
    until = Until(MARK)
    assert until.shown(b"text\x1b]vmgen") == b"text"
    assert until.shown(b"") == b"\x1b]vmgen" and not until.found


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_reminder_stands_above_the_first_prompt_alone(size: int) -> None:
    text = b"booted\r\n\r\nlab login: ana\r\nLast login: today\r\nlab login: "
    reminder, shown = Reminder("(leave by x)"), b""
    for at in range(0, len(text), size):
        shown += text[at : at + size] + reminder.behind(text[at : at + size])
    if size < 100:
        assert shown == text.replace(b"lab login: ", b"lab login: \r\x1b[K(leave by x)\r\nlab login: ", 1)
    else:
        assert shown == text + b"\r\x1b[K(leave by x)\r\nlab login: "


def read_until(fd: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([fd], [], [], 30)
        assert ready, seen
        seen += os.read(fd, 4096)
    return seen


def test_keys_go_there_raw_and_the_terminal_is_as_before() -> None:
    ours, theirs = socket.socketpair()
    user, own = pty.openpty()
    before = termios.tcgetattr(own)
    words = [sys.executable, "-c", JOINED, str(theirs.fileno()), MARK.hex()]
    with subprocess.Popen(words, stdin=own, stdout=own, pass_fds=[theirs.fileno()]) as process:
        ours.sendall(b"welcome\r\n")
        assert read_until(user, b"welcome\r\n")
        os.write(user, b"ls\r\x03\x04")
        found = b""
        while len(found) < 5:
            found += ours.recv(100)
        assert found == b"ls\r\x03\x04", "neither a signal nor an end of input was made of them"
        ours.sendall(b"bye" + MARK)
        assert MARK not in read_until(user, b"left")
        assert process.wait(30) == 0
    assert termios.tcgetattr(own) == before
    for fd in (user, own):
        os.close(fd)


def test_keys_that_end_are_an_end_of_input_there() -> None:
    ours, theirs = socket.socketpair()
    words = [sys.executable, "-c", JOINED, str(theirs.fileno()), ""]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()]
    ) as process:
        theirs.close()
        assert ours.recv(10) == b"\x04"
        ours.sendall(b"there\n")
        ours.close()
        assert process.communicate(timeout=30)[0] == b"there\nleft\n"


def test_a_shell_runs_on_a_serial_port_and_ends_with_its_mark(tmp_path: Path) -> None:
    """A pseudo terminal is the port."""
    user, own = pty.openpty()
    command = "cd /; env -i PS1=ready: sh -i"
    script = Renderer(None).sh(
        "vm/shell.sh.j2", port=os.ttyname(own), command=command, mark=MARK.decode(), columns=100, lines=40
    )
    path = tmp_path / "shell"
    path.write_text(script)
    checked = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    began = time.monotonic()
    subprocess.run(["dash", path], check=True, stdin=subprocess.DEVNULL, timeout=30)
    assert time.monotonic() - began < 30, "it does not wait for the shell"
    os.write(user, b"stty size; pwd; tty\n")
    assert b"40 100\r\n/\r\n" + os.ttyname(own).encode() in read_until(user, os.ttyname(own).encode() + b"\r\n")
    os.write(user, b"exit 3\n")
    assert MARK in read_until(user, MARK)
    for fd in (user, own):
        os.close(fd)


def test_a_machine_without_that_port_says_so() -> None:
    script = Renderer(None).sh("vm/shell.sh.j2", port="/dev/none", command="true", mark="x", columns=80, lines=24)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "the machine has no serial port /dev/none\n")
