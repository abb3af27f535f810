"""Disposable lxc containers on this machine: each step runs in one, on an overlay of the layers before it.

Everything here runs inside a worker of guests.namespaces: the mounts and containers die with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

from vmgen_build.artifacts.result import Tree
from vmgen_build.bases.apt_cache import apt_conf, keep_packages, lists_folder, packages_folder
from vmgen_build.bases.archive import Source, debian_sources
from vmgen_build.bases.bootstrap import bootstrap
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.guests.lxc import overlay
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.host import syscalls as sc
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.model import STEP_DIR, Base, Plan, Step, StepFile
from vmgen_build.store.layers import TREE, Store
from vmgen_build.store.lease import CGROUPS
from vmgen_build.text import size as in_words

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_CONFIG": f"{STEP_DIR}/apt.conf",
}

DROPPED = "mac_admin mac_override sys_time sys_module sys_rawio sys_boot"
"""Capabilities that no step needs; a step that shares the host's network loses net_admin too, which would change it."""

LITTLE_ROOM = 64 << 20
"""Bytes of free space below which a failure is put down to the disk."""

CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")


class LxcWorkshop(Workshop):
    """Makes guests of one plan in a new folder of `leased` (layers.lease), whose tag they carry."""

    def __init__(self, store: Store, leased: Path, plan: Plan, waiting: Callable[[str], None]) -> None:
        self.store, self.plan, self._waiting = store, plan, waiting
        self.tag = leased.name
        self.scratch = leased / plan.backend
        self.scratch.mkdir()
        self._count = 0
        (self.scratch / "lxc").mkdir()
        self.sources: tuple[Source, ...] = debian_sources(plan.base.suite, plan.mirror, store.cache)

    def holds(self, layer_id: str) -> bool:
        return self.store.holds(layer_id)

    @contextmanager
    def claim(self, layer_id: str) -> Iterator[None]:
        with self.store.claim(layer_id, lambda: self._waiting(layer_id)):
            yield

    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        folder = self.new_folder("base")
        packages = packages_folder(self.store.cache, base.distribution)
        bootstrap(base, folder, self.sources, packages, self.lists(()), output)
        shutil.rmtree(folder / "new")
        self.store.add(base.id, folder, name="base", parents=(), extra={"title": base.title})

    def lists(self, after: Sequence[str]) -> Path:
        """Where the package indexes lie for the sources that the guest has after these layers."""
        repositories = [s for s in self.plan.steps if s.name == "repositories" and s.id in after]
        state = self.plan.base.release + "".join(s.id for s in repositories)
        return lists_folder(self.store.cache, self.sources, self.plan.base.arch, state)

    def new_folder(self, name: str) -> Path:
        self._count += 1
        folder = self.scratch / f"{self._count:02d}-{name}"
        folder.mkdir()
        return folder

    @contextmanager
    def in_use(self, layer_id: str) -> Iterator[None]:
        with self.store.in_use([layer_id]):
            yield

    @contextmanager
    def written_back(self, layer_ids: Sequence[str]) -> Iterator[None]:
        layers = self.store.unsynced(layer_ids)

        def write_back() -> None:
            sc.syncfs(self.store.layers)
            self.store.mark_synced(layers)

        thread = Thread(target=write_back)
        if layers:
            thread.start()
        try:
            yield
        finally:
            if layers:
                thread.join()

    def trouble(self) -> str:
        """Tells of a cache that has no room left."""
        free = shutil.disk_usage(self.store.cache).free
        if free > LITTLE_ROOM:
            return ""
        return (
            f"the disk of the cache {self.store.cache} is full ({in_words(free)} are free): make room there,"
            " shrink the cache with: vmgen-build cache prune --keep 5G, or choose another folder with --cache"
        )

    @contextmanager
    def guest(self, plan: Plan, after: Sequence[str]) -> Iterator[Guest]:
        with ExitStack() as undo:
            undo.enter_context(self.store.in_use(after))
            yield LxcGuest(self, tuple(after), undo)

    @contextmanager
    def result(self, layers: Sequence[str]) -> Iterator[Tree]:
        folder = self.new_folder("tree")
        names = [self.store.folder(i).name for i in layers]
        with self.store.in_use(layers), overlay.readable(self.store.layers, names, folder / "rootfs") as root:
            yield Tree(root)


