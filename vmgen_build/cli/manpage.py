"""The manual pages, made of the commands themselves: python -m vmgen_build.cli.manpage FOLDER

They are in the language of man(7). What stands between \\b and an empty line of a help text keeps its lines.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from vmgen_build import __version__
from vmgen_build.cli.main import door
from vmgen_build.codes import EXIT_CODES

Rows = Sequence[tuple[str, str]]

DAY = 86400

OF_BUILD = "Before the name of a recipe, and after it, stand the options of the command build."

ENVIRONMENT: Rows = (
    ("VMGEN_CACHE", "The folder of the cache, in place of the usual one."),
    ("VMGEN_DEBUG", "1 shows the traceback of an unexpected error at once."),
    ("VMGEN_SSH_KEY", "A file with the private key for nodes, which is tried first."),
    ("VMGEN_SSH_KNOWN_HOSTS", "The file of known hosts' keys, in place of those of ssh."),
    ("VMGEN_SSH_PASSWORD, VMGEN_SSH_PASSPHRASE", "The password on a node, and what opens an encrypted key."),
    ("VMGEN_VSPHERE_PASSWORD", "The password on a vSphere server."),
    ("VMGEN_SIGN_PASSPHRASE", "What opens the key of --sign."),
    ("GITHUB_ACTIONS, GITLAB_CI", "Set there: a build groups its lines as these show them."),
    ("NO_COLOR", "When it is not empty, nothing is coloured."),
    ("SOURCE_DATE_EPOCH", "Seconds since 1970: no file of an image is younger."),
    ("TMPDIR", "Where short-lived files lie; /tmp by default."),
    ("GNUPGHOME", "The folder of gpg's keys, for --sign."),
    ("XDG_CACHE_HOME, XDG_CONFIG_HOME", "Stand for ~/.cache and ~/.config."),
    ("http_proxy, https_proxy, no_proxy", "The way to package archives and downloads."),
)

FILES: Rows = (
    ("output/", "Where images go, without --output: each beside its manifest, NAME.manifest.json, and SHA256SUMS."),
    ("~/.cache/vmgen-build/", "The cache: results of steps, downloads, logs. In a checkout it is cache/."),
    ("~/.cache/vmgen-build-completion/", "Words for completion in a shell."),
    ("~/.config/vmgen-build/hosts.ini", "How vSphere servers are known."),
    ("templates/", "Beside a recipe: templates that replace single ones of the tool."),
    ("profiles/", "Beside a recipe: profiles that it can take in."),
)

_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})


def escaped(text: str) -> str:
    """Text for a line of its own: nothing in it is a request or an escape, and its signs can be copied."""
    text = "".join(char if ord(char) < 128 else f"\\[u{ord(char):04X}]" for char in text.translate(_ESCAPES))
    return f"\\&{text}" if text.startswith(".") else text


def bold(text: str) -> str:
    return f"\\fB{escaped(text)}\\fR"


def shown_option(record: str) -> str:
    """ "-o, --output DIR": options bold, what they take in italics."""
    words = re.findall(r"[^\s,/]+|[\s,/]+", record)
    parts = [word if re.fullmatch(r"[\s,/]+", word) else _shown_word(word) for word in words]
    return "".join(parts)


def _shown_word(word: str) -> str:
    return bold(word) if word.startswith("-") else f"\\fI{escaped(word)}\\fR"


def items(rows: Rows, *, options: bool = False) -> Iterator[str]:
    for term, text in rows:
        yield ".TP"
        yield shown_option(term) if options else bold(term)
        yield escaped(" ".join(text.split()))


def paragraphs(text: str, *, first: bool = True) -> Iterator[str]:
    """Of a help text. first: no paragraph stands before."""
    for block in re.split(r"\n[ \t]*\n", inspect.cleandoc(text.partition("\f")[0])):
        if not first:
            yield ".PP"
        first = False
        if block.lstrip().startswith("\b"):
            yield from (".nf", *map(escaped, inspect.cleandoc(block.lstrip("\b \n")).splitlines()), ".fi")
        else:
            yield escaped(" ".join(block.split()))


def blocks(epilog: str) -> dict[str, list[str]]:
    """Of an epilog, by their titles: "Examples" -> its lines."""
    found = [block.strip("\b\n").splitlines() for block in epilog.split("\n\n")]
    return {lines[0].rstrip(":"): [line.strip() for line in lines[1:]] for lines in found if lines}


def examples(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        command, _, note = (part.strip() for part in line.partition("  "))
        yield from (".TP", bold(command), escaped(note) or r"\&")


def exit_codes(command: click.Command, lines: Sequence[str]) -> Rows:
    """lines: those of an epilog, "0  done". The door's are in a table that says more."""
    if command is door:
        return [(str(code), text) for code, text in EXIT_CODES.items()]
    return [(code, text.strip()) for code, _, text in (line.partition(" ") for line in lines)]


