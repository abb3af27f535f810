"""The workshop of a node: one container for the whole plan, and templates in place of layers.

A layer is held where a template with its id lies in the cache of templates: the base, and the one after the last step
that installs packages. All layers before a held one count as held too: the container begins with it.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryFile

from vmgen_build.artifacts.result import Tree
from vmgen_build.bases.ostemplate import ARCHITECTURES
from vmgen_build.errors import BuildError, HostError, StepFailed
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.guests.node.archive import NodeArchive, node_archive
from vmgen_build.guests.node.driver import MARK, PACK, TAR, Driver, Setup
from vmgen_build.guests.node.guardian import Guardian
from vmgen_build.guests.node.guest import TAIL, NodeGuest
from vmgen_build.guests.runners.local import LocalRunner
from vmgen_build.plan.model import Base, Plan, Step

PACKERS = {"zstd": ("zstd -q -1 -c", "zstd -q -d -c"), "gzip": ("gzip -1 -c", "gzip -d -c"), "": ("cat", "cat")}
"""What a root comes home by, and what takes it in here; "" on this host."""

_PACK = f'set -euo pipefail\n{PACK}pack "$1" | $2'
_UNPACK = f'set -euo pipefail\n{TAR}$2 | tar $options -xpf - -C "$1"'
_CHUNK = 1 << 20

_NEUTRAL = """\
#!/bin/sh
set -eu
rm -f /etc/apt/sources.list
if [ -d /etc/apt/sources.list.d ]; then find /etc/apt/sources.list.d -type f -delete; fi
: >/etc/apt/sources.list
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
for package in PACKAGES; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) echo "lacks $package" ;;
    esac
done
"""
"""In a template of others: no sources but the build's, and no service that starts while packages are installed; it says
what the template lacks."""

PushBase = Callable[[Base, Driver, str, Output], None]
"""Puts the base's template of this name into the driver's cache."""


def template_name(plan: Plan, layer_id: str) -> str:
    """vzctl finds its distribution scripts by the name: it takes parts away from the right until one is known."""
    if layer_id == plan.base.id and plan.base.template:
        return plan.base.template
    arch = ARCHITECTURES.get(plan.arch, plan.arch)
    system = plan.os.removesuffix(f"-{plan.arch}")
    return f"{system}-{arch}-{MARK}-{layer_id[:16]}"


def _last_of_packages(steps: Sequence[Step]) -> str:
    """The id of the last step before what people change daily; "" where nothing is installed."""
    first = list(takewhile(lambda step: step.network or step.name == "repositories", steps))
    return first[-1].id if first else ""


def held_stages(plan: Plan, templates: Collection[str]) -> int:
    """The index of the last of the plan's stages that has a template; -1 for none."""
    return max((i for i, item in enumerate(plan.stages) if template_name(plan, item.id) in templates), default=-1)


