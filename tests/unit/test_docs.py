"""The documentation: what it shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.tools import house
from docs.tools.pages import address, for_the_site, shown, targets
from tests.unit.test_rooms import ROOMS
from vmgen_build.recipe.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside of fences, which hold what programs print."""
    found, fenced = [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            found.append((number, line))
    return found


def test_the_recipe_of_the_readme_is_the_one_that_ships(tmp_path: Path) -> None:
    shown = re.search(r"```ini\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    shipped = (ROOT / "recipes/first.ini").read_text().split("\n", 1)[1]
    assert shown[1] == shipped
    (tmp_path / "first.ini").write_text(shown[1])
    assert load(tmp_path / "first.ini", strict=True, environ={"ANA_PASSWORD": "correct-horse"}).warnings == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_long(page: Path) -> None:
    assert [(number, len(line)) for number, line in prose(page) if len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", "\n".join(line for _, line in prose(page)))
    wrong = [(there, name) for there, name in links if name not in anchors(page.parent / there if there else page)]
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub and the site make them."""
    titles = [line.lstrip("#").strip().lower() for _, line in prose(page) if re.match("#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_the_site_shows_each_page_once() -> None:
    nav = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(nav) == sorted(address(str(page.relative_to(ROOT))) for page in PAGES)


def test_links_out_of_docs_lead_to_pages_of_the_site() -> None:
    text = "[a](../recipes/lab.ini) [b](hosts.md#here) [c](../README.md#two-commands) [d](https://x)\n"
    assert for_the_site("docs/sources.md", text) == (
        "[a](files/recipes/lab.ini.md) [b](hosts.md#here) [c](index.md#two-commands) [d](https://x)\n"
    )
    fenced = "```\n[a](docs/hosts.md)\n```\n"
    assert for_the_site("README.md", f"[a](docs/hosts.md)\n{fenced}") == f"[a](hosts.md)\n{fenced}"
    assert targets("docs/sources.md", text) == {"recipes/lab.ini", "docs/hosts.md", "README.md"}
    assert "vm_id = lab" in shown("recipes/lab.ini")


def test_the_picture_shows_the_rooms_that_the_page_lists() -> None:
    page = (ROOT / "docs/how-it-works.md").read_text()
    assert [name for name, _ in house.rooms(page)] == [name for name in ROOMS if (ROOT / "vmgen_build" / name).is_dir()]
    assert (ROOT / "docs/house.svg").read_text() == house.drawn(page)


def test_the_modules_that_the_docs_name_are_there() -> None:
    """Paths within the package, as how-it-works.md writes them: `plan/steps/users.py`. NAME stands for any."""
    text = "\n".join((ROOT / "docs" / name).read_text() for name in ("how-it-works.md", "extending.md"))
    named = set(re.findall(r"`((?:vmgen_build/)?[a-z_]+/[\w/]+\.py)`", text))
    named = {name for name in named if not re.search("[A-Z]{4}", name)}
    missing = [n for n in named if not (ROOT / "vmgen_build" / n.removeprefix("vmgen_build/")).exists()]
    assert [name for name in missing if not (ROOT / name).exists()] == [] and len(named) > 20
