"""What a build is asked to do, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.manifest import StepRecord
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, formats_of
from vmgen_build.bases.imageserver import DEFAULT_URL
from vmgen_build.bases.ostemplate import DEFAULT_CHOICE, OsTemplateChoice
from vmgen_build.guests.vsphere.placement import ANYWHERE, Placement
from vmgen_build.host.files import Written
from vmgen_build.host.tls import SYSTEM, Trust
from vmgen_build.store.layers import Store


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """formats: each backend makes those of them that it has; without any, its default.
    on_error: "clean", "keep" (leave the container of the failed step) or "shell" (open one in it first).
    templates: the folder of Jinja templates that stand for the shipped ones.
    ostemplate: the OS template that a container starts from. image_server: address of the one that is asked for bases.
    host: where the plan runs, as build.places.registry takes it; "" is in namespaces of this host.
    trust: how a server that host names is known, where TLS leads to it. placement: where on it machines go.
    keep_as: what the finished machine is kept as on that server, as vsphere.goal takes it; "" for not at all.
    sign: the keys that sign what was made, as build.signers.table.signer_for takes them.
    sbom: formats of lists of what an artifact holds, that are written beside it (build.sbom.table.SBOMS); provenance:
    whether how it was made is, too.
    build_address: of the node's container while the plan runs; "" for the recipe's own.
    shared_cache: the cache may be one that others can change; its layers are checked before they are used."""

    cache: Path
    output: Path = Path("output")
    backends: tuple[str, ...] = ("lxc",)
    use_cache: bool = True
    compression: str = "zstd"
    formats: tuple[str, ...] = ()
    on_error: str = "clean"
    offline: bool = False
    templates: Path | None = None
    sets: tuple[str, ...] = ()
    strict: bool = False
    ostemplate: OsTemplateChoice = DEFAULT_CHOICE
    image_server: str = DEFAULT_URL
    host: str = ""
    accept_new_host_key: bool = False
    trust: Trust = SYSTEM
    placement: Placement = ANYWHERE
    keep_as: str = ""
    build_address: str = ""
    sign: tuple[str, ...] = ()
    sbom: tuple[str, ...] = ()
    provenance: bool = False
    shared_cache: bool = False

    def store(self) -> Store:
        return Store(self.cache, shared=self.shared_cache)

    def packings(self, backend: str) -> tuple[PackOptions, ...]:
        """In the order in which the formats were named."""
        made = [one.name for one in formats_of(backend_named(backend))]
        names = [name for name in dict.fromkeys(self.formats) if name in made] if self.formats else made[:1]
        return tuple(PackOptions(self.compression, name) for name in names)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """One backend's result. name: of the machine. artifacts: the files of all formats. manifests: one for each format.
    described: what else lies beside them and says what they are.
    steps: what was done for each of the plan's stages. unchanged: all of it was there already, and nothing is in
    `steps`. skipped: programs that were left out: section, name, why. uses: commands for using what came out."""

    name: str
    backend: str
    artifacts: tuple[Written, ...]
    manifests: tuple[Path, ...]
    seconds: float
    steps: tuple[StepRecord, ...] = ()
    unchanged: bool = False
    skipped: tuple[tuple[str, str, str], ...] = ()
    described: tuple[Path, ...] = ()
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepState:
    """A step of a plan, and whether its layer is there."""

    backend: str
    step: str
    title: str
    id: str
    cached: bool