class LxcGuest(Guest):
    """One overlay and, for each command, one container on it (lxc-execute(1))."""

    def __init__(self, workshop: LxcWorkshop, after: tuple[str, ...], undo: ExitStack) -> None:
        self.workshop, self.after = workshop, after
        self.folder = workshop.new_folder("guest")
        self.name = f"vmgen-{workshop.tag}-{self.folder.name}"
        self._mounts = undo.enter_context(ExitStack())
        names = [workshop.store.folder(i).name for i in after]
        data = self.folder / "layer" / "data"
        self.root = self._mounts.enter_context(
            overlay.writable(workshop.store.layers, names, data, self.folder / "root")
        )

    def run_step(self, step: Step, output: Output) -> int:
        with self._step_folder(step) as inside:
            if step.network:
                self._update_lists(inside, output)
            return self._execute([f"{STEP_DIR}/script"], inside, step.network, output)

    def keep_layer(self, step: Step) -> None:
        self._mounts.close()
        layer = self.folder / "layer"
        shutil.rmtree(layer / "data" / "work")
        self.workshop.store.add(step.id, layer, name=step.name, parents=self.after, extra={"title": step.title})

    def open_shell(self, step: Step) -> None:
        """An interactive shell where the step failed, on the caller's terminal."""
        with self._step_folder(step) as inside:
            command = self._command(["/bin/bash", "-i"], inside, step.network)
            subprocess.run(command, start_new_session=False)

    def keep_for_inspection(self, step: Step) -> str:
        """Move this guest under cache/kept, as a container that lxc-execute enters on its own."""
        store = self.workshop.store
        kept = store.cache / "kept" / f"{self.workshop.plan.name}-{step.name}-{self.workshop.tag}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        self._mounts.close()
        shutil.rmtree(self.folder / "layer" / "data" / "work")
        (self.folder / "layer").rename(kept)
        lower = ":".join(str(store.tree(i)) for i in reversed(self.after))
        (kept / "step.sh").write_text(step.script)
        (kept / "config").write_text(
            "lxc.include = /usr/share/lxc/config/common.conf\n"
            f"lxc.uts.name = {self.workshop.plan.name}\n"
            f"lxc.rootfs.path = overlay:{lower}:{kept / TREE}\n"
            "lxc.net.0.type = none\n"
            "lxc.apparmor.profile = unconfined\n"
            f"lxc.cap.drop = {DROPPED} net_admin\n"
            f"lxc.mount.entry = {kept / 'step.sh'} tmp/vmgen-step.sh none bind,create=file 0 0\n"
        )
        return (
            f"kept the container of step '{step.name}'; enter it with:\n"
            f"  lxc-execute -P {kept.parent} -n {kept.name} -- /bin/bash\n"
            f"and remove it with: rm -rf {kept}"
        )

    @contextmanager
    def _step_folder(self, step: Step) -> Iterator[Path]:
        """The folder that the guest sees as STEP_DIR: on a tmpfs, so that no secret reaches a disk."""
        inside = self.folder / "run"
        inside.mkdir(exist_ok=True)
        with ExitStack() as undo:
            sc.mount("tmpfs", inside, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=0700")
            undo.callback(sc.unmount, inside, sc.MNT_DETACH)
            _write(inside / "script", step.script.encode(), 0o500)
            for name in ("files", "secrets"):
                (inside / name).mkdir(mode=0o700)
            for file in step.files:
                _bring(file, inside / "files" / file.name)
            for name, secret in step.secrets.items():
                _write(inside / "secrets" / name, secret.reveal().encode(), 0o400)
            if step.network:
                self._bind_downloads(inside, undo)
            yield inside

    def _bind_downloads(self, inside: Path, undo: ExitStack) -> None:
        """Give the guest apt's settings, the indexes, and the packages: shared below, its own above."""
        sources = "\n".join(source.line() for source in self.workshop.sources)
        _write(inside / "sources.list", f"{sources}\n".encode(), 0o644)
        # apt passes over its digest of the indexes where the list of sources is younger.
        os.utime(inside / "sources.list", (self.workshop.plan.epoch,) * 2)
        _write(inside / "apt.conf", apt_conf(CA_FILE.exists()).encode(), 0o644)
        if CA_FILE.exists():
            _write(inside / "ca-certificates.crt", CA_FILE.read_bytes(), 0o644)
        lists = self.workshop.lists(self.after)
        for name in ("lists", "cache"):
            (inside / name).mkdir()
            sc.mount(str(lists / name), inside / name, flags=sc.MS_BIND)
            undo.callback(sc.unmount, inside / name, sc.MNT_DETACH)
        store = self.workshop.store
        shared = packages_folder(store.cache, self.workshop.plan.base.distribution)
        own = self.folder / "archives"
        for name in ("upper", "work"):
            (own / name).mkdir(parents=True, exist_ok=True)
        (inside / "archives").mkdir()
        options = f"lowerdir={shared},upperdir={own / 'upper'},workdir={own / 'work'}"
        sc.mount("overlay", inside / "archives", "overlay", options=options)
        undo.callback(keep_packages, own / "upper", shared)
        undo.callback(sc.unmount, inside / "archives", sc.MNT_DETACH)

    def _update_lists(self, inside: Path, output: Output) -> None:
        """Fetch the package indexes where this state of the archive has none yet. Raises StepFailed."""
        lists = self.workshop.lists(self.after)
        if (lists / "complete").exists():
            return
        with self.workshop.store.claim(lists.name):
            if (lists / "complete").exists():
                return
            tail: deque[str] = deque(maxlen=15)

            def listen(line: str) -> None:
                tail.append(line)
                output(line)

            code = self._execute(["/usr/bin/apt-get", "-q", "update"], inside, True, listen)
            if code != 0:
                raise StepFailed("update of the package indexes", code, tuple(tail), None)
            (lists / "complete").touch()

    def _execute(self, command: Sequence[str], inside: Path, network: bool, output: Output) -> int:
        """Run a command in a container on this guest's root. Its exit code."""
        process = subprocess.Popen(
            self._command(command, inside, network),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                output(line.decode(errors="replace").rstrip("\r\n"))
            return process.wait()
        finally:
            process.kill()
            process.wait()

    def _command(self, command: Sequence[str], inside: Path, network: bool) -> list[str]:
        config = self.folder / "config"
        config.write_text(self._config(inside, network))
        plan = self.workshop.plan
        variables = [f"{k}={v}" for k, v in (ENVIRONMENT | {"SOURCE_DATE_EPOCH": str(plan.epoch)}).items()]
        head = ["lxc-execute", "-P", str(self.workshop.scratch / "lxc"), "-n", self.name, "-f", str(config)]
        return [*head, "--", "/usr/bin/env", "-i", *variables, *command]

    def _config(self, inside: Path, network: bool) -> str:
        """lxc.container.conf(5). The host's name servers are seen by steps that use the network alone."""
        resolv = Path("/etc/resolv.conf").resolve()
        group = f"{CGROUPS}/{self.workshop.tag}/{self.folder.name}"
        lines = [
            "lxc.include = /usr/share/lxc/config/common.conf",
            "lxc.uts.name = localhost",
            f"lxc.rootfs.path = dir:{self.root}",
            "lxc.apparmor.profile = unconfined",
            f"lxc.cgroup.dir.container = {group}/guest",
            f"lxc.cgroup.dir.monitor = {group}/monitor",
            f"lxc.cgroup.dir.monitor.pivot = {group}/pivot",
            "lxc.mount.entry = tmpfs run tmpfs nosuid,nodev,mode=0755 0 0",
            f"lxc.mount.entry = {inside} {STEP_DIR.lstrip('/')} none rbind,create=dir 0 0",
            f"lxc.net.0.type = {'none' if network else 'empty'}",
            f"lxc.cap.drop = {DROPPED}{' net_admin' if network else ''}",
        ]
        if network and resolv.exists():
            lines.append(f"lxc.mount.entry = {resolv} etc/resolv.conf none bind,ro,create=file 0 0")
        return "\n".join(lines) + "\n"


def _bring(file: StepFile, goal: Path) -> None:
    if file.content is not None:
        _write(goal, file.content, file.mode)
        return
    assert file.source is not None
    shutil.copyfile(file.source, goal)
    goal.chmod(file.mode)
    if sha256_of(goal) != file.sha256:
        raise BuildError(f"{file.source} was changed while the build ran: run the build again")


def _write(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    path.chmod(mode)
