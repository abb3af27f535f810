"""All that a build will do, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmgen_build.filenames import require_file_name
from vmgen_build.plan.digests import FORMAT, digest_of
from vmgen_build.secret import Secret
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system
from vmgen_build.text import without_passwords

if TYPE_CHECKING:
    from vmgen_build.plan.bases import Base

DIALECTS = ("sh", "batch")


@dataclass(frozen=True)
class StepFile:
    """A file that a step carries into the guest: bytes known now (content), or a file of the host (source), read when
    the step runs. sha256 is over the bytes either way, so that a source that changed meanwhile is noticed.
    urls: where it is downloaded from before that, any of them; then a plan has no source yet.
    private: it holds a secret, which others than its owner may not read."""

    name: str
    sha256: str
    mode: int = 0o644
    content: bytes | None = field(default=None, repr=False)
    source: Path | None = None
    private: bool = False
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a name that is no plain file name, and for a mode beyond 07777."""
        require_file_name(self.name, "a step's file")
        if not 0 <= self.mode <= 0o7777:
            raise ValueError(f"the mode {self.mode:o} of a step's file {self.name!r} is none from 0 to 7777")

    @classmethod
    def of(cls, name: str, content: bytes | str, mode: int = 0o644) -> StepFile:
        data = content.encode() if isinstance(content, str) else content
        return cls(name, hashlib.sha256(data).hexdigest(), mode, content=data)


WINDOWS_KINDS = ("batch", "powershell")
PROBE_KINDS = ("guest", "tcp-open", "tcp-closed", *WINDOWS_KINDS)


@dataclass(frozen=True)
class Probe:
    """One question to the booted machine, and the answer that the recipe asked for.

    kind "guest": `script` runs as root in the guest under /bin/sh; exit 0 means that it holds, 77 that this host cannot
    tell; the first line of its output is what was found. Kinds "tcp-open" and "tcp-closed": asked from outside;
    `script` is "ADDRESS PORT"; open means that a connection is made or refused at once, closed that no answer comes.
    Kinds "batch" and "powershell": lines of a script for Windows, as plan.windowsprobe has them; it holds where each
    line of `expected` is among those that it prints.
    setting: the recipe's option as its user would look for it, e.g. "[config] hostname". Never holds a secret.
    retry: seconds for which a failing probe is asked again (services take time to come up).
    """

    name: str
    setting: str
    script: str
    expected: str = ""
    kind: str = "guest"
    retry: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "setting": self.setting,
            "kind": self.kind,
            "script": self.script,
            "expected": self.expected,
            "retry": self.retry,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Probe:
        return cls(
            name=str(data["name"]),
            setting=str(data["setting"]),
            script=str(data["script"]),
            expected=str(data.get("expected", "")),
            kind=str(data.get("kind", "guest")),
            retry=float(data.get("retry", 0.0)),
        )


