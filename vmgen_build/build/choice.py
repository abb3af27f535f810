"""Which base a plan starts from, where it is made on this host: what the recipe names; else one of the family's own
packages, where its tool is there; else an image server's; else an OS template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.bases import ostemplate
from vmgen_build.bases.download import Patience
from vmgen_build.bases.fetched import WantedFile, WrongFile, fetch, kept, remember, remembered
from vmgen_build.bases.forms import disk_at, disk_form, file_of, placeholder, root_at
from vmgen_build.bases.imageserver import ImageServer, aliases_of, find_image
from vmgen_build.bases.ostemplate import DEFAULT_CHOICE, OsTemplateChoice
from vmgen_build.bases.supply import base_maker
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError, Problem, RecipeError, UsageError, VmgenError
from vmgen_build.events import Event
from vmgen_build.host.files import sha256_of
from vmgen_build.host.programs import find_program, missing
from vmgen_build.plan.bases import Image, OciImage, Root
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_base
from vmgen_build.recipe.recipe import Recipe

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """facts: with the root that the base is made of, where it is made of one. note: what a user may want to know of the
    choice; unknown: why it is not known before a download, as `Look.unknown`; "" for nothing."""

    facts: Facts
    note: str = ""
    unknown: str = ""


def choose_base(recipe: Recipe, facts: Facts, options: BuildOptions, emit: Emit | None) -> Chosen:
    """emit: takes what is to be known of downloads; None where nothing may be downloaded, and nothing changed.

    Raises RecipeError at the recipe's line for a base that cannot be the one, BuildError where there is none.
    """
    return _Choice(recipe, facts, options, emit).made()


def choose_machine(recipe: Recipe, facts: Facts, options: BuildOptions, emit: Emit | None) -> Chosen:
    """The same for a base that is a whole machine, which is started as it is: a disk image, or an OVA."""
    chosen = _Choice(recipe, facts, options, emit, whole=True).made()
    return replace(chosen, facts=replace(chosen.facts, started=True))


def os_template_choice(recipe: Recipe, options: BuildOptions) -> OsTemplateChoice:
    """That of the options, with the name, the sum and the key that the recipe gives. Raises UsageError where both name
    a base."""
    hardware = recipe.hardware
    if hardware.base is None:
        return options.ostemplate
    if options.ostemplate.name or (hardware.base.kind != "template" and options.ostemplate != DEFAULT_CHOICE):
        raise UsageError(
            f"--ostemplate: the recipe names its base itself ({hardware.at('base')}); leave one of both out"
        )
    if hardware.base.kind != "template":
        return options.ostemplate
    return replace(
        options.ostemplate,
        name=hardware.base.name,
        sha256=hardware.base_sha256 or options.ostemplate.sha256,
        keyring=hardware.base_key or options.ostemplate.keyring,
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    recipe: Recipe
    facts: Facts
    options: BuildOptions
    emit: Emit | None
    whole: bool = False

    def made(self) -> Chosen:
        source = self.recipe.hardware.base
        if self.recipe.hardware.os.needs is not None and not self.whole:
            return Chosen(replace(self.facts, source="" if source is None else str(source)))
        os_template = os_template_choice(self.recipe, self.options)
        if source is not None and source.kind == "file":
            return self._with(self._here(Path(source.name)), Path(source.name).name)
        if source is not None and source.kind == "url":
            hardware = self.recipe.hardware
            return self._fetched(WantedFile(source.name, hardware.base_sha256 or "", hardware.base_key), str(source))
        if source is not None and source.kind == "vm":
            raise self._refused("base", f"{source} is a machine of a vSphere server; add --host vsphere://SERVER")
        if source is not None and source.kind == "images":
            return self._image([source.name], str(source))
        if os_template != DEFAULT_CHOICE:
            return self._os_template(os_template)
        return self._by_default()

    def _by_default(self) -> Chosen:
        """What of the other ways serves first. Raises BuildError that names what was tried."""
        system, reasons = self.recipe.hardware.os, []
        if maker := base_maker(system):
            if find_program(maker[1].command) or self._is_kept():
                return Chosen(self.facts)
            reasons.append(str(missing([maker[1]])))
        for way in (self._image_of_the_system, self._os_template_of_the_system):
            try:
                chosen = way()
            except VmgenError as error:
                reasons.append(str(error))
            else:
                return replace(chosen, note=f"the base system comes from {chosen.facts.source}")
        lines = "\n".join(f"  - {reason}" for reason in reasons)
        raise BuildError(
            f"no base system of {system.name} for {system.arch} was found:\n{lines}\n"
            "name one in the recipe: [hardware] base = FILE, URL, images:ALIAS or template:NAME (docs/bases.md)"
        )

    def _is_kept(self) -> bool:
        base = make_base(self.recipe.hardware.os, self.facts, self.recipe.hardware.at("os"))
        return self.options.use_cache and self.options.store().holds(base.id)

    def _image_of_the_system(self) -> Chosen:
        aliases = aliases_of(self.recipe.hardware.os)
        return self._image(aliases, f"images:{aliases[0]}")

    def _image(self, aliases: Sequence[str], source: str) -> Chosen:
        """An alias is asked anew each time; offline, what it was the last time is taken."""
        hardware, cache = self.recipe.hardware, self.options.cache
        server = ImageServer(self.options.image_server, hardware.base_key)
        question = " ".join(("image", server.url, hardware.os.arch, *aliases, str(server.key or "")))
        try:
            wanted = remembered(question, cache) if self.options.offline else self._found(server, aliases)
        except BuildError as error:
            if self.emit is not None:
                raise
            return replace(self._unknown(Path("root.tar.xz"), "", f"{source} of {server.url}"), unknown=str(error))
        if self.emit is not None:
            remember(question, wanted, cache)
        if hardware.base_sha256 is not None:
            wanted = replace(wanted, sha256=hardware.base_sha256)
        return self._fetched(wanted, f"{source} of {server.url}")

    def _found(self, server: ImageServer, aliases: Sequence[str]) -> WantedFile:
        """A mere look does not wait long."""
        hardware = self.recipe.hardware
        patience = Patience() if self.emit is not None else Patience(connect=5, stall=10, tries=1, window=20)
        return find_image(server, aliases, hardware.os.arch, summed=hardware.base_sha256 is not None, patience=patience)

    def _os_template_of_the_system(self) -> Chosen:
        return self._os_template(self.options.ostemplate)

    def _os_template(self, choice: OsTemplateChoice) -> Chosen:
        name, cache = choice.name_for(self.recipe.hardware.os), self.options.cache
        source = f"template:{name}"
        if self.emit is not None:
            path = ostemplate.fetch(choice, name, cache, self.emit, offline=self.options.offline)
            return self._with(self._root(path, sha256_of(path)), source)
        there = ostemplate.kept(choice, name, cache)
        if there is not None:
            return self._with(self._root(there, sha256_of(there)), source)
        return self._unknown(Path(f"{name}.tar.gz"), choice.sha256.lower(), source)

    def _fetched(self, wanted: WantedFile, source: str) -> Chosen:
        if self.emit is None:
            found = kept(wanted, self.options.cache)
            if found is not None:
                return self._with(self._root(*found), source)
            return self._unknown(Path(wanted.name), wanted.sha256, source)
        try:
            path, digest = fetch(wanted, self.options.cache, self.emit, offline=self.options.offline)
        except WrongFile as wrong:
            text = f"{wanted.shown} {wrong}; it was not used"
            raise self._refused(self._checked_by(wanted), text) from wrong
        return self._with(self._root(path, digest), source)

    def _checked_by(self, wanted: WantedFile) -> str:
        """The recipe's option; its base, where the server's own list says what the file is."""
        if self.recipe.hardware.base_sha256 is not None:
            return "base_sha256"
        return "base" if wanted.key is None else "base_key"

    def _unknown(self, path: Path, digest: str, source: str) -> Chosen:
        """Of a file that is not here: where its digest is known, so is the base."""
        unknown = "" if digest else f"{source} is not downloaded yet"
        known = digest or "unknown"
        root = Image(path, disk_form(path), known) if self.whole else placeholder(path, known)
        return replace(self._with(root, source), unknown=unknown)

    def _with(self, root: Root, source: str) -> Chosen:
        return Chosen(replace(self.facts, root=root, source=source))

    def _here(self, path: Path) -> Root:
        hardware = self.recipe.hardware
        path = file_of(path)
        root = self._root(path, "")
        wanted = hardware.base_sha256
        if wanted is not None and root.sha256 != wanted:
            what = "its image's manifest" if isinstance(root, OciImage) and path.is_dir() else str(path)
            raise self._refused("base_sha256", f"{what} has the sha256 {root.sha256}; name the right file")
        return root

    def _root(self, path: Path, digest: str) -> Root:
        try:
            return disk_at(path, digest) if self.whole else root_at(path, self.recipe.hardware.os.arch, digest)
        except ValueError as error:
            raise self._refused("base", str(error)) from error
        except OSError as error:
            raise self._refused("base", f"{path} cannot be read: {error.strerror}") from error

    def _refused(self, option: str, text: str) -> RecipeError:
        hardware = self.recipe.hardware
        option = option if hardware.base is not None else "os"
        return RecipeError([Problem(hardware.at(option), f"[hardware] {option}", text, code="base")])
