"""vmgen-build formats: what --format may name."""

from __future__ import annotations

import json

import click

from vmgen_build.cli import common
from vmgen_build.text import table

HEAD = ("format", "backend", "file", "for")


@click.command("formats", context_settings=common.CONTEXT, short_help="Print what an image can be packed as.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def formats_command(as_json: bool) -> None:
    """Print what --format may name: the format, the backend that makes it, what its file's name ends in, and for whom
    it is. The first of each backend is what it makes without --format. docs/formats.md has the commands of those who
    take them.

    \b
      vmgen-build formats
      vmgen-build formats --json
    """
    from vmgen_build.backends.registry import all_backends, formats_of

    rows = [
        (one.name, backend.name, one.endings[0], one.about)
        for backend in all_backends().values()
        for one in formats_of(backend)
    ]
    if as_json:
        for name, backend, ending, about in rows:
            common.show(json.dumps({"format": name, "backend": backend, "ending": ending, "about": about}))
        return
    head, *lines = table([HEAD, *rows])
    common.show(head, bold=True)
    for line in lines:
        common.show(line)
