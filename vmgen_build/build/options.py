"""What a build is asked to do, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmgen_build.bases.ostemplate import TemplateChoice
from vmgen_build.host.files import Written
from vmgen_build.plan.model import Plan


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """format: one that every backend has; "" is each one's default.
    on_error: "clean", "keep" (leave the container of the failed step) or "shell" (open one in it first).
    template: the OS template that a node's container is created from; None is what TemplateChoice has by default.
    host: where the plan runs, as guests.runners.parse_host takes it; "" is in this process's own namespaces.
    build_address: of the node's container while the plan runs; "" for the recipe's own."""

    output: Path
    cache: Path
    backends: tuple[str, ...] = ("lxc",)
    use_cache: bool = True
    compression: str = "zstd"
    format: str = ""
    on_error: str = "clean"
    offline: bool = False
    templates: Path | None = None
    sets: tuple[str, ...] = ()
    strict: bool = False
    template: TemplateChoice | None = None
    host: str = ""
    accept_new_host_key: bool = False
    build_address: str = ""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """One backend's result. unchanged: all of it was there already."""

    plan: Plan
    artifacts: tuple[Written, ...]
    manifest: Path
    seconds: float
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class StepState:
    """A step of a plan, and whether its layer is there."""

    backend: str
    step: str
    title: str
    id: str
    cached: bool
