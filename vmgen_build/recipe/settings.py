"""What a recipe's file says, path by path, with its secrets masked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from vmgen_build.recipe.dotted import written_path
from vmgen_build.recipe.edit import Change, NotSet, find, read_document
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.outline import Leaf, leaf_of, level_of, nearest_path, private_names
from vmgen_build.recipe.problems import nearest, plain
from vmgen_build.recipe.types.basic import FALSE, TRUE
from vmgen_build.recipe.types.secrets import is_public_key
from vmgen_build.text import without_passwords

MASK = "***"

Data = str | list[str] | None | dict[str, "Data"]
"""As JSON has it: a value as text, or as texts where its option takes a list; None for a secret that is not shown."""

_ELSEWHERE = re.compile(r"(?:env|file|keyring):\S")
_SUSPICIOUS = re.compile(r"pass|pwd|secret|token|key|hash", re.IGNORECASE)
_COMMENTED = re.compile(r"#.*?(?:pass|pwd|secret|token|key|hash)[^=]*=\s*(?=\S)", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """An option of a file. leaf: what it is; None where no recipe has it."""

    names: tuple[str, ...]
    value: Value
    leaf: Leaf | None

    @property
    def path(self) -> str:
        return written_path(self.names)

    @cached_property
    def private(self) -> bool:
        """Whether its text is a secret, and not the name of the place that holds one. What nobody knows may be a slip
        in the name of a password."""
        text, name = self.value.text, self.names[-1]
        if not text or _ELSEWHERE.match(text):
            return False
        if self.leaf is not None and self.leaf.type is not None:
            return self.leaf.private and not _is_public(text)
        if self.leaf is not None and text.lower() in TRUE | FALSE:
            return False
        return bool(_SUSPICIOUS.search(name) or nearest(name, private_names()))

    @property
    def masked(self) -> str:
        """Its text, without what is secret."""
        return MASK if self.private else without_passwords(self.value.text)

    def line(self, reveal: bool) -> str:
        """PATH = VALUE in one line, what cannot be printed escaped."""
        text = self.value.text if reveal else self.masked
        return f"{self.path} = {plain(text, len(text) + 1)}".rstrip()

    def data(self, reveal: bool) -> Data:
        """As JSON has it. What no recipe has is a list where it has several items."""
        if self.private and not reveal:
            return None
        several = self.leaf.several if self.leaf else len(self.value.items) > 1
        texts = self.value.items if several else (self.value.text,)
        shown = [text if reveal else without_passwords(text) for text in texts]
        return shown if several else shown[0]


def _is_public(text: str) -> bool:
    """Whether it is public keys alone; what should be one, and is not, may be a private one."""
    return all(is_public_key(line.strip()) for line in re.split("[,\n]", text) if line.strip())


def settings(section: IniSection, names: tuple[str, ...] = ()) -> Iterator[Setting]:
    """All options of a section and of those in it, in the file's order."""
    for key, value in section.values.items():
        yield Setting((*names, key), value, leaf_of((*names, key)))
    for name, child in section.sections.items():
        yield from settings(child, (*names, name))


def as_data(section: IniSection, reveal: bool, names: tuple[str, ...] = ()) -> dict[str, Data]:
    """A section as JSON has it: options and subsections by name."""
    found: dict[str, Data] = {}
    for key, value in section.values.items():
        found[key] = Setting((*names, key), value, leaf_of((*names, key))).data(reveal)
    for name, child in section.sections.items():
        found[name] = as_data(child, reveal, (*names, name))
    return found


def data_of(root: IniSection, paths: Sequence[tuple[str, ...]], file: str, reveal: bool) -> Data:
    """Of one path what stands there, of several by path, of none the whole file. Raises NotSet."""
    found: dict[str, Data] = {}
    for names in paths:
        one = asked(root, names, file)
        found[written_path(names)] = as_data(one, reveal, names) if isinstance(one, IniSection) else one.data(reveal)
    if not paths:
        return as_data(root, reveal)
    return found if len(paths) > 1 else next(iter(found.values()))


def asked(root: IniSection, names: tuple[str, ...], file: str) -> Setting | IniSection:
    """What stands at a path. Raises NotSet, its text saying what would."""
    found = find(root, names)
    if found is None:
        raise NotSet(f"{written_path(names)} is not set in {plain(file, 200)}{_instead(root, names)}")
    return Setting(names, found, leaf_of(names)) if isinstance(found, Value) else found


def _instead(root: IniSection, names: tuple[str, ...]) -> str:
    leaf = leaf_of(names)
    if leaf is not None and leaf.type is not None:
        return f"; its default is {leaf.default}" if leaf.default else ""
    if level_of(names) is not None and len(names) > 1:
        return ""
    near = nearest_path(names)
    return f"; did you mean {near}?" if near else "; without a path, all that it sets is listed"


def is_clear_secret(names: tuple[str, ...], text: str) -> bool:
    """Whether a value is a secret itself, and not the name of the place that holds one."""
    return Setting(names, Value(names[-1], text, (text,), "", 0), leaf_of(names)).private


def outcomes(old: str, new: str, changes: Sequence[Change], file: str) -> list[str]:
    """What came of each change, in a line."""
    before, after = read_document(old, file).root, read_document(new, file).root
    lines = []
    for names in dict.fromkeys(change.names for change in changes):
        was, value = find(before, names), find(after, names)
        if isinstance(value, Value):
            same = isinstance(was, Value) and (was.text, was.items) == (value.text, value.items)
            lines.append(Setting(names, value, leaf_of(names)).line(reveal=False) + (" (unchanged)" if same else ""))
        elif value is None:
            lines.append(f"{written_path(names)} is deleted")
    return lines


def difference(old: str, new: str, file: str) -> list[str]:
    """A unified diff without line ends, in which no secret stands."""
    before, after = _masked(old, file, lambda _: MASK), _masked(new, file, _marker(old, file))
    from difflib import unified_diff

    return [line.rstrip("\r\n") for line in unified_diff(before, after, file, f"{file} (edited)", n=3)]


def _marker(old: str, file: str) -> Callable[[Setting], str]:
    """The mask of a setting: another one where its value is another than before."""
    before = {each.names: each.value.text for each in settings(read_document(old, file).root)}
    return lambda each: MASK if before.get(each.names, each.value.text) == each.value.text else f"{MASK} (new)"


def _masked(text: str, file: str, mask: Callable[[Setting], str]) -> list[str]:
    """The text's lines with their ends."""
    document = read_document(text, file)
    changes = [
        (match.end() + span.start, span.end, MASK)
        for span in document.comments
        if (match := _COMMENTED.match(span.of(text)))
    ]
    for each in settings(document.root):
        spans = each.value.spans
        if each.private and spans:
            doubtful = each.value.cut and not each.value.cut[1:2].isspace()
            changes.append((spans.value_start, spans.written_end if doubtful else spans.value_end, mask(each)))
    parts, at = [], 0
    for start, end, masked in sorted(changes):
        parts += [text[at:start], masked]
        at = end
    return [without_passwords(line) for line in _lines("".join([*parts, text[at:]]))]


def _lines(text: str) -> Sequence[str]:
    return [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
