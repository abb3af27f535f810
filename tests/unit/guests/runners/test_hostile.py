"""Issue 8, item 15 (nodes): what a hostile node writes neither stalls, crashes nor fills the client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.runners import LocalRunner, answers, model, process, stream
from vmgen_build.guests.runners.process import AttachedProcess, Process
from vmgen_build.guests.runners.ssh import MARK, SshProcess
from vmgen_build.guests.runners.stream import Marked, Tail
from vmgen_build.host.lines import Lines
from vmgen_build.limits import NODE_ANSWERS, NODE_LINE, NODE_PREAMBLE, Limit


class Channel:
    """A fake of paramiko's: gives these pieces of standard error, one for each call, then its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.given, self.closed = pieces, 0, False

    def recv_stderr(self, _size: int) -> bytes:
        piece = b"" if self.closed else next(self.pieces, b"")
        self.given += len(piece)
        return piece

    def recv(self, _size: int) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True

    def exit_status_ready(self) -> bool:
        return True


class Server:
    """A fake of SshRunner: one channel."""

    name, alive = "ssh://root@node", True

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.channel = Channel(pieces)

    def open(self, what: str, command: Sequence[str]) -> Channel:
        return self.channel


def started(pieces: Iterator[bytes]) -> tuple[SshProcess, Channel]:
    server = Server(pieces)
    return SshProcess(server, "id -u", []), server.channel  # type: ignore[arg-type]


def test_issue_8_15_a_node_that_never_writes_the_mark_is_left() -> None:
    """It once took all that came, and searched all of it again with each piece."""
    run, channel = started(iter([b"x" * 1000] * 50_000))
    with pytest.raises(HostError, match=r"'id -u' on ssh://root@node: .* the limit 'node-preamble' allows"):
        run.read_err(1 << 16)
    assert channel.given <= NODE_PREAMBLE.amount + 1000 and channel.closed
    with pytest.raises(HostError, match=r"node-preamble"):
        run.read_out(1 << 16)


def test_issue_8_15_each_byte_is_searched_about_once() -> None:
    marked = Marked(MARK.encode(), "x")
    for _ in range(NODE_PREAMBLE.amount):
        assert marked.add(b"v") is None
    assert marked.searched < NODE_PREAMBLE.amount * (len(MARK) + 2)


@pytest.mark.parametrize("number", [b"abc", b"", b"-1", b"1", b"0", b"1 2", "\u0663".encode(), b"9" * 5000, b"9" * 11])
def test_issue_8_15_a_process_group_is_a_number(number: bytes) -> None:
    """ "abc" was a traceback."""
    run, channel = started(iter([MARK.encode() + number + b"\n"]))
    with pytest.raises(HostError, match=r"it names no process group"):
        run.read_err(1 << 16)
    assert channel.closed


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_issue_8_15_the_mark_is_found_however_it_is_cut(size: int) -> None:
    text = b"Welcome, vmgen-process-gr \n" + MARK.encode() + b"4711\nfirst line\n"
    run, _ = started(text[at : at + size] for at in range(0, len(text), size))
    came = b"".join(iter(lambda: run.read_err(1 << 16), b""))
    assert came == b"Welcome, vmgen-process-gr \nfirst line\n" and run._group.number == 4711


def test_issue_8_15_a_line_without_end_comes_in_pieces() -> None:
    lines: list[str] = []
    taken = Lines(lines.append, 100)
    for _ in range(1050):
        taken.add(b"x")
    taken.add(b"y" * 1000 + b"\nz", final=True)
    assert max(map(len, lines)) <= 100
    assert "".join(lines) == "x" * 1050 + "y" * 1000 + "z"


def test_issue_8_15_the_tail_of_small_pieces_is_small() -> None:
    """It once kept an object for each piece."""
    tail = Tail()
    for _ in range(3 * model.KEPT // 8):
        tail.add(b"12345678")
    assert len(tail._data) <= 2 * model.KEPT and len(tail.text()) == model.KEPT


def test_issue_8_15_output_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "NODE_OUTPUT", Limit("node-output", "", 1 << 20))
    lines = []
    with pytest.raises(BuildError, match=r"'yes' writes without end: .*'node-output'"):
        LocalRunner().run(["yes"], output=lines.append)
    assert len(lines) <= 1 << 20


