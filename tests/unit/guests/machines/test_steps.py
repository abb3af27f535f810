"""Steps of a machine, in shells of this host: what each costs, what it prints, and that nothing of it stays.

The machine is a shell in namespaces of the test's own, whose orders and processes are counted: each has its price.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests.delivery import ENVIRONMENT, items_of
from vmgen_build.guests.machines import steps
from vmgen_build.guests.machines.steps import Delivery, Steps
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.host.lines import Lines
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.plan.text.render import Renderer
from vmgen_build.secret import Secret

ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Of cgroup v2, on a hybrid host and on a pure one."""

ROOT = next((root for root in ROOTS if (root / "cgroup.procs").exists() and os.access(root, os.W_OK)), None)

needs_namespaces = pytest.mark.skipif(os.geteuid() != 0 or ROOT is None, reason="needs root, and cgroup v2")


@dataclass
class Inside(Communicator):
    """A shell beside a process that sleeps in namespaces of its own, as a machine would have them."""

    shell: str
    work: Path
    pid: int
    orders: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def within(self, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid"]
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.run([*enter, *words], **streams, env={"PATH": ENVIRONMENT["PATH"], "FOREIGN": "1"})

    def run(self, script: str, timeout: float | None = None) -> Ran:
        self.orders.append(script)
        file = self.work / "script"
        self.work.mkdir(exist_ok=True)
        file.write_text(script)
        done = self.within(self.shell, file)
        return Ran(done.returncode, done.stdout.decode(errors="replace"))

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        self.sent.append(remote)
        Path(remote).write_bytes(local.read_bytes())

    def get(self, remote: str, local: Path) -> None:
        raise NotImplementedError

    def delete(self, remote: str) -> None:
        raise NotImplementedError

    def started(self) -> int:
        """How many processes have begun there: the numbers of a namespace go up by one."""
        return int(self.within("sh", "-c", "echo $$").stdout)


@dataclass
class Machine:
    there: Inside
    steps: Steps
    folder: Path
    work: Path

    def run(self, script: str, *, first: str = "#!/bin/sh", **more: Any) -> tuple[int | None, list[str]]:
        """more: of a Step, or `settings`, files of the build's own."""
        settings, before = more.pop("settings", {}), more.pop("before", "")
        step = Step(name="one", title="one", script=f"{first}\n{script}\n", **more)
        delivery = Delivery(
            items=items_of(step, settings, 1_700_000_000),
            variables=dict(ENVIRONMENT),
            network=step.network,
            before=before,
            private=any(file.private for file in step.files),
            timeout=step.timeout,
        )
        lines: list[str] = []
        return self.steps.run(self.there, delivery, Lines(lines.append)), lines

    def seen(self, script: str) -> str:
        return self.there.within("sh", "-c", script).stdout.decode()


@pytest.fixture(params=["dash", "bash"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param}")
    assert ROOT is not None
    group, folder, work = ROOT / f"vmgen-test-{uuid.uuid4().hex[:12]}", tmp_path / "step", tmp_path / "work"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sleep", "1000"]
    with subprocess.Popen(words) as outer:
        try:
            there = Inside(request.param, work, _child_of(outer.pid))
            made = Machine(there, Steps(str(folder), str(work), str(group)), folder, work)
            made.run(":")
            there.orders.clear()
            yield made
        finally:
            outer.kill()
    with suppress(FileNotFoundError):
        group.rmdir()


def _child_of(pid: int) -> int:
    """Once it is what it is to be."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "sleep\n":
                return int(child)


@needs_namespaces
def test_a_short_step_is_one_order_of_few_processes(machine: Machine) -> None:
    before = machine.there.started()
    for _ in range(5):
        assert machine.run("echo one") == (0, ["one"])
    # Its own are the look itself, and nsenter's for each order: the shell, the step's two, and what measures the time.
    assert machine.there.started() - before - 1 <= 5 * 4
    assert len(machine.there.orders) == 5 and machine.there.sent == []


@needs_namespaces
@pytest.mark.parametrize(
    ("script", "lines", "orders"),
    [
        ("exit 3", [], 1),
        ("printf 'no end'; exit 3", ["no end"], 1),
        ("printf 'a\\0b\\n\\n\\303\\244'; exit 3", ["a\0b", "", "ä"], 1),
        ("printf '\\377\\n'; exit 3", ["\ufffd"], 1),
        ("echo step 0 text >&2; exit 3", ["step 0 text"], 1),
        ("seq 1000; exit 3", [*map(str, range(1, 1001))], 1),
        ("seq 20000; exit 3", [*map(str, range(1, 20001))], 2),
        ("echo a >/dev/stderr; echo b; exit 3", ["b"], 1),
    ],
)
def test_what_it_prints_is_all_there(machine: Machine, script: str, lines: list[str], orders: int) -> None:
    assert machine.run(script) == (3, lines)
    assert len(machine.there.orders) == orders
    assert (machine.work / "output").stat().st_size == 0


@needs_namespaces
def test_a_longer_one_is_followed_while_it_runs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WAIT", 1)
    go = machine.folder.parent / "go"
    os.mkfifo(go)
    answers: list[str] = []

    def run(script: str, timeout: float | None = None) -> Ran:
        ran = Inside.run(machine.there, script, timeout)
        answers.append(ran.out)
        if len(answers) == 2:
            go.write_text("on\n")
        return ran

    machine.there.run = run  # type: ignore[method-assign]
    assert machine.run(f"echo begun; read -r word <{go}; echo $word; exit 4") == (4, ["begun", "on"])
    assert [answer.partition("\n")[0] for answer in answers] == ["step - base64"] * 2 + ["step 4 base64"]


@needs_namespaces
def test_nothing_of_it_runs_or_lies_there_afterwards(machine: Machine) -> None:
    files = (StepFile.of("blob", b"b"), StepFile.of("tool", "#!/bin/sh\necho tool\n", 0o755))
    secret = "a-canary"
    where = machine.folder
    look = f"sleep 1000 & cd {where}; stat -c '%a %n' * */*; files/tool; cat secrets/s; touch .more"
    code, lines = machine.run(look, files=files, secrets={"s": Secret(secret)})
    listed = ["700 files", "500 script", "700 secrets", "644 files/blob", "755 files/tool", "400 secrets/s"]
    assert (code, lines) == (0, [*listed, "tool", secret])
    assert machine.there.sent == [f"{machine.work}/step.tar"]
    assert not any(secret in order for order in machine.there.orders)
    assert machine.seen("pgrep -r R,S -cf '^sleep 1000'").strip() == "1", "the test's own"
    left = machine.seen(f"find {where} {machine.work} -type f -size +0")
    assert {Path(path).name for path in left.split()} <= {"code", "orders", "shell", "variables"}
    assert machine.run(f"cd {where}; find . -mindepth 1 | sort") == (0, ["./files", "./script", "./secrets"])


@needs_namespaces
def test_small_files_go_within_the_order_with_their_modes_and_times(machine: Machine) -> None:
    files = (StepFile.of("plain", "it's $HOME\n", 0o640), StepFile.of("tool", "#!/bin/sh\necho tool\n", 0o750))
    look = f"cd {machine.folder}; stat -c '%a %Y %n' apt.conf; stat -c '%a %n' files/*; cat files/plain; files/tool"
    code, lines = machine.run(look, files=files, settings={"apt.conf": b"x"}, network=True)
    assert (code, lines) == (
        0,
        ["644 1700000000 apt.conf", "640 files/plain", "750 files/tool", "it's $HOME", "tool"],
    )
    assert machine.there.sent == [] and len(machine.there.orders) == 1
    assert "it's" not in (machine.work / "script").read_text()


@needs_namespaces
@pytest.mark.parametrize(
    "file",
    [
        StepFile.of("x", b"a\0b"),
        StepFile.of("x", b"\xff"),
        StepFile.of("x", b"a" * 40_000),
        replace(StepFile.of("x", "a"), private=True),
    ],
)
def test_all_else_goes_as_a_tar(machine: Machine, file: StepFile) -> None:
    assert file.content is not None
    assert machine.run(f"wc -c <{machine.folder}/files/x", files=(file,)) == (0, [str(len(file.content))])
    assert machine.there.sent and len(machine.there.orders) == 1


@needs_namespaces
def test_it_has_its_variables_alone_and_no_network(machine: Machine) -> None:
    code, lines = machine.run(
        "import os; print(*sorted(os.environ)); print(open('/proc/net/dev').read())", first=PYTHON
    )
    assert code == 0 and lines[0].split() == sorted(ENVIRONMENT)
    assert [line.partition(":")[0].strip() for line in lines if ":" in line] == ["lo"]


PYTHON = f"#!{shutil.which('python3', path=ENVIRONMENT['PATH'])}"


@needs_namespaces
def test_one_with_network_has_mounts_of_its_own_and_lines_that_come_first(machine: Machine) -> None:
    place = machine.folder.parent / "place"
    place.mkdir()
    before = f"mount -t tmpfs tmpfs {place}\necho first\n"
    assert machine.run(f"mountpoint -q {place} && echo there", network=True, before=before) == (0, ["first", "there"])
    assert machine.seen(f"mountpoint -q {place} || echo none") == "none\n"


@needs_namespaces
def test_one_whose_time_is_over_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WAIT", 1)
    script = "trap '' TERM; sleep 1000 & echo begun; while :; do sleep 1000; done"
    assert machine.run(script, timeout=1.5) == (None, ["begun"])
    assert machine.seen("pgrep -r R,S -cf '^sleep 1000'").strip() == "1", "the test's own"
    assert machine.run("echo next") == (0, ["next"])


@needs_namespaces
def test_one_whose_shell_is_killed_ends(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WAIT", 1)
    assert machine.run("echo last; kill -KILL $PPID; sleep 1000") == (137, ["last"])


@needs_namespaces
@pytest.mark.parametrize("damage", ["rm -rf {0}/*", "rm {0}/script; ln -s /etc/passwd {0}/script", "umount -l {0}"])
def test_a_folder_that_a_step_has_damaged_is_made_anew(machine: Machine, damage: str) -> None:
    passwd = Path("/etc/passwd").read_bytes()
    assert machine.run(damage.format(machine.folder))[0] == 0
    assert machine.run(f"mountpoint -q {machine.folder} && ls {machine.folder}") == (0, ["files", "script", "secrets"])
    assert Path("/etc/passwd").read_bytes() == passwd


@needs_namespaces
def test_what_the_disks_would_keep_is_put_away(machine: Machine) -> None:
    machine.run("touch $PWD/x")
    machine.steps.put_away(machine.there)
    assert machine.seen(f"ls -A {machine.work}; ls -d {machine.folder} 2>/dev/null") == "script\n"
    before = len(machine.there.orders)
    machine.steps.put_away(machine.there)
    assert len(machine.there.orders) == before
    assert machine.run("echo again", secrets={"s": Secret("x")}) == (0, ["again"])


@needs_namespaces
def test_what_is_only_delivered_runs_nothing(machine: Machine) -> None:
    step = Step(name="one", title="one", script="#!/bin/sh\necho ran\n")
    with machine.steps.delivered(machine.there, Delivery(items_of(step, {}, 0), {})):
        assert machine.seen(f"{machine.folder}/script") == "ran\n"
    assert machine.seen(f"cat {machine.folder}/script") == ""


class Answers(Communicator):
    def __init__(self, code: int, out: str) -> None:
        self._ran = Ran(code, out)

    def run(self, script: str, timeout: float | None = None) -> Ran:
        return self._ran

    put = get = delete = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("code", "out", "text"),
    [
        (1, "no room", "in the machine \\(begin\\): no room"),
        (0, "", "is none to how the step goes"),
        (0, "step 1000 text\n", "another form"),
        (0, "step 0 base64\n*", "is none to how the step goes"),
    ],
)
def test_an_answer_that_is_none_ends_the_build(code: int, out: str, text: str) -> None:
    step = Step(name="one", title="one", script="#!/bin/sh\n")
    with pytest.raises(BuildError, match=text):
        Steps("/step").run(Answers(code, out), Delivery(items_of(step, {}, 0), {}), Lines(print))


def test_noise_before_an_answer_is_none_of_the_step_s() -> None:
    step = Step(name="one", title="one", script="#!/bin/sh\n")
    lines: list[str] = []
    there = Answers(0, "script: line 9: 18438 Killed\nstep 7 text\nstep 0 text\n")
    assert Steps("/step").run(there, Delivery(items_of(step, {}, 0), {}), Lines(lines.append)) == 7
    assert lines == ["step 0 text"]


def test_the_orders_are_sound(tmp_path: Path) -> None:
    """Each with what they have in common, which it reads from a file."""
    renderer = Renderer(None)
    values: dict[str, Any] = {"work": "/w", "folder": "/f", "group": "/g", "wait": 2, "piece": 9, "short": 9}
    orders = renderer.sh("vm/step-orders.sh.j2", **values)
    bare: dict[str, Any] = {"delivery": True, "files": [], "modes": [], "stamps": [], "packages": ""}
    one = [{"path": "/f/script", "mask": "277", "text": "it's $x"}]
    full = {**bare, "files": one, "modes": [("0755", ["/a"])], "stamps": [("@1", ["/a"])], "packages": "/p"}
    run = ["run", "--net", 'exec "$0"', "A=b c"]
    texts = [renderer.sh("vm/step-begin.sh.j2", work="/w", orders=orders)]
    for words, delivery in [(run, bare), (run, full), ([":"], full), (["follow", "0"], {"delivery": False})]:
        text = renderer.sh("vm/step-order.sh.j2", work="/w", order=words, **delivery)
        assert ". /w/orders\n" in text
        texts.append(text.replace(". /w/orders\n", f"{orders}\n", 1))
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.sh"
        path.write_text(text)
        subprocess.run(["dash", "-n", path], check=True)
        checked = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout
