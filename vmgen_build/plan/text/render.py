"""Templates to text: every value is quoted for the template's dialect, and nothing undefined gets through."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vmgen_build import resources
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.plan.text.quote import SH, Dialect, Trusted, Verbatim
from vmgen_build.plugins import folders

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

GROUP = folders("vmgen_build.templates")

SHEBANG = "#!/bin/sh\n"
DIRECTIVE = "# shellcheck disable=SC1003,SC1112,SC2016,SC2088 # quoted values are data\n"
"""Goes below the #! line where a value holds what shellcheck(1) takes for a slip: it cannot know that it is data."""

_FAILURES = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    SyntaxError,
)
"""What an expression of a template can end with, and Python's compiler for one that is nested too deep."""

_SLIPS = frozenset("$`\\~\u2018\u2019")


def override_folder(recipe_folder: Path, chosen: Path | None) -> Path | None:
    """Where a user's own templates stand: the chosen folder, else `templates/` beside the recipe, if there is one.

    Raises RecipeError for a link there, which came with the recipe and may lead anywhere.
    """
    if chosen is not None:
        return chosen
    beside = recipe_folder / "templates"
    if beside.is_symlink():
        text = "is a link, which is not followed; put a folder there, or name the link's target by --templates"
        raise _problem(str(beside), 0, text)
    return beside if beside.is_dir() else None


class Renderer:
    """Renders templates of one dialect, by the name that they have under templates/ ("linux/users.sh.j2").

    A template of the same name in the override folder stands for the shipped one; folders of others (an entry point of
    the group vmgen_build.templates) add to those. Templates are run in Jinja's sandbox: a recipe's folder brings no
    code into the process. Templates of steps know `step_folder`, where a running step finds
    its own things in the guest (systems.model.Family.step_folder). Raises RecipeError for a template that is missing,
    wrong, or gets a value that its dialect cannot carry.
    """

    def __init__(self, override: Path | None, dialect: Dialect = SH, step_folder: str = "") -> None:
        self.override = override
        self.dialect = dialect
        self.step_folder = step_folder
        self._odd = False

    def sh(self, template: str, /, **values: object) -> str:
        """A script, from a template file."""
        return self.render(template, **values)

    def has(self, template: str) -> bool:
        """Whether there is such a template, of the user's own or shipped."""
        from jinja2 import TemplateNotFound

        try:
            self._templates.get_source(self._environment, template)
        except TemplateNotFound:
            return False
        return True

    def fragment(self, template: str | Sequence[str], /, **values: object) -> Trusted:
        """Lines of a script, without the last one's end, that become a value of another template."""
        text = self.render(template, **values).removesuffix(self.dialect.newline)
        return Trusted(text) if self._odd else Verbatim(text)

    def render(self, template: str | Sequence[str], /, **values: object) -> str:
        """template: a name, or several, of which the first that is there counts."""
        from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

        try:
            self._odd = False
            names = [template] if isinstance(template, str) else list(template)
            text = self._environment.select_template(names).render(values)
            return text.replace(SHEBANG, SHEBANG + DIRECTIVE, 1) if self._odd and text.startswith(SHEBANG) else text
        except TemplateNotFound as error:
            raise _problem(str(error.name), 0, "there is no such template, of your own or shipped") from error
        except TemplateSyntaxError as error:
            raise _problem(error.filename or error.name or "", error.lineno, error.message or "syntax error") from error
        except (TemplateError, *_FAILURES) as error:
            self._blame(template if isinstance(template, str) else template[-1], error)

    def _blame(self, name: str, error: Exception) -> NoReturn:
        """Raise `error` anew at the template's line, which Jinja shows as a frame of the traceback."""
        from traceback import extract_tb

        frames = [f for f in extract_tb(error.__traceback__) if f.filename.endswith(".j2")]
        file, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else (name, 0)
        raise _problem(file, line, str(error)) from error

    @cached_property
    def _templates(self) -> BaseLoader:
        from jinja2 import ChoiceLoader, FileSystemLoader

        from vmgen_build.plan.text.ahead import ShippedFolder

        folders = (FileSystemLoader(folder) for folder in GROUP.every().values())
        return ChoiceLoader([*self._own, ShippedFolder(resources.templates_dir(), self.dialect), *folders])

    @property
    def _own(self) -> list[BaseLoader]:
        if self.override is None:
            return []
        from vmgen_build.plan.text.folder import ForeignFolder

        return [ForeignFolder(self.override)]

    @cached_property
    def _environment(self) -> Environment:
        from vmgen_build.plan.text.environment import environment_of

        environment = environment_of(self.dialect, self._finalize, self._templates)
        if self.step_folder:
            environment.globals["step_folder"] = self.step_folder
        return environment

    def _finalize(self, value: object) -> str:
        from jinja2 import Undefined

        if isinstance(value, Undefined):
            return str(value)
        text = self.dialect.quote(value)
        self._odd = self._odd or not (isinstance(value, Verbatim) or _SLIPS.isdisjoint(text))
        return text


def _problem(file: str, line: int, text: str) -> RecipeError:
    return RecipeError([Problem(Position(file, line), "template", text, code="template")])