def usage(command: click.Command, context: click.Context) -> str:
    rest = " ".join(command.collect_usage_pieces(context))
    return f"{bold(context.command_path)} {shown_option(rest)}"


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Those of a command in a group without --help, which all have."""
    left_out = command.get_help_option(context) if context.parent else None
    wanted = [param for param in command.get_params(context) if param is not left_out]
    records = [record for param in wanted if (record := param.get_help_record(context))]
    yield from items([record for record in records if record[0].startswith("-")], options=True)


def commands(group: click.Group, context: click.Context) -> Iterator[str]:
    """Each with its options, those of groups within it too."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        with click.Context(command, info_name=name, parent=context, **command.context_settings) as inner:
            if isinstance(command, click.Group):
                yield from commands(command, inner)
                continue
            yield f".SS {usage(command, inner)}"
            yield from paragraphs(command.help or "")
            yield from options(command, inner)


def synopsis(command: click.Command, context: click.Context) -> Iterator[str]:
    if command is door:
        yield f"{bold(context.command_path)} {shown_option('[build] [OPTIONS] RECIPE...')}"
        yield ".br"
        yield f"{bold(context.command_path)} {shown_option('COMMAND [OPTIONS] [ARGUMENTS]')}"
    else:
        yield usage(command, context)


def page(command: click.Command, name: str, about: str, see: Sequence[str]) -> str:
    """The whole page. about: one line. see: other pages."""
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time() // DAY * DAY)))
    ending = blocks(command.epilog or "")
    with click.Context(command, info_name=name, **command.context_settings) as context:
        lines = [f'.TH {name.upper()} 1 {day} "{name} {__version__}" "User Commands"', ".nh", ".ad l"]
        lines += [".SH NAME", f"{name} \\- {escaped(about)}"]
        lines += [".SH SYNOPSIS", *synopsis(command, context)]
        lines += [".SH DESCRIPTION", *paragraphs(command.help or "")]
        lines += [".SH OPTIONS", *options(command, context)]
        if isinstance(command, click.Group):
            lines += [".PP", escaped(OF_BUILD), ".SH COMMANDS", *commands(command, context)]
    lines += [".SH EXIT STATUS", *items(exit_codes(command, ending.get("Exit codes", [])))]
    lines += [".SH ENVIRONMENT", *items(ENVIRONMENT), ".SH FILES", *items(FILES)]
    lines += [".SH EXAMPLES", *examples(ending.get("Examples", []))]
    lines += [".SH SEE ALSO", ", ".join(f"{bold(title)}(1)" for title in see)]
    return "\n".join(line.rstrip() for line in lines if line) + "\n"


def pages() -> dict[str, str]:
    """By the names of the commands that this version has."""
    editor = "vmgen_build.cli.vmgctl"
    found = {
        "vmgen-build": page(
            door, "vmgen-build", "turn a short recipe into machine images that are proven to boot", ("vmgctl", *SEE)
        )
    }
    if find_spec(editor):
        about = "read and set single settings of a recipe of vmgen-build"
        found["vmgctl"] = page(import_module(editor).vmgctl, "vmgctl", about, ("vmgen-build",))
    return found


SEE = ("lxc-start", "mmdebstrap", "qemu-img")

if __name__ == "__main__":
    for title, text in pages().items():
        Path(sys.argv[1], f"{title}.1").write_text(text, "ascii")
