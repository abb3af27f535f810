"""What differs between two sides. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmgen_build.artifacts.contents import FileEntry
from vmgen_build.build.sides import RECIPE, Side
from vmgen_build.recipe.flat import Value
from vmgen_build.secret import Secret
from vmgen_build.text import size

GROUPS = ("image", "settings", "packages", "configuration", "steps", "files", "file")

HIDDEN = "(secret)"


@dataclass(frozen=True, slots=True)
class Difference:
    """group: one of GROUPS. sign: "+" for what B alone has, "-" for what A alone has, "~" for what is another there.
    old, new: of A and of B, "" for nothing. lines: of a text, as diff(1) -u has them, without context."""

    group: str
    sign: str
    name: str
    old: str = ""
    new: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """notes: what could not be compared, and why."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    def of(self, group: str) -> tuple[Difference, ...]:
        return tuple(one for one in self.differences if one.group == group)


def compare(a: Side, b: Side) -> Compared:
    if a.file is not None and a.file == b.file and a.what == b.what:
        return Compared(())
    found = [*_values("image", *_both(a.image, b.image))]
    found += _values("settings", a.settings, b.settings) if a.settings is not None and b.settings is not None else ()
    found += _packages(a, b)
    found += _texts(a, b)
    found += _steps(a.steps, b.steps)
    found += _files(a.files, b.files) if a.files is not None and b.files is not None else ()
    found += _file(a, b)
    return Compared(tuple(found), tuple(_notes(a, b)))


def _notes(a: Side, b: Side) -> Iterator[str]:
    for side in (a, b):
        yield from side.unread
    if (a.settings is None) != (b.settings is None):
        lacking = a if a.settings is None else b
        yield f"settings are not compared: {lacking.path.name} has no manifest that tells them"
    if (a.packages is None) != (b.packages is None):
        lacking = a if a.packages is None else b
        yield f"packages are not compared: nothing is known of those of {lacking.path.name}"
    elif a.packages is not None and (a.what == RECIPE) != (b.what == RECIPE):
        yield "of packages only those are compared that the recipe asks for by name"


def _both(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What is known of both: nothing follows from what only one of them tells."""
    names = [name for name in a if name in b]
    return {name: a[name] for name in names}, {name: b[name] for name in names}


def _values(group: str, a: Mapping[str, Value], b: Mapping[str, Value]) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        old, new = a.get(name), b.get(name)
        if old != new:
            sign = "~" if old is not None and new is not None else "-"
            yield Difference(group, "+" if old is None else sign, name, _shown(old), _shown(new))


def _shown(value: Value | None) -> str:
    if value is None:
        return ""
    return HIDDEN if isinstance(value, Secret) else value


def _packages(a: Side, b: Side) -> Iterator[Difference]:
    """A recipe names what it asks for, without what that needs and without versions."""
    if a.packages is None or b.packages is None:
        return
    if (a.what == RECIPE) == (b.what == RECIPE):
        yield from _versions(a.packages, b.packages)
        return
    asked, listed = (a.packages, b.packages) if a.what == RECIPE else (b.packages, a.packages)
    there = {name for name, _ in listed}
    for name, _ in asked:
        if name not in there and a.what == RECIPE:
            yield Difference("packages", "-", name, old="asked for")
        elif name not in there:
            yield Difference("packages", "+", name, new="asked for")


def _versions(a: Mapping[tuple[str, str], str], b: Mapping[tuple[str, str], str]) -> Iterator[Difference]:
    for key in sorted({*a, *b}):
        old, new = a.get(key), b.get(key)
        if old != new:
            sign = "~" if old is not None and new is not None else "-"
            yield Difference(
                "packages", "+" if old is None else sign, ":".join(filter(None, key)), old or "", new or ""
            )


def _texts(a: Side, b: Side) -> Iterator[Difference]:
    """The backend's own files, where both are of the same backend."""
    if a.image.get("backend") != b.image.get("backend"):
        return
    for name in [name for name in a.texts if name in b.texts]:
        if a.texts[name] != b.texts[name]:
            lines = list(difflib.unified_diff(a.texts[name].splitlines(), b.texts[name].splitlines(), lineterm="", n=0))
            kept = tuple(line for line in lines[2:] if not line.startswith("@@"))
            yield Difference("configuration", "~", name, lines=kept)


def _steps(a: Mapping[str, str] | None, b: Mapping[str, str] | None) -> Iterator[Difference]:
    """All steps behind one that differs have other ids too: of those that both have the first is named."""
    if a is None or b is None:
        return
    first = next((title for title in a if title in b and a[title] != b[title]), None)
    for title in dict.fromkeys((*a, *b)):
        if title not in b:
            yield Difference("steps", "-", title)
        elif title not in a:
            yield Difference("steps", "+", title)
        elif title == first:
            yield Difference("steps", "~", title, a[title][:12], b[title][:12])


def _files(a: Mapping[str, FileEntry], b: Mapping[str, FileEntry]) -> Iterator[Difference]:
    for path in sorted({*a, *b}):
        old, new = a.get(path), b.get(path)
        if old is None and new is not None:
            yield Difference("files", "+", path, "", _brief(new))
        elif new is None and old is not None:
            yield Difference("files", "-", path, _brief(old), "")
        elif old is not None and new is not None and old != new:
            changes = list(_changes(old, new))
            was, there = (", ".join(change[side] for change in changes) for side in (0, 1))
            yield Difference("files", "~", path, was, there)


def _brief(entry: FileEntry) -> str:
    return size(entry.size) if entry.kind == "file" else entry.kind


def _changes(old: FileEntry, new: FileEntry) -> Iterator[tuple[str, str]]:
    """Of each thing that differs how it was and how it is."""
    if old.kind != new.kind:
        yield old.kind, new.kind
    if old.mode != new.mode:
        yield f"mode {old.mode:04o}", f"mode {new.mode:04o}"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield f"owner {old.uid}:{old.gid}", f"owner {new.uid}:{new.gid}"
    if old.target != new.target:
        yield f"-> {old.target}", f"-> {new.target}"
    if (old.size, old.sha256) != (new.size, new.sha256):
        yield _content(old), _content(new)


def _content(entry: FileEntry) -> str:
    return f"{size(entry.size)}, sha256 {entry.sha256[:12]}" if entry.sha256 else size(entry.size)


def _file(a: Side, b: Side) -> Iterator[Difference]:
    if a.file is None or b.file is None or a.file == b.file:
        return
    yield Difference("file", "~", "size", f"{a.file[0]:,} B", f"{b.file[0]:,} B")
    yield Difference("file", "~", "sha256", a.file[1][:16], b.file[1][:16])