def test_issue_8_15_a_stream_that_is_silent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "NODE_SILENCE", Limit("node-silence", "", 1, "s"))
    with (
        pytest.raises(HostError, match=r"has given nothing for 1.0 s .the limit 'node-silence'"),
        LocalRunner().read(["sh", "-c", "echo x; exec sleep 600"]) as came,
    ):
        came.read()


def test_issue_8_15_a_stream_that_trickles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "NODE_SILENCE", Limit("node-silence", "", 1, "s"))
    with (
        pytest.raises(HostError, match=r"the limit 'node-rate' asks for"),
        LocalRunner().read(["sh", "-c", "while :; do echo x; sleep 0.3; done"]) as came,
    ):
        came.read()


def test_issue_8_15_a_command_of_our_own_has_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []

    class Runner(LocalRunner):
        def start(self, argv: Sequence[str], timeout: float | None = None) -> Process:
            given.append(timeout)
            return super().start(argv, timeout)

    Runner().run(["true"])
    Runner().run(["true"], timeout=None)
    assert given == [3600.0, None]


class Endless(Process):
    """A process that writes lines for ever, and never ends."""

    def __init__(self) -> None:
        super().__init__("guard")
        self.killed = threading.Event()

    def write(self, data: bytes) -> None: ...

    def close_input(self) -> None: ...

    def read_out(self, size: int) -> bytes:
        return b"x" * 10_000 + b"\n"

    def read_err(self, size: int) -> bytes:
        return b""

    def ended(self) -> bool:
        return False

    def wait(self, timeout: float | None) -> int | None:
        return None

    def kill(self) -> None:
        self.killed.set()

    def close(self) -> None: ...


def test_issue_8_15_a_guardian_that_never_stops_is_left() -> None:
    endless = Endless()
    attached = AttachedProcess(endless, "node")
    first = attached.receive(10)
    assert first is not None and len(first) <= NODE_LINE.amount
    done = attached.end(0.0)
    assert endless.killed.is_set() and done.code == 124
    assert len(done.out) <= process.WAITING * (NODE_LINE.amount + 1)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (answers.number, "12x"),
        (answers.number, "9" * 5000),
        (answers.number, "\u00b2"),
        (answers.number, "1e999"),
        (answers.path, ""),
        (answers.path, "relative"),
        (answers.path, "/vz/../etc"),
        (answers.path, "/vz\x1b[2J"),
        (answers.path, "/" + "x" * 5000),
        (answers.digest, "0" * 63 + "g -"),
        (answers.digest, "0" * 63),
    ],
)
def test_issue_8_15_answers_are_read_strictly(ask: Callable[[str, str, str], object], text: str) -> None:
    with pytest.raises(HostError, match=r"^node gives '.*' as a fact; is that host what it should be") as error:
        ask(text, "node", "a fact")
    assert len(str(error.value)) < 400 and "\x1b" not in str(error.value)


def test_issue_8_15_good_answers_are_taken() -> None:
    assert answers.number("1783764997\n", "n", "x") == 1783764997
    assert answers.path("/vz/root/101\n/vz/private/101\n", "n", "x") == "/vz/root/101"
    assert answers.digest("0" * 64 + "  -\n", "n", "x") == "0" * 64
    assert answers.names("debian-12-x86_64.tar.gz\n../x\n-rf\na b\n", "n", "x") == ["debian-12-x86_64.tar.gz"]
    with pytest.raises(HostError, match=r"'node-answers'"):
        answers.names("x\n" * (NODE_ANSWERS.amount + 1), "n", "x")
    assert answers.shown("\x1b]0;title\x07red\n\x1b[31mhot" + "!" * 9000).startswith("red hot!!!")


def test_issue_8_15_what_a_node_writes_reaches_no_terminal_as_it_is() -> None:
    assert "\x1b" not in process.failure("x", 1, "\x1b[2Jno room\n")
    with pytest.raises(BuildError) as error, LocalRunner().read(["sh", "-c", r"printf '\033[2J' >&2; exit 3"]) as came:
        came.read()
    assert "\x1b" not in str(error.value)
