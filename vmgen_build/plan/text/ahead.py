"""Shipped templates that Jinja need not read: the code that it makes of each may be there (vmgen_build.ahead)."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import Environment, FileSystemLoader, Template

from vmgen_build.ahead import made_ahead
from vmgen_build.plan.text.environment import SETTINGS
from vmgen_build.plan.text.quote import Dialect


class ShippedFolder(FileSystemLoader):
    """Jinja loader of the tool's own templates, for one dialect."""

    def __init__(self, folder: Path, dialect: Dialect) -> None:
        super().__init__(folder)
        self._dialect = dialect

    def load(self, environment: Environment, name: str, globals: MutableMapping[str, Any] | None = None) -> Template:
        """Raises TemplateNotFound, TemplateSyntaxError. Errors of a template name its own file and line either way."""
        source, file, _ = self.get_source(environment, name)
        names = made_ahead(file, digest_of(source, self._dialect), environment=environment, __file__=file)
        if names is None:
            return super().load(environment, name, globals)
        return environment.template_class.from_module_dict(environment, names, {} if globals is None else globals)


def digest_of(source: str, dialect: Dialect) -> str:
    """Of all that the code of a template depends on."""
    guard = dialect.name if dialect.guarded else ""
    version = getattr(jinja2, "__version__", "")
    return hashlib.sha256(repr((source, guard, dialect.newline, version, SETTINGS)).encode()).hexdigest()
