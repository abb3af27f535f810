"""A JSON Schema of the recipe, made from the section classes, for programs that write recipes.

Draft 2020-12: https://json-schema.org/draft/2020-12/json-schema-core. It describes a recipe as `vmgctl RECIPE -f json`
prints it.
"""

from __future__ import annotations

from typing import Any

from vmgen_build import __version__
from vmgen_build.recipe.outline import Leaf, Level, top

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DESCRIPTION = """\
A recipe as JSON, as 'vmgctl RECIPE -f json' prints it: a section is an object, an option a string as it stands in the \
INI file without its quotes, even where it is a number. Yes and no are "yes" and "no"; 1, true, on and 0, false, off \
mean the same. Words of an enum stand here in lower case; a recipe takes any case. An option that holds a list is an \
array of strings, or one string with commas between the items. An empty string means the default. A size is a number \
of MB, or has a unit: K, M, G, T. null stands for a password that was not printed. Subsections are objects by any name \
where additionalProperties describes them. In the sections devel, services, gui and network, other options are \
programs: "1", "0" or a choice. What one option alone does not tell, 'vmgen-build check' finds: addresses, files, what \
belongs together. A required option must stand in the recipe itself; one that a profile brings is missing here."""

Node = dict[str, Any]


def json_schema() -> Node:
    """The whole, as json.dumps takes it. Raises PluginError."""
    level = top()
    recipe = _object(level)
    needed = [name for name in level.sections if recipe["properties"][name].get("required")]
    return {
        "$schema": DIALECT,
        "title": f"A recipe of vmgen-build {__version__}",
        "description": _DESCRIPTION,
        **recipe,
        "required": needed,
    }


def _object(level: Level) -> Node:
    """A section. What may be an option or a section, as [network] nameservers, is either."""
    properties: Node = {name: _option(leaf) for name, leaf in level.options.items()}
    for name, below in level.sections.items():
        section = _object(below)
        properties[name] = {"anyOf": [properties[name], section]} if name in properties else section
    node: Node = {"type": "object"} | ({"description": level.doc} if level.doc else {})
    if properties:
        node["properties"] = properties
    if needed := [name for name, leaf in level.options.items() if leaf.required]:
        node["required"] = needed
    other = level.other_section or level.other_option
    if isinstance(other, Level):
        return node | {"additionalProperties": _object(other)}
    return node | {"additionalProperties": _program() if other == Leaf() else other is not None and _option(other)}


def _program() -> Node:
    return {"type": "string", "description": "A program: 1 asks for it, 0 does not, another value names the choice."}


def _option(leaf: Leaf) -> Node:
    one = _value(leaf)
    node: Node = {"description": f"{leaf.doc} Takes {leaf.type.takes}." if leaf.type else leaf.doc}
    node |= {"anyOf": [{"type": "array", "items": one}, one]} if leaf.several else one
    if leaf.default:
        node["default"] = leaf.default
    if leaf.example:
        node["examples"] = [leaf.example]
    return node | ({"writeOnly": True} if leaf.private else {})


def _value(leaf: Leaf) -> Node:
    """The text of one value; of an option that need not be there, an empty one too."""
    assert leaf.type is not None
    if words := leaf.type.choices:
        return {"type": "string", "enum": [*words, *leaf.type.spellings, *([] if leaf.required else [""])]}
    if pattern := leaf.type.pattern:
        return {"type": "string", "pattern": f"^({pattern}){'' if leaf.required else '?'}$"}
    return {"type": ["string", "null"] if leaf.private else "string"}
