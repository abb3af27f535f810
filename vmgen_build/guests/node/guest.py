"""A plan's container on a node: each step goes there in one call, as a tar on standard input."""

from __future__ import annotations

import io
import secrets
import shlex
import tarfile
from collections import deque
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from typing import BinaryIO

from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.guests.lxc.workshop import ENVIRONMENT
from vmgen_build.guests.model import Guest, Output
from vmgen_build.guests.node.archive import NodeArchive
from vmgen_build.guests.node.driver import Driver, Setup
from vmgen_build.guests.node.guardian import Guardian
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.model import STEP_DIR, Plan, Step, StepFile

HOME = "/var/lib/vmgen-build"
"""Folder of the guest for indexes and packages, which last for the build."""

SMALL = 8 << 20
"""Bytes of a step's files that are held in memory; more goes by a file."""

TAIL = 15
"""Lines of output that an error shows."""

NO_WAY_OUT = (
    "has the container no way out? its address is that of the recipe's venet adapter, or --build-address;"
    " the node must forward it (net.ipv4.ip_forward, and NAT for a private address)"
)

LOADER = f"""\
umask 077
dir={STEP_DIR}
mkdir -p $dir
mount -t tmpfs -o nosuid,nodev,mode=0700 tmpfs $dir 2>/dev/null && mounted=1 || mounted=
tar -xpf - -C $dir && code=0 || code=$?
echo "$nonce loaded $code"
if [ $code -eq 0 ]; then
    servers=
    if [ -e $dir/resolv.conf ] && {{ [ -e /etc/resolv.conf ] || : >/etc/resolv.conf; }}; then
        mount --bind $dir/resolv.conf /etc/resolv.conf 2>/dev/null && servers=1
    fi
    /bin/sh $dir/run </dev/null 2>&1 && code=0 || code=$?
    [ -z "$servers" ] || umount -l /etc/resolv.conf
fi
cd /
if [ -n "$mounted" ]; then umount -l $dir; else find $dir -type f -exec shred -u {{}} +; fi
rm -rf $dir
printf '\\n%s ended %d\\n' "$nonce" "$code"
"""
"""Run in the guest, with $nonce set. The step's folder is in memory where the guest may mount. The node's name servers
serve while a step uses the network, whatever the image will have."""

_LISTS = f"""\
#!/bin/sh
set -eu
for folder in lists/partial archives/partial cache; do mkdir -p {HOME}/$folder; done
apt-get -q update
"""

Kept = Callable[["NodeGuest", Step], None]

_CLEAN = f"""\
#!/bin/sh
set -eu
rm -rf {HOME}
"""


