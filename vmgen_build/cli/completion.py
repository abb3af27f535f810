"""vmgen-build completion: what a shell reads, so that it completes command lines."""

from __future__ import annotations

from pathlib import Path

import click

from vmgen_build.cli import common

SHELLS = ("bash", "zsh", "fish")
FOLDER = Path(__file__).parent / "shells"

HELP = """Print what a shell reads to complete the command lines of vmgen-build and vmgctl by Tab: options, commands,
recipes, artifacts, and what --set, --format, --backend and --os can name.

\b
  bash   vmgen-build completion bash \\
             > ~/.local/share/bash-completion/completions/vmgen-build
  zsh    vmgen-build completion zsh > ~/.zfunc/_vmgen-build
         (with fpath+=(~/.zfunc) in ~/.zshrc, before compinit)
  fish   vmgen-build completion fish \\
             > ~/.config/fish/completions/vmgen-build.fish

For the shell at work alone: eval "$(vmgen-build completion bash)". The Debian package and 'make install' have put it
where it belongs.
"""


@click.command("completion", context_settings=common.CONTEXT, help=HELP, short_help="Print the completion of a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    click.echo((FOLDER / shell).read_text("utf-8"), nl=False)