class NodeWorkshop(Workshop):
    """leased: folder of this host for the root that comes home. setup, wanted: of the container.

    push: brings the base to a node that lacks it; tell: takes a sentence for the user.
    """

    def __init__(
        self,
        driver: Driver,
        guardian: Guardian,
        plan: Plan,
        leased: Path,
        setup: Setup,
        wanted: str,
        *,
        push: PushBase,
        tell: Callable[[str], None],
    ) -> None:
        self.driver, self.guardian, self.plan, self.leased = driver, guardian, plan, leased
        self.setup, self.wanted, self.push, self.tell = setup, wanted, push, tell
        self._guest: NodeGuest | None = None
        self._archive: NodeArchive | None = None
        self._held = held_stages(plan, driver.templates())
        self._keep = _last_of_packages(plan.steps)

    def holds(self, layer_id: str) -> bool:
        return layer_id in [item.id for item in self.plan.stages[: self._held + 1]]

    @contextmanager
    def claim(self, layer_id: str) -> Iterator[None]:
        """Two builds may make one template at the same time: each puts it in place whole."""
        yield

    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        self.push(base, self.driver, template_name(plan, base.id), output)
        self._held = 0

    @contextmanager
    def guest(self, plan: Plan, after: Sequence[str]) -> Iterator[Guest]:
        """The container lives on until the guardian's context ends."""
        if self._guest is None:
            self._guest = self._begin(after)
        if self._guest.after != tuple(after):
            raise BuildError("the container is not in the state that the next step begins with; build again")
        yield self._guest

    @contextmanager
    def result(self, layers: Sequence[str]) -> Iterator[Tree]:
        """The root, brought here; nothing runs in the container any more."""
        with self.guest(self.plan, layers):
            assert self._guest is not None
            guest, self._guest = self._guest, None
        guest.clean()
        folder = self.leased / "rootfs"
        folder.mkdir()
        self.tell(f"bringing the root home from {self.driver.where}")
        with self.driver.mounted(guest.ct) as root:
            _bring(self.driver, root, folder)
        yield Tree(folder)

    def keep(self, guest: NodeGuest, step: Step) -> None:
        """Called with each new state; that after the last packages becomes a template."""
        if step.id != self._keep:
            return
        guest.clean()
        self.driver.keep_as_template(guest.ct, template_name(self.plan, step.id))
        self.driver.start(guest.ct)

    def _begin(self, after: Sequence[str]) -> NodeGuest:
        template = template_name(self.plan, after[-1])
        self.driver.used(template)
        self._archive = self._archive or node_archive(self.driver.runner)
        guest = NodeGuest(self.driver, self.guardian, self.plan, self._archive, self.keep)
        guest.create(template, self.wanted, self.setup, after)
        if len(after) == 1 and self.plan.base.template:
            self._complete(guest)
        return guest

    def _complete(self, guest: NodeGuest) -> None:
        """Bring a container that was made from a template of others to what a base of ours holds."""
        packages = self.plan.base.packages
        said = self._ran(guest, _NEUTRAL.replace("PACKAGES", shlex.join(packages)), network=False)
        missing = [name for name in packages if f"lacks {name}" in said]
        if missing:
            install = f"apt-get -q -y install --no-install-recommends -- {shlex.join(missing)}"
            self._ran(guest, f"#!/bin/sh\nset -eu\n{install}\n", network=True)

    def _ran(self, guest: NodeGuest, script: str, *, network: bool) -> list[str]:
        """What a script printed that makes the base; at most its last lines."""
        said: deque[str] = deque(maxlen=4 * TAIL)
        code = guest.run_step(Step(name="base", title="", script=script, network=network), said.append)
        if code != 0:
            raise StepFailed(f"making a base of {self.plan.base.template}", code, list(said)[-TAIL:], None)
        return list(said)


def _bring(driver: Driver, root: str, folder: Path) -> None:
    """The node packs, this host unpacks, in constant memory. Raises BuildError, HostError, ConnectionLost."""
    there, here = PACKERS[_packer(driver)]
    unpack = ["bash", "-c", _UNPACK, "bash", str(folder), here]
    with (
        TemporaryFile() as errors,
        subprocess.Popen(unpack, stdin=subprocess.PIPE, stderr=errors, start_new_session=True) as tar,
        driver.runner.read(["bash", "-c", _PACK, "bash", root, there]) as stream,
    ):
        assert tar.stdin is not None
        try:
            with suppress(BrokenPipeError), tar.stdin:
                while chunk := stream.read(_CHUNK):
                    tar.stdin.write(chunk)
        except BaseException:
            tar.kill()
            raise
        if tar.wait() != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            raise HostError(f"cannot unpack the root that came from {driver.where}: {said[-300:] or 'tar failed'}")


def _packer(driver: Driver) -> str:
    if isinstance(driver.runner, LocalRunner):
        return ""
    return "zstd" if driver.has("zstd") else "gzip"
