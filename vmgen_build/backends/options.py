"""What a build is asked to do, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmgen_build.backends.base import Packed
from vmgen_build.plan.model import Plan


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """format: one that every backend has; "" is each one's default.
    on_error: "clean", "keep" (leave the container of the failed step) or "shell" (open one in it first)."""

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


@dataclass(frozen=True, slots=True)
class BuildResult:
    """One backend's result. unchanged: all of it was there already."""

    plan: Plan
    artifacts: tuple[Packed, ...]
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
