"""A recipe's own programs: the files that [config] catalogue names, each checked like a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate

from vmgen_build.catalogue.catalogue import Catalogue, normal
from vmgen_build.catalogue.entries import Entry
from vmgen_build.catalogue.options import PROGRAM_NAME, wrong_option, wrong_value
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.problems import IGNORED, Problems, did_you_mean, place, plain, shown
from vmgen_build.recipe.profiles import Sources

_OPTION = "[config] catalogue"
_LINES = frozenset({"debconf", "setup", "missing", "notes", "idle", "machine", "repository", "fingerprint"}) | {
    "source_options",
    "source_script",
}
"""Options that are a text; a comma in it is not between words."""


def with_own_programs(known: Catalogue, root: IniSection, sources: Sources) -> Catalogue:
    """The catalogue with what the recipe's own files add. Every problem in them is reported; what is wrong is left
    out."""
    config = root.sections.get("config")
    value = config.values.get("catalogue") if config else None
    if value is None or value.broken:
        return known
    return _Reading(known, sources.problems).catalogue(_roots(value, sources))


def _roots(value: Value, sources: Sources) -> list[IniSection]:
    found = (sources.programs(value, name, _OPTION) for name in dict.fromkeys(filter(None, value.items)))
    return [root for root in found if root is not None]


class _Reading:
    """known: without the recipe's own."""

    def __init__(self, known: Catalogue, problems: Problems) -> None:
        self.known, self.problems = known, problems

    def catalogue(self, roots: list[IniSection]) -> Catalogue:
        sections = [section for root in roots for section in self.sections(root)]
        found = self.known.with_entries([self.entry(section) for section in sections])
        for section in sections:
            self.check_names(section, found)
        return found

    def sections(self, root: IniSection) -> Iterator[IniSection]:
        """Those that can be programs."""
        for value in root.values.values():
            text = f"stands outside any program{IGNORED}; write the program's name above it, as [name]"
            self.problems.warn(value.key_where, place((), value.key), text, "unknown-option")
        for section in root.sections.values():
            for child in section.sections.values():
                text = f"is no part of a program{IGNORED}"
                self.problems.warn(child.where, place((section.name, child.name)), text, "unknown-section")
            if not PROGRAM_NAME.fullmatch(section.name):
                text = f"{shown(section.name)} is no program's name; write letters, digits, + . _ and -"
                self.problems.error(section.where, place((section.name,)), text, "value")
            elif self.is_own(section):
                yield section

    def is_own(self, section: IniSection) -> bool:
        """Whether its name does not mean a program of another name already; that is reported."""
        found = self.known.names.get(normal(section.name), section.name)
        if found == section.name:
            return True
        text = f"is another name of '{found}'; write [{found}] to change it, or call the program otherwise"
        self.problems.error(section.where, place((section.name,)), text, "value")
        return False

    def entry(self, section: IniSection) -> Entry:
        options = {value.key: _words(value) for value in section.values.values() if self.is_right(section, value)}
        category = options.pop("section", "devel")
        return Entry(section.name, category, options)

    def is_right(self, section: IniSection, value: Value) -> bool:
        if value.broken:
            return False
        path = place((section.name,), value.key)
        option, _, _ = value.key.partition(".")
        wrong = wrong_option(value.key)
        if wrong.startswith("is not an option"):
            text = wrong.replace("program", f"program{IGNORED}", 1)
            self.problems.warn(value.key_where, path, text, "unknown-option")
            return False
        wrong = wrong or (f"is empty; write {option} = -" if not value.text else wrong_value(value.key, _words(value)))
        if wrong:
            self.problems.error(value.where, path, wrong, "value")
        return not wrong

    def check_names(self, section: IniSection, found: Catalogue) -> None:
        """What it says of other programs, and whether it says enough of itself."""
        entry = found.entries[section.name]
        for value in section.values.values():
            option = value.key.partition(".")[0]
            if option == "aliases":
                self.check_aliases(section, value, found)
            if option in ("choices", "conflicts", "needs", "source_wants"):
                for word in entry.options.get(value.key, "").split():
                    if word not in found.entries:
                        path = place((section.name,), value.key)
                        self.problems.error(value.where, path, partial(_unknown, word, found), "value")
        if not any(entry.says(option) for option in ("packages", "choices", "missing", "source")):
            text = "names no packages; write packages = NAME, or packages.debian-12 = NAME"
            self.problems.error(section.where, place((section.name,)), text, "missing")
        for key in entry.options:
            self.check_repository(section, found, key)
            self.check_source(section, entry, key)

    def check_source(self, section: IniSection, entry: Entry, key: str) -> None:
        """What is downloaded is known by its sum, and built by what is named: neither can be guessed. What is said for
        linux, or for debian, is said for linux-amd64, or for debian-12, too."""
        option, dot, system = key.partition(".")
        if option != "source" or key not in section.values or entry.options[key] == "-":
            return
        wider = {"", *accumulate(system.split("-"), "{}-{}".format)}
        named = {name.partition(".")[0] for name in entry.options if name.partition(".")[2] in wider}
        for needed, instead in (("source_sha256", ""), ("source_build", "source_script")):
            if not named & {needed, instead}:
                text = f"has no {needed}; write {needed}{dot}{system} = … beside it"
                self.problems.error(section.values[key].where, place((section.name,), key), text, "missing")

    def check_aliases(self, section: IniSection, value: Value, found: Catalogue) -> None:
        for word in found.entries[section.name].words("aliases"):
            meaning = found.names[normal(word)]
            if meaning != section.name:
                text = f"{shown(word)} means '{meaning}' already; leave it out"
                self.problems.error(value.where, place((section.name,), value.key), text, "value")

    def check_repository(self, section: IniSection, found: Catalogue, key: str) -> None:
        """A repository without a key that is known by its fingerprint is none that can be trusted."""
        option, dot, system = key.partition(".")
        if option != "repository" or key not in section.values:
            return
        value = section.values[key]
        if PROGRAM_NAME.fullmatch(value.text) and value.text not in found.entries:
            path = place((section.name,), key)
            self.problems.error(value.where, path, partial(_unknown, value.text, found), "value")
        if not value.text.startswith("deb ") and "://" not in value.text:
            return
        for needed in ("key", "fingerprint"):
            options = found.entries[section.name].options
            if f"{needed}{dot}{system}" not in options and needed not in options:
                text = f"has no {needed}; write {needed}{dot}{system} = … for what signs it"
                self.problems.error(value.where, place((section.name,), key), text, "missing")


def _words(value: Value) -> str:
    """The value as a file of the catalogue has it: words with blanks between."""
    if value.key.partition(".")[0] in _LINES or value.quoted:
        return value.text
    return " ".join(value.items)


def _unknown(word: str, found: Catalogue) -> str:
    return f"there is no program '{plain(word)}'{did_you_mean(word, found.entries)}"
