"""Steps on a root of this machine, each in a container of its own."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmgen_build.bases.supply import COMPLETE
from vmgen_build.guests.delivery import environment, items_of, write_items
from vmgen_build.guests.lxc import overlay, wall
from vmgen_build.guests.lxc.container import Container, walled
from vmgen_build.guests.lxc.site import Site
from vmgen_build.guests.lxc.words import word
from vmgen_build.guests.model import Guest, Output, StepExecutor
from vmgen_build.host import syscalls as sc
from vmgen_build.host.undo import Undo
from vmgen_build.plan.model import Step
from vmgen_build.store.cachedir import own_folder
from vmgen_build.store.layers import TREE


class RootExecutor(StepExecutor):
    """Steps on a root of this host. after: the layers that it is made of; folder: a new one, for what steps need."""

    _fetching = False

    def __init__(self, site: Site, after: tuple[str, ...], folder: Path, root: Path) -> None:
        self.site, self.after, self.folder, self.root = site, after, folder, root
        plan = site.plan
        self._container = Container(
            tag=site.tag,
            folder=folder,
            root=root,
            inside=folder / "run",
            step_folder=plan.system.family.step_folder,
            environment=environment(plan, site.supply),
            arch=plan.arch,
        )

    def open_shell(self, step: Step) -> None:
        """An interactive shell where the step failed, on the caller's terminal."""
        with self._step_folder(step):
            self._container.open_shell(network=self._reaches(step))

    def enter(self, step: Step, command: Sequence[str]) -> int:
        words = {"command": tuple(command)} if command else {}
        with self._step_folder(step):
            return self._container.open_shell(network=self._reaches(step), **words)

    def _fetch_indexes(self, output: Output) -> None:
        indexes = self.site.indexes(self.after)
        if (indexes / COMPLETE).exists():
            return
        with self.site.store.claim(indexes.name):
            if not (indexes / COMPLETE).exists():
                self._fetching = True
                try:
                    self._run_fetching(self.site.supply.fetch_indexes(self._container.step_folder), output)
                finally:
                    self._fetching = False
                (indexes / COMPLETE).touch()

    def _execute(self, step: Step, output: Output) -> int | None:
        with self._step_folder(step):
            script = f"{self._container.step_folder}/script"
            return self._container.run([script], output, network=self._reaches(step), timeout=step.timeout)

    def _reaches(self, step: Step) -> bool:
        return self.site.plan.reaches(step)

    def _restart(self) -> None:
        """Nothing runs between two steps: the next one finds the system freshly begun anyway."""

    @contextmanager
    def _step_folder(self, step: Step) -> Iterator[None]:
        """Fill the folder that the guest sees as its step's: on a tmpfs, so that no secret reaches a disk."""
        inside, epoch = self._container.inside, self.site.plan.epoch
        inside.mkdir(exist_ok=True)
        with Undo() as undo:
            sc.mount("tmpfs", inside, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=0700")
            undo.callback(sc.unmount, inside, sc.MNT_DETACH)
            step_folder = self._container.step_folder
            settings = self.site.supply.settings(step_folder, step_folder) if step.network else {}
            write_items(items_of(step, settings, epoch), inside)
            if step.network:
                self._bind_downloads(inside, undo)
            yield

    def _bind_downloads(self, inside: Path, undo: ExitStack) -> None:
        """The indexes, and the packages: shared below, the guest's own above. Our own step that fetches the indexes
        gets the shared ones themselves; no step of a recipe does, whether they are complete or not."""
        supply = self.site.supply
        indexes, shared = self.site.indexes(self.after), supply.packages(self.site.store.cache)
        for name in supply.index_folders:
            if not self._fetching:
                self._mount_over(indexes / name, inside / name, undo)
            else:
                (inside / name).mkdir()
                sc.mount(str(indexes / name), inside / name, flags=sc.MS_BIND)
                undo.callback(sc.unmount, inside / name, sc.MNT_DETACH)
        if self.site.trusted:
            undo.callback(supply.keep, self.folder / supply.package_folder / "upper", shared, indexes)
        self._mount_over(shared, inside / supply.package_folder, undo)

    def _mount_over(self, shared: Path, target: Path, undo: ExitStack) -> None:
        """`shared` at `target`, with all that is written there in this guest's own folder."""
        own = self.folder / target.name
        for folder in (own / "upper", own / "work", target):
            folder.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={shared},upperdir={own / 'upper'},workdir={own / 'work'}"
        sc.mount("overlay", target, "overlay", options=options)
        undo.callback(sc.unmount, target, sc.MNT_DETACH)


class LxcGuest(RootExecutor, Guest):
    """A guest on an overlay of the layers before its step."""

    def __init__(self, site: Site, after: tuple[str, ...], undo: ExitStack) -> None:
        folder = site.new_folder("guest")
        self._mounts = undo.enter_context(ExitStack())
        names = [site.store.folder(layer_id).name for layer_id in after]
        data = folder / "layer" / "data"
        mounted = overlay.writable(site.store.layers, names, data, folder / "root")
        super().__init__(site, after, folder, self._mounts.enter_context(mounted))

    def keep_layer(self, step: Step) -> None:
        self._mounts.close()
        layer = self.folder / "layer"
        shutil.rmtree(layer / "data" / "work")
        self.site.store.add(step.id, layer, name=step.name, parents=self.after, extra={"title": step.title})

    def keep_for_inspection(self, step: Step) -> str:
        """Move this guest under cache/kept, as a container that lxc-execute enters on its own."""
        store = self.site.store
        step_name = re.sub(r"[^A-Za-z0-9._+-]", "_", step.name)
        kept = own_folder(store.cache, "kept") / f"{self.site.plan.name}-{step_name[:100]}-{self.site.tag}"
        self._mounts.close()
        shutil.rmtree(self.folder / "layer" / "data" / "work")
        for folder in (self.folder / "layer", self.folder / "layer" / "data"):
            folder.chmod(0o700)
        (self.folder / "layer").rename(kept)
        lower = ":".join(str(store.tree(layer_id)) for layer_id in reversed(self.after))
        (kept / "step.sh").write_text(step.script)
        wall_lines = "".join(f"{line}\n" for line in walled(kept, self.site.plan.arch, network=True))
        (kept / "config").write_text(
            f"{wall_lines}"
            f"lxc.uts.name = {self.site.plan.name}\n"
            f"lxc.rootfs.path = overlay:{lower}:{kept / TREE}\n"
            f"lxc.mount.entry = {word(kept / 'step.sh')} tmp/vmgen-step.sh none bind,create=file 0 0\n"
        )
        return (
            f"kept the container of step '{step.name}'; enter it with:\n"
            f"  {' '.join(wall.APART)} lxc-execute -P {kept.parent} -n {kept.name}"
            f" -s {wall.network_of('/proc/$$/ns/net').replace(' ', '')} -- /bin/bash\n"
            f"and remove it with: rm -rf {shlex.quote(str(kept))}"
        )
