"""A recipe's file to a Recipe, with every problem in it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmgen_build.catalogue.catalogue import Catalogue, known_programs
from vmgen_build.errors import RecipeError
from vmgen_build.recipe import checks, tree
from vmgen_build.recipe.complete import with_addresses, with_drivers, with_macs
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.ownprograms import with_own_programs
from vmgen_build.recipe.problems import IGNORED, Problems, place
from vmgen_build.recipe.profiles import Sources
from vmgen_build.recipe.reader import Reader, Unknown
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.schema import Section, recipe_sections, spec
from vmgen_build.recipe.sections.config import Config
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.sections.network import Network
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.recipe.sections.users import Users
from vmgen_build.recipe.types.base import Context
from vmgen_build.recipe.types.basic import FALSE, TRUE
from vmgen_build.secret import Secret


def load(
    path: Path,
    sets: Sequence[str] = (),
    strict: bool = False,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Recipe:
    """Read and check a recipe.

    sets: "PATH=VALUE" settings laid over the file. strict: unknown options, sections and programs are errors.
    environ: where env:NAME secrets are looked up; the process's own by default, which they leave then.
    text: what stands in for the file's own, such as the edited one.
    Raises RecipeError with all problems.
    """
    file = str(path)
    problems = Problems(file, strict)
    sources = Sources(problems, texts={} if text is None else {file: text})
    root = sources.read(path, file)
    for setting in sets:
        tree.set_option(root, setting, problems)
        sources.folders[f"--set {setting.partition('=')[0].strip()}"] = path.parent
    sources.take_in(root, path.parent, (path.resolve(),))
    known = known_programs()
    catalogue = with_own_programs(known, root, sources)
    if not sources.complete:
        raise RecipeError(problems.errors())
    context = Context(sources.folders, exposed=sources.exposed)
    if environ is not None:
        context.variable = _variables(environ)
    reader = Reader(problems, context, report_missing=not sources.lost)
    reader.digest.add_programs(catalogue.beyond(known))
    recipe = _Loader(root, problems, reader, catalogue).recipe(path)
    if errors := problems.errors():
        raise RecipeError(errors, problems.warnings())
    return recipe


def _variables(environ: Mapping[str, str]) -> Callable[[str], Secret | None]:
    return lambda name: Secret(environ[name]) if name in environ else None


class _Loader:
    def __init__(self, root: IniSection, problems: Problems, reader: Reader, catalogue: Catalogue) -> None:
        self.root, self.problems, self.reader, self.catalogue = root, problems, reader, catalogue
        self.wishes: list[Wish] = []

    def recipe(self, path: Path) -> Recipe:
        self._outside()
        read = {name: self._section(name) for name in recipe_sections()}
        hardware, network, users, config = (read.pop(name) for name in ("hardware", "network", "users", "config"))
        assert isinstance(hardware, Hardware) and isinstance(network, Network)
        assert isinstance(users, Users) and isinstance(config, Config)
        draft = checks.Draft(
            hardware=with_drivers(with_macs(hardware)),
            network=with_addresses(network, self.root, self.problems),
            users=users,
            config=config,
            wishes=tuple(self.wishes),
            catalogue=self.catalogue,
        )
        if self.reader.report_missing:
            checks.run(draft, self.problems)
        return Recipe(
            path=path,
            digest=self.reader.digest.hexdigest(),
            hardware=draft.hardware,
            network=draft.network,
            users=users,
            config=config,
            wishes=draft.wishes,
            catalogue=self.catalogue,
            others=read,
            warnings=self.problems.warnings(),
        )

    def _section(self, name: str) -> Section:
        registered = recipe_sections()[name]
        ini = self.root.sections.get(name) or IniSection(name, 1, self.root.file, 0)
        return self.reader.read(registered.cls, ini, (name,), self._wish(name) if registered.programs else None)

    def _wish(self, section: str) -> Unknown:
        def wish(value: Value) -> None:
            text = value.text.strip().lower()
            if value.broken or text in FALSE:
                return
            if not text:
                message = "is empty and asks for nothing; write 1 for the program, 0 for none"
                self.problems.warn(value.key_where, place((section,), value.key), message, "empty-program")
                return
            path = place((section,), value.key)
            if self.catalogue.is_known(value.key):
                self.reader.digest.add(path, value, None)
            else:
                self.reader.digest.add_place(path)
            choice = None if text in TRUE else value.text
            self.wishes.append(Wish(section, value.key, value.key_where, choice, value.where))

        return wish

    def _outside(self) -> None:
        """Options outside all sections, and sections that no recipe has."""
        names = list(recipe_sections())
        for value in self.root.values.values():
            if value.key in recipe_sections():
                text = f"is a section; write [{value.key}] on a line of its own"
                self.problems.error(value.key_where, value.key, text, "value")
                continue
            owners = [name for name in names if value.key in spec(recipe_sections()[name].cls).option_names()]
            hint = f"put it into [{owners[0]}]" if owners else "put it into a section"
            text = f"stands outside any section{IGNORED}; {hint}"
            self.problems.warn(value.key_where, place((), value.key), text, "unknown-option")
        for child in self.root.sections.values():
            if child.name not in recipe_sections():
                self.reader.unknown_section(child, (), set(names))
