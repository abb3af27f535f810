"""One small thing of each kind that vmgen-build can be extended by, as a package of others has them."""

from __future__ import annotations

from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
TEMPLATES = Path(__file__).parent / "templates"