class NodeGuest(Guest):
    """kept: told of each new state."""

    def __init__(self, driver: Driver, guardian: Guardian, plan: Plan, archive: NodeArchive, kept: Kept) -> None:
        self.driver, self.guardian, self.plan, self.archive, self._kept = driver, guardian, plan, archive, kept
        self.ct = ""
        self.after: tuple[str, ...] = ()
        self._lists = False
        self._resolv_conf = b""

    def create(self, template: str, wanted: str, setup: Setup, after: Sequence[str]) -> None:
        """Start a container from the template of the last of `after`. wanted: its identifier if that is free."""
        taken: set[str] = set()
        self.ct = self.driver.free_id(wanted, taken)
        while not self.guardian.own(self.ct):
            taken.add(self.ct)
            self.ct = self.driver.free_id(wanted, taken)
        self.driver.create(self.ct, template, setup)
        self.driver.start(self.ct)
        self._resolv_conf = self.driver.resolv_conf(self.ct)
        self.after = tuple(after)

    def run_step(self, step: Step, output: Output) -> int:
        if step.network and not self._lists and _speaks_of_apt(step):
            self._update_lists(output)
        return self._run(step, output)

    def _update_lists(self, output: Output) -> None:
        tail: deque[str] = deque(maxlen=TAIL)

        def listen(line: str) -> None:
            tail.append(line)
            output(line)

        code = self._run(Step(name="update-lists", title="", script=_LISTS, network=True), listen)
        if code != 0:
            raise StepFailed("update of the package indexes", code, tuple(tail), None, NO_WAY_OUT)
        self._lists = True

    def keep_layer(self, step: Step) -> None:
        self.after = (*self.after, step.id)
        self._kept(self, step)

    def keep_for_inspection(self, step: Step) -> str:
        self.guardian.keep()
        how = self.driver.how_to_enter(self.ct)
        return f"kept container {self.ct} on {self.driver.where}, where step '{step.name}' failed; there, {how}"

    def clean(self) -> None:
        """Remove what only the build needed, and stop."""
        self._run(Step(name="clean", title="", script=_CLEAN), lambda _line: None)
        self._lists = False
        self.driver.stop(self.ct)

    def _run(self, step: Step, output: Output) -> int:
        nonce = f"vmgen-{secrets.token_hex(8)}"
        listener = _Listener(nonce, output)
        command = f"nonce={nonce}\n{LOADER}"
        argv = self.driver.exec_argv(self.ct, command, network=step.network)
        with self._packed(step) as data:
            done = self.driver.runner.run(argv, data=data, output=listener)
        if listener.loaded is None or listener.ended is None:
            raise BuildError(
                f"step '{step.name}' was cut short on {self.driver.where}: {self.driver.explain(self.ct, done)}"
            )
        if listener.loaded != 0:
            raise BuildError(f"step '{step.name}': its files cannot be unpacked in the container; is its disk full?")
        return listener.ended

    def _packed(self, step: Step) -> BinaryIO:
        """The step's folder as a tar."""
        size = sum(f.source.stat().st_size for f in step.files if f.source)
        goal: BinaryIO = io.BytesIO() if size < SMALL else TemporaryFile()  # noqa: SIM115 - closed by the caller
        with tarfile.open(fileobj=goal, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, mode, content in self._texts(step):
                _add(tar, name, mode, content)
            for folder in ("files", "secrets"):
                _add_folder(tar, folder)
            for file in step.files:
                _bring(tar, file)
            for name, secret in step.secrets.items():
                _add(tar, f"secrets/{name}", 0o400, secret.reveal().encode())
        goal.seek(0)
        return goal

    def _texts(self, step: Step) -> list[tuple[str, int, bytes]]:
        plan = self.plan
        variables = ENVIRONMENT | {"SOURCE_DATE_EPOCH": str(plan.epoch)}
        words = ["env", "-i", *(f"{k}={v}" for k, v in variables.items()), f"{STEP_DIR}/script"]
        texts = [("run", 0o500, f"exec {shlex.join(words)}\n".encode()), ("script", 0o500, step.script.encode())]
        if step.network:
            sources = self.archive.sources(plan.base.suite, plan.mirror)
            lines = "".join(f"{source.line()}\n" for source in sources)
            texts.append(("sources.list", 0o644, lines.encode()))
            texts.append(("apt.conf", 0o644, self.archive.apt_conf(HOME).encode()))
            if self._resolv_conf:
                texts.append(("resolv.conf", 0o644, self._resolv_conf))
            if self.archive.certificates:
                texts.append(("ca-certificates.crt", 0o644, self.archive.certificates))
        return texts


def _speaks_of_apt(step: Step) -> bool:
    """Whether it may install packages; fetching the indexes takes seconds."""
    return "apt" in step.script or any(b"apt" in (file.content or b"apt") for file in step.files)


class _Listener:
    """Takes the loader's own lines out of what a step prints."""

    def __init__(self, nonce: str, output: Callable[[str], None]) -> None:
        self._nonce, self._output = nonce, output
        self.loaded: int | None = None
        self.ended: int | None = None
        self._blank = False

    def __call__(self, line: str) -> None:
        if line.startswith(self._nonce):
            _, word, code = line.split()
            if word == "loaded":
                self.loaded = int(code)
            else:
                self.ended = int(code)
            return
        # The loader ends with an empty line, in case that the step's last one has no end.
        if self._blank:
            self._output("")
        self._blank = line == ""
        if line:
            self._output(line)


def _add(tar: tarfile.TarFile, name: str, mode: int, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.size = mode, len(content)
    tar.addfile(info, io.BytesIO(content))


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.type = 0o700, tarfile.DIRTYPE
    tar.addfile(info)


def _bring(tar: tarfile.TarFile, file: StepFile) -> None:
    name = f"files/{file.name}"
    if file.content is not None:
        _add(tar, name, file.mode, file.content)
        return
    assert file.source is not None
    if sha256_of(file.source) != file.sha256:
        raise BuildError(f"{file.source} was changed while the build ran: run the build again")
    info = tarfile.TarInfo(name)
    info.mode, info.size = file.mode, file.source.stat().st_size
    with file.source.open("rb") as content:
        tar.addfile(info, content)
