"""What makes each instance of Incus and LXD bear its own name: templates that these render when they make or copy one.

Image format of both, "Templates": files below templates/, in pongo2, whose `instance.name` is the new instance's.
"""

from __future__ import annotations

import re
from pathlib import Path

from vmgen_build.host.beneath import read_beneath
from vmgen_build.limits import TREE_FILE

NAME = "{{ instance.name }}"
LOCAL = f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n::1 localhost ip6-localhost ip6-loopback\n"
_CODE = re.compile(r"\{[{%#]")


def templates(root: Path) -> dict[str, str]:
    """Name in the tarball -> text, for the image with this root. Its /etc/hosts is kept, with the new name in place of
    the image's; one that would be code of pongo2 is not."""
    name, hosts = _text(root, "etc/hostname").strip(), _text(root, "etc/hosts")
    usable = name and hosts and not _CODE.search(hosts)
    text = "".join(_named(line, name) for line in hosts.splitlines(keepends=True)) if usable else LOCAL
    return {"templates/hostname.tpl": f"{NAME}\n", "templates/hosts.tpl": text}


def _named(line: str, name: str) -> str:
    """hosts(5): an address, then names, then a comment."""
    words, mark, comment = line.partition("#")
    short = name.partition(".")[0]
    pattern = rf"(?<=[ \t])({re.escape(name)}|{re.escape(short)})(?=[ \t\n]|$)"
    return re.sub(pattern, NAME, words) + mark + comment


def _text(root: Path, name: str) -> str:
    """Of a file of the root; "" where there is none that can be read."""
    try:
        return read_beneath(root, name, TREE_FILE).decode()
    except (OSError, ValueError):
        return ""
