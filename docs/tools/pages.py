"""Hooks of mkdocs (mkdocs.yml): files of the repository that pages link to become pages of the site.

The pages link as a repository's own browser needs it (`../recipes/lab.ini`); a site has nothing outside of docs/.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting.md",
}
"""Pages beside docs/, and what they are called within the site."""

LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?(\))")
LANGUAGES = {".ini": "ini", ".py": "python", ".sh": "sh", ".yaml": "yaml", ".yml": "yaml"}


def address(path: str) -> str:
    """Where a file or folder of the repository stands within the site."""
    if path in TOP:
        return TOP[path]
    inside = path.removeprefix("docs/")
    return inside if inside != path else f"files/{path}.md"


def source(uri: str) -> str:
    """The file of the repository that a page of the site is made of."""
    return next((name for name, there in TOP.items() if there == uri), f"docs/{uri}")


def outside_of_fences(text: str) -> list[tuple[bool, str]]:
    """Each line with its end, and whether it is prose."""
    found, fenced = [], False
    for line in text.splitlines(keepends=True):
        fence = line.lstrip().startswith("```")
        found.append((not fence and not fenced, line))
        fenced ^= fence
    return found


def targets(path: str, text: str) -> set[str]:
    """The files and folders of the repository that a page links to, by their paths in it."""
    prose = "".join(line for plain, line in outside_of_fences(text) if plain)
    return {posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2])) for link in LINK.finditer(prose)}


def for_the_site(path: str, text: str) -> str:
    """A page's text, its links as the site needs them."""
    here = posixpath.dirname(address(path))

    def there(link: re.Match[str]) -> str:
        target = address(posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2])))
        return f"{link[1]}{posixpath.relpath(target, here or '.')}{link[3] or ''}{link[4]}"

    return "".join(LINK.sub(there, line) if plain else line for plain, line in outside_of_fences(text))


def shown(path: str) -> str:
    """A page that shows a file, or the files of a folder."""
    if path.endswith(".md"):
        return (ROOT / path).read_text()
    files = [ROOT / path] if (ROOT / path).is_file() else sorted((ROOT / path).rglob("*"))
    parts = [f"# {path}\n"]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            name = os.path.relpath(file, ROOT)
            title = "" if name == path else f"## {name}\n\n"
            parts.append(f"{title}````{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text().rstrip()}\n````\n")
    return "\n".join(parts)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File, InclusionLevel

    pages = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    pages |= {name: (ROOT / name).read_text() for name in TOP}
    for name, there in TOP.items():
        files.append(File.generated(config, there, content=pages[name]))
    linked = set().union(*(targets(path, text) for path, text in pages.items()))
    for path in sorted(linked):
        if address(path).startswith("files/") and (ROOT / path).exists():
            page = File.generated(config, address(path), content=shown(path))
            page.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(page)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri.startswith("files/"):
        return markdown
    return for_the_site(source(page.file.src_uri), markdown)