@dataclass(frozen=True)
class Step:
    """One unit of provisioning.

    name: short and unique in its plan ("packages-devel"); title: for people ("development tools").
    script: rendered, complete with its header; dialect "sh" or "batch".
    network: whether the guest reaches the outside while it runs; without it, it runs in an empty network of its own.
    installs: whether it installs packages: their indexes are fetched before it, where this state of the archive has
    none yet. packages: names of those that its script asks for, to be reckoned with; no id depends on them.
    reboot: the guest is restarted after it. timeout: seconds that it may take, None for no limit.
    success: the exit codes that mean success; Windows installers say 3010 where a restart is due.
    inputs: whatever else its result depends on (catalogue entries used, archive digests), by name.
    private_probes: stand for the probes of the same names where the recipe itself is at hand: they hold digests of
    secrets, and are in no manifest, no plan.json and no log.
    parent, id: set by `chained`; the id hashes what its result depends on, and the parent's id.
    """

    name: str
    title: str
    script: str
    dialect: str = "sh"
    files: tuple[StepFile, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    network: bool = False
    installs: bool = False
    packages: tuple[str, ...] = ()
    reboot: bool = False
    timeout: float | None = None
    success: tuple[int, ...] = (0,)
    inputs: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    private_probes: tuple[Probe, ...] = field(default=(), repr=False)
    parent: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError where its name, or that of a secret, is no plain file name, and for an unknown dialect."""
        require_file_name(self.name, "a step")
        for name in self.secrets:
            require_file_name(name, f"a secret of the step {self.name!r}")
        if self.dialect not in DIALECTS:
            raise ValueError(f"the dialect {self.dialect!r} of the step {self.name!r} is none of {', '.join(DIALECTS)}")

    def chained(self, parent: str) -> Step:
        return replace(self, parent=parent)

    @cached_property
    def id(self) -> str:
        """Reboot and success are hashed where they are not the default, so that a step without them keeps its id."""
        unusual: dict[str, Any] = {"reboot": True} if self.reboot else {}
        unusual |= {"success": list(self.success)} if self.success != (0,) else {}
        return digest_of(
            unusual
            | {
                "format": FORMAT,
                "parent": self.parent,
                "name": self.name,
                "dialect": self.dialect,
                "script": self.script,
                "network": self.network,
                "files": [[f.name, f.sha256, f.mode] for f in self.files],
                "secrets": {k: hashlib.sha256(v.reveal().encode()).hexdigest() for k, v in self.secrets.items()},
                "inputs": dict(self.inputs),
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; the secrets stand there by name alone."""
        return {
            "name": self.name,
            "title": self.title,
            "id": self.id,
            "parent": self.parent,
            "dialect": self.dialect,
            "network": self.network,
            "installs": self.installs,
            "packages": list(self.packages),
            "reboot": self.reboot,
            "timeout": self.timeout,
            "success": list(self.success),
            "script": self.script,
            "files": [
                {"name": f.name, "sha256": f.sha256, "mode": f"{f.mode:04o}"}
                | ({"source": str(f.source)} if f.source else {})
                | ({"urls": list(f.urls)} if f.urls else {})
                for f in self.files
            ],
            "secrets": sorted(self.secrets),
            "inputs": dict(self.inputs),
            "probes": [p.as_dict() for p in self.probes],
        }


def chained(steps: Iterable[Step], parent: str) -> Iterator[Step]:
    """The steps in their order, each the parent of the next. parent: the id of what the first stands on."""
    for step in steps:
        found = step.chained(parent)
        parent = found.id
        yield found


@dataclass(frozen=True)
class Part:
    """A backend's own share of a plan.

    packages: its steps that install packages, and whatever does not depend on what people edit daily; they come right
    after the recipe's own packages. steps: its other steps, after all that is edited daily. build_recipe: path -> text.
    without: names of shared steps' probes that do not hold in this backend's machines; `probes` may ask instead.
    """

    packages: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    build_recipe: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """The base, the ordered steps (each with its id) and the backend's own build recipe.

    name: the recipe's vm_id, safe as a file name. os: as "debian-12". arch: "amd64".
    epoch: SOURCE_DATE_EPOCH, seconds: no file of the artifact is younger.
    build_recipe: path -> text of the backend's own files (lxc: "config", "metadata.yaml").
    skipped: programs asked for that this distribution lacks: (section, program, reason).
    offline: no step reaches the network, whatever it asks for. No id depends on it.
    """

    name: str
    recipe_path: str
    recipe_digest: str
    backend: str
    os: str
    arch: str
    epoch: int
    base: Base
    steps: tuple[Step, ...]
    build_recipe: Mapping[str, str]
    mirror: str | None = None
    skipped: tuple[tuple[str, str, str], ...] = ()
    probes: tuple[Probe, ...] = ()
    offline: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError where its name, its backend's or one of the build recipe is no plain file name."""
        for name in (self.name, self.backend, *self.build_recipe):
            require_file_name(name, "a plan's")

    @cached_property
    def system(self) -> System:
        """What it makes a machine of."""
        return parse_system(f"{self.os}-{self.arch}")

    @property
    def stages(self) -> tuple[Base | Step, ...]:
        """What has a layer each, in order: the base, then the steps."""
        return (self.base, *self.steps)

    @property
    def last_id(self) -> str:
        return self.stages[-1].id

    @cached_property
    def id(self) -> str:
        """Hash of all that the artifact depends on."""
        return digest_of(
            {
                "last": self.last_id,
                "backend": self.backend,
                "name": self.name,
                "epoch": self.epoch,
                "build_recipe": dict(self.build_recipe),
            }
        )

    def reaches(self, step: Step) -> bool:
        """Whether the guest reaches the outside while the step runs."""
        return step.network and not self.offline

    @property
    def private(self) -> bool:
        """Whether the artifact holds what is not for everybody: the hash of a password, or a private file."""
        return any(step.secrets or any(file.private for file in step.files) for step in self.steps)

    def all_probes(self) -> tuple[Probe, ...]:
        return tuple(p for s in self.steps for p in s.probes) + self.probes

    def private_probes(self) -> tuple[Probe, ...]:
        """As all_probes, but a password's asks for the very hash. To be asked from memory alone, and never written."""
        private = {p.name: p for s in self.steps for p in s.private_probes}
        return tuple(private.get(p.name, p) for p in self.all_probes())

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "id": self.id,
            "name": self.name,
            "recipe": {"path": self.recipe_path, "sha256": self.recipe_digest},
            "backend": self.backend,
            "os": self.os,
            "arch": self.arch,
            "epoch": self.epoch,
            "mirror": self.mirror and without_passwords(self.mirror),
            "base": self.base.as_dict(),
            "steps": [s.as_dict() for s in self.steps],
            "build_recipe": dict(self.build_recipe),
            "probes": [p.as_dict() for p in self.probes],
            "skipped": [{"section": s, "program": p, "reason": r} for s, p, r in self.skipped],
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
