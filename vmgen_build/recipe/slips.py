"""Sections that stand at the wrong depth: two slips of the thesis's own samples, mended with a warning.

One level too high: `[[user0]]` after `[[users]]` instead of `[[[user0]]]` in it. At its parent's level:
`[[[partitions]]]` beside `[[[hdd0]]]` instead of `[[[[partitions]]]]` in it.
"""

from __future__ import annotations

from vmgen_build.recipe.ini import IniSection
from vmgen_build.recipe.problems import Problems, place
from vmgen_build.recipe.schema import Section, recipe_sections, spec


def mend(root: IniSection, problems: Problems) -> None:
    """Move what stands wrong to where it belongs, in place."""
    previous: tuple[IniSection, type[Section]] | None = None
    for child in list(root.sections.values()):
        registered = recipe_sections().get(child.name)
        if registered is not None:
            previous = (child, registered.cls)
        elif previous and _is_part(child, previous[1]) and child.name not in previous[0].sections:
            _move(child, root, previous[0], (), problems)
    for name, registered in recipe_sections().items():
        if name in root.sections:
            _mend_section(root.sections[name], registered.cls, (name,), problems)


def _mend_section(section: IniSection, cls: type[Section], path: tuple[str, ...], problems: Problems) -> None:
    """Within a section of a class: what follows a container of named sections and fits it goes into it."""
    table = spec(cls)
    container: IniSection | None = None
    for child in list(section.sections.values()):
        if child.name in table.sections():
            container = child if child.name in table.named else None
        elif (
            container is not None
            and child.name not in container.sections
            and _fits(child, table.named[container.name][1].cls)
        ):
            _move(child, section, container, path, problems)
    for name, (_, nested) in table.named.items():
        if name in section.sections:
            _mend_container(section.sections[name], nested.cls, (*path, name), problems)


def _mend_container(container: IniSection, cls: type[Section], path: tuple[str, ...], problems: Problems) -> None:
    """Within a container: a part of the section before it goes into that one."""
    previous: IniSection | None = None
    for child in list(container.sections.values()):
        if previous is not None and _is_part(child, cls) and child.name not in previous.sections:
            _move(child, container, previous, path, problems)
        else:
            previous = child
    for child in container.sections.values():
        _mend_section(child, cls, (*path, child.name), problems)


def _fits(section: IniSection, cls: type[Section]) -> bool:
    """Whether a section's options and subsections are all ones of the class, and there is any."""
    table = spec(cls)
    has = section.values.keys() | section.sections.keys()
    return bool(has) and section.values.keys() <= table.option_names() and section.sections.keys() <= table.sections()


def _is_part(section: IniSection, cls: type[Section]) -> bool:
    """Whether a section is one of the class's own subsections by its name, and does not read as a `cls` itself."""
    table = spec(cls)
    return section.name in table.free or (section.name in table.named and not section.values)


def _move(child: IniSection, parent: IniSection, to: IniSection, path: tuple[str, ...], problems: Problems) -> None:
    right = "[" * (to.depth + 1) + child.name + "]" * (to.depth + 1)
    target = place((*path, to.name, child.name))
    text = f"stands one level too high and is taken as {target}; write {right}"
    problems.warn(child.where, place((*path, child.name)), text, "slip")
    del parent.sections[child.name]
    to.sections[child.name] = child
    child.depth = to.depth + 1
