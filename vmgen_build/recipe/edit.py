"""A recipe's file changed at single places: what is not named stays byte for byte.

Each change is proved before it counts: the new text is parsed, and must say what the old one said, but for the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import RecipeError, UsageError, VmgenError
from vmgen_build.limits import RECIPE_DEPTH
from vmgen_build.recipe import ini, slips
from vmgen_build.recipe.dotted import written_path
from vmgen_build.recipe.ini import Document, IniSection, Value
from vmgen_build.recipe.layout import Layout
from vmgen_build.recipe.outline import is_several, level_of, nearest_path
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.spans import OptionSpans
from vmgen_build.recipe.writing import meant_items, written_head, written_key, written_value


@dataclass(frozen=True, slots=True)
class Change:
    """names: of the sections and the option. value: the new one; None deletes the option, or the whole section."""

    names: tuple[str, ...]
    value: str | None

    @property
    def path(self) -> str:
        return written_path(self.names)


class NotSet(VmgenError):
    """A path that is asked for does not stand in the file."""


def read_document(text: str, file: str) -> Document:
    """The file's text and its sections, each where its recipe's checks see it. Raises RecipeError for wrong syntax."""
    problems = Problems(file)
    document = ini.parse(text, file, problems)
    if errors := problems.errors():
        raise RecipeError(errors)
    slips.mend(document.root, Problems(file))
    return document


def find(root: IniSection, names: Sequence[str]) -> Value | IniSection | None:
    """What stands at a path."""
    section: IniSection | None = root
    for name in names[:-1]:
        section = section.sections.get(name) if section else None
    if section is None:
        return None
    return section.values.get(names[-1]) or section.sections.get(names[-1])


def edited(text: str, file: str, changes: Sequence[Change]) -> str:
    """The text with these changes, made in order.

    Raises RecipeError where the text cannot be read, NotSet where nothing is there to delete, UsageError for a value
    or a name that no file can hold.
    """
    document = read_document(text, file)
    for change in changes:
        after = _changed(document, change)
        if after == document.text:
            continue
        new = _parsed_again(after, file, change)
        if _content(new.root) != _changed_content(document.root, change):
            raise _unclear(change)
        document = new
    return document.text


def _changed(document: Document, change: Change) -> str:
    try:
        return _deleted(document, change) if change.value is None else _put(document, change, change.value)
    except ValueError as error:
        raise UsageError(f"{change.path}: {error}") from None


def _parsed_again(text: str, file: str, change: Change) -> Document:
    try:
        return read_document(text, file)
    except RecipeError:
        raise _unclear(change) from None


def _unclear(change: Change) -> UsageError:
    return UsageError(
        f"{change.path}: the file's sections stand so that this change would move others; 'vmgen-build check' shows"
        " which stand wrong: put them right first"
    )


def _deleted(document: Document, change: Change) -> str:
    found = find(document.root, change.names)
    if found is None:
        near = nearest_path(change.names)
        hint = f"; did you mean {near}-?" if near else ""
        raise NotSet(f"{change.path} is not set, so there is nothing to delete{hint}")
    if isinstance(found, IniSection):
        spans = Layout(document).whole(found)
    else:
        spans = [found.spans.lines] if found.spans else []
    text = document.text
    kept, at = [], 0
    for span in sorted(spans):
        kept.append(text[at : max(at, span.start)])
        at = max(at, span.end)
    return "".join([*kept, text[at:]])


def _put(document: Document, change: Change, text: str) -> str:
    section, missing = _way(document.root, change)
    layout = Layout(document)
    several = is_several(change.names)
    old = section.values.get(change.names[-1]) if not missing else None
    if old is not None and old.spans:
        return _replaced(layout, old, old.spans, text, several)
    option = f"{written_key(change.names[-1])}{layout.divider(section)}{written_value(text, several)}".rstrip(" ")
    if not missing:
        at = layout.after_options(section)
        return _spliced(layout, at, [layout.indent(section) + option])
    return _with_sections(layout, section, missing, option, change)


def _way(root: IniSection, change: Change) -> tuple[IniSection, tuple[str, ...]]:
    """The deepest section of a path that is there, and the names of those that are not. Raises UsageError."""
    names = change.names
    if len(names) < 2:
        raise UsageError(f"{change.path} names no option; write SECTION.OPTION=VALUE")
    if len(names) > RECIPE_DEPTH.amount + 1:
        raise UsageError(f"{change.path} is too deep: {RECIPE_DEPTH.exceeded}")
    section = root
    for index, name in enumerate(names[:-1]):
        if name in section.values:
            path = written_path(names[: index + 1])
            raise UsageError(f"{path} is an option here and holds no others; delete it first, by {path}-")
        if name not in section.sections:
            return section, names[index:-1]
        section = section.sections[name]
    if names[-1] in section.sections:
        raise UsageError(
            f"{change.path} is a section here; set an option in it, as in {change.path}.NAME=VALUE, or delete it first,"
            f" by {change.path}-"
        )
    return section, ()


def _replaced(layout: Layout, old: Value, spans: OptionSpans, text: str, several: bool) -> str:
    if _says(old, text, several):
        return layout.text
    whole, start, end = layout.text, spans.value_start, spans.value_end
    quote = whole[start] if old.quoted and end > start else ""
    written = written_value(text, several, quote).replace("\n", layout.newline(spans.end))
    if not written and not spans.comment.of(whole):
        start = spans.key_end + whole[spans.key_end : start].index("=") + 1
    elif start == end and whole[start - 1] == "=" and whole[spans.key_end].isspace():
        written = f" {written}"
    if spans.comment.of(whole):
        written += _gap(whole[end : spans.comment_start], whole[start:end], written)
        end = spans.comment_start
    return whole[:start] + written + whole[end:]


def _says(value: Value, text: str, several: bool) -> bool:
    """Whether it says that already. A comma behind one item makes a list of it, for ConfigObj."""
    old, new = value.items if value.text else (), meant_items(text, several)
    if not several or len(new) != 1:
        return old == new and (several or value.text == text)
    return old == new and (not value.quoted and value.text.endswith(",")) == text.rstrip().endswith(",")


def _gap(gap: str, old: str, new: str) -> str:
    """What stands between a value and its comment, which keeps its column where it was set apart."""
    if len(gap) < 2 or gap.strip(" ") or "\n" in old + new:
        return gap or " "
    return " " * max(1, len(gap) + len(old) - len(new))


def _with_sections(layout: Layout, parent: IniSection, names: tuple[str, ...], option: str, change: Change) -> str:
    """The option in new sections, the first of which goes into `parent`."""
    depth = layout.depth(parent) + 1
    level = level_of(change.names[: -1 - len(names)])
    at, is_before = layout.place(parent, names[0], list(level.sections) if level else [])
    indent, lines = layout.head_indent(parent), []
    for index, name in enumerate(names):
        lines.append(indent + written_head(name, depth + index))
        indent += layout.step()
    lines.append(indent + option)
    if layout.is_spaced(depth):
        if is_before:
            lines.append("")
        elif not layout.is_blank_before(at):
            lines.insert(0, "")
    return _spliced(layout, at, lines)


def _spliced(layout: Layout, at: int, lines: Sequence[str]) -> str:
    """The text with these lines at the beginning of a line, or at its end."""
    text, newline = layout.text, layout.newline(at)
    new = [line.replace("\n", newline) for line in lines]
    if at and text[at - 1] != "\n":
        return text[:at] + "".join(newline + line for line in new) + text[at:]
    return text[:at] + "".join(line + newline for line in new) + text[at:]


Content = dict[str, Any]


def _content(section: IniSection) -> Content:
    """What a section says: an option as its text and items, a section as a dict."""
    found: Content = {key: (value.text, value.items) for key, value in section.values.items()}
    return found | {name: _content(child) for name, child in section.sections.items()}


def _changed_content(root: IniSection, change: Change) -> Content:
    whole = _content(root)
    section = whole
    for name in change.names[:-1]:
        section = section.setdefault(name, {})
    if change.value is None:
        del section[change.names[-1]]
    else:
        section[change.names[-1]] = _meant(change)
    return whole


def _meant(change: Change) -> tuple[str, tuple[str, ...]]:
    """As the written value is read."""
    several = is_several(change.names)
    problems = Problems("")
    value = ini.parse(f"k = {written_value(change.value or '', several)}", "", problems).root.values["k"]
    if problems.errors() or (value.items if value.text else ()) != meant_items(change.value or "", several):
        raise UsageError(f"{change.path}: this value cannot be written so that it is read back as it is")
    return value.text, value.items
