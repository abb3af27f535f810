"""The house: imports go down the rooms only, and no modules import each other in a circle, lazily or not. In each,
no module, function or list of parameters is too long, and no condition stands within another."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import vmgen_build

ROOMS = [
    "cli",
    "build",
    "backends",
    "boots",
    "guests",
    "bases",
    "store",
    "artifacts",
    "plan",
    "installers",
    "recipe",
    "catalogue",
    "systems",
    "host",
    "plugins",
    "ahead",
    "resources",
    "events",
    "secret",
    "jsontext",
    "limits",
    "filenames",
    "nearness",
    "text",
    "codes",
    "errors",
]
"""From the top to the bottom, as DESIGN and docs/how-it-works.md draw them; a room may import those behind it."""

PACKAGE = Path(vmgen_build.__file__).parent
MODULES = {
    ".".join(("vmgen_build", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


class WithoutTypes(ast.NodeTransformer):
    """Leaves out what stands under `if TYPE_CHECKING`."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if only_types else self.generic_visit(node)


def imported(module: str) -> set[str]:
    """The modules of ours that it imports, wherever the import stands, but for those that only types need."""
    found: set[str] = set()
    tree = WithoutTypes().visit(ast.parse(MODULES[module].read_text()))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def room(module: str) -> int:
    return ROOMS.index(module.split(".")[1])


def own() -> list[str]:
    return [module for module in MODULES if module not in ("vmgen_build", "vmgen_build.__main__")]


def test_imports_go_down_only() -> None:
    up = [f"{m} imports {i}" for m in own() for i in imported(m) - {"vmgen_build"} if room(i) < room(m)]
    assert up == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    packages = {m for m, path in MODULES.items() if path.name == "__init__.py"}
    graph = {m: imported(m) - packages - {m} for m in own() if m not in packages}
    assert tuple(TopologicalSorter(graph).static_order())


def test_the_rooms_are_those_that_there_are() -> None:
    assert {module.split(".")[1] for module in own()} == set(ROOMS)


STARTERS = ("host",)
"""Rooms that may import subprocess: programs of the host are started there."""


def nodes(module: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(MODULES[module].read_text())))


def starts_programs(module: str) -> bool:
    for node in nodes(module):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "subprocess" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "subprocess":
            return True
    return False


def test_programs_are_started_by_the_host_room_alone() -> None:
    rooms = {module.split(".")[1] for module in own() if starts_programs(module)}
    assert rooms == set(STARTERS)


def test_no_two_classes_of_a_room_share_a_name() -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for module in own():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                found.setdefault((module.split(".")[1], node.name.lstrip("_")), []).append(module)
    twice = {key: modules for key, modules in found.items() if len(modules) > 1}
    assert twice == {}


LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 400, 40, 6
"""Lines, lines, and parameters without self and cls."""


def functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in nodes(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = function.args
    named = [arg.arg for arg in (*every.posonlyargs, *every.args, *every.kwonlyargs)]
    more = [arg for arg in (every.vararg, every.kwarg) if arg is not None]
    return len([name for name in named if name not in ("self", "cls")]) + len(more)


def test_no_module_is_too_long() -> None:
    long = [module for module, path in MODULES.items() if len(path.read_text().splitlines()) >= LONGEST_MODULE]
    assert long == []


def test_no_function_is_too_long_or_takes_too_much() -> None:
    every = [(module, function) for module in MODULES for function in functions(module)]
    assert len(every) > 500
    long = [f"{m}:{f.name}" for m, f in every if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION]
    wide = [f"{m}:{f.name}" for m, f in every if parameters(f) > MOST_PARAMETERS]
    assert (long, wide) == ([], [])


def test_no_conditional_expression_stands_within_another() -> None:
    conditions = [(module, node) for module in MODULES for node in nodes(module) if isinstance(node, ast.IfExp)]
    within = [
        f"{module}:{node.lineno}"
        for module, node in conditions
        if sum(isinstance(inner, ast.IfExp) for inner in ast.walk(node)) > 1
    ]
    assert within == []


OBSCURE = {"told", "tell", "tells", "said", "heard", "hear", "hears", "held"}
"""Words that name nothing: what is meant is put, sent, reported, received, kept, a result, an output, a reason."""

ROOT = PACKAGE.parent
WRITTEN = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])


def own_names(path: Path) -> set[str]:
    """Of its functions, classes, parameters, variables and attributes."""
    every = list(ast.walk(ast.parse(path.read_text())))
    found = {node.name for node in every if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found |= {node.arg for node in every if isinstance(node, ast.arg)}
    found |= {node.id for node in every if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return found | {node.attr for node in every if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}


def test_no_name_is_obscure() -> None:
    words = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
    obscure = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in WRITTEN
        for name in own_names(path)
        if OBSCURE & {word.lower() for word in words.findall(name)}
    ]
    assert obscure == []
