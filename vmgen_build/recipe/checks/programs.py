"""Programs that the catalogue or the system lacks, and values that they do not take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vmgen_build.catalogue.catalogue import Catalogue
from vmgen_build.catalogue.programs import Program, Unavailable
from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import SKIPPED, Problems, nearest, place, plain
from vmgen_build.recipe.schema import recipe_sections, spec
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.systems.model import System

_CODE = "skipped-program"
_LONGEST_REASON = 300


def check(draft: Draft, problems: Problems) -> None:
    wishes = [wish for wish in draft.wishes if not _wrong_value(wish, draft.catalogue, problems)]
    system = draft.system
    if system is None:
        return
    known = draft.catalogue.known_names()
    asked = _asked(draft, system)
    for wish in wishes:
        if problems.full(_CODE) and wish.name not in known:
            problems.warn(wish.where, "", "", _CODE)
            continue
        found = draft.catalogue.resolve(wish.name, wish.choice, system)
        if isinstance(found, Unavailable):
            path = place((wish.section,), wish.name)
            problems.warn(wish.where, path, partial(_skipped, found, wish.section, draft.catalogue), _CODE)
        else:
            _needs(wish, found, draft.catalogue, asked, problems)
    _allowed(draft, system, problems)


def _asked(draft: Draft, system: System) -> frozenset[str]:
    """Names of the programs that the recipe asks for, by a line of their own or by a package."""
    known = draft.catalogue.known_names()
    found = (draft.catalogue.resolve(w.name, w.choice, system) for w in draft.wishes if w.name in known)
    packages = (draft.catalogue.find(name) for name in draft.config.packages)
    return frozenset([p.name for p in found if isinstance(p, Program)] + [entry.name for entry in packages if entry])


def _needs(wish: Wish, program: Program, catalogue: Catalogue, asked: frozenset[str], problems: Problems) -> None:
    """A program that wants another beside it, as one with windows wants a desktop."""
    for name in program.needs:
        needed = catalogue.entries.get(name)
        if needed and not asked & {name, *needed.words("choices")}:
            text = (
                f"wants '{name}' beside it, which the recipe does not ask for; write {name} = 1 in [{needed.category}]"
            )
            problems.warn(wish.where, place((wish.section,), wish.name), text, "needs-program")


def _wrong_value(wish: Wish, catalogue: Catalogue, problems: Problems) -> bool:
    """Whether a known program has a value that is neither yes, no nor one of its choices; that is reported."""
    wrong = catalogue.wrong_choice(wish.name, wish.choice) if wish.choice is not None else None
    if wrong is None:
        return False
    path = place((wish.section,), wish.name)
    problems.error(wish.choice_where, path, _text(wrong.reason, "", wrong.near), "value")
    return True


def _skipped(found: Unavailable, section: str, catalogue: Catalogue) -> str:
    """The catalogue's reason, and what is near: an option of the section (where there is one), or a program."""
    option = None
    if section and found.name not in catalogue.known_names():
        option = nearest(found.name, spec(recipe_sections()[section].cls).option_names())
    return _text(found.reason, SKIPPED, [option] if option else found.near)


def _text(reason: str, result: str, near: Sequence[str]) -> str:
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"{plain(reason, _LONGEST_REASON)}{result}{hint}"


def _allowed(draft: Draft, system: System, problems: Problems) -> None:
    """[network] allowed_programs: what has no known port opens nothing."""
    for name in draft.network.allowed_programs:
        where = draft.network.at(f"allowed_programs={name}")
        found = draft.catalogue.resolve(name, None, system)
        path = "[network] allowed_programs"
        if isinstance(found, Unavailable):
            problems.warn(where, path, partial(_skipped, found, "", draft.catalogue), _CODE)
        elif not found.ports:
            text = f"no port of '{name}' is known, so none is opened; name its ports in [[open_ports]]"
            problems.warn(where, path, text, "no-port")
    _ssh(draft, system, problems)


def _ssh(draft: Draft, system: System, problems: Problems) -> None:
    """sshd asked for, and the firewall shuts it off."""
    network = draft.network
    if not (network.open_ports or network.allowed_programs) or network.firewall_rules:
        return
    if network.faulty & {"allowed_programs"} or any(p.faulty for p in network.open_ports.values()):
        return
    opened = [port.port for port in network.open_ports.values() if port.proto != "udp"]
    for name in network.allowed_programs:
        program = draft.catalogue.resolve(name, None, system)
        if isinstance(program, Program):
            opened += [(port.number, port.number) for port in program.ports]
    if any(first <= 22 <= last for first, last in opened):
        return
    if where := asks_for("sshd", draft):
        text = "the firewall leaves port 22 closed, so nobody can log in; add it to [network] [[open_ports]]"
        problems.warn(where[0], where[1], text, "ssh-closed")


def asks_for(name: str, draft: Draft) -> tuple[Position, str] | None:
    """Where the recipe asks for a program, by its line and its option; None where it does not."""
    known = draft.catalogue.known_names()
    if draft.system is None:
        return None
    for wish in draft.wishes:
        found = draft.catalogue.resolve(wish.name, wish.choice, draft.system) if wish.name in known else None
        if isinstance(found, Program) and found.name == name:
            return wish.where, place((wish.section,), wish.name)
    return None
