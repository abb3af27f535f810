"""Templates from the folder of a recipe of others: none comes from outside of it, by no link."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError

from vmgen_build.host.beneath import read_beneath
from vmgen_build.host.watching import note_read
from vmgen_build.limits import TEMPLATE

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)


class ForeignFolder(BaseLoader):
    """Jinja loader. A link in the folder is followed as if the folder were the root of all files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Raises TemplateNotFound, TemplateSyntaxError for what is there and cannot be read."""
        path = self._folder / template
        note_read(path)
        try:
            text = read_beneath(self._folder, template, TEMPLATE).decode()
        except UnicodeDecodeError as error:
            raise TemplateSyntaxError("it is not UTF-8 text", 0, template, str(path)) from error
        except OSError as error:
            if error.errno in _MISSING and not path.is_symlink() and not path.exists():
                raise TemplateNotFound(template) from error
            raise TemplateSyntaxError(f"it cannot be read: {error.strerror}", 0, template, str(path)) from error
        return text, str(path), lambda: True
