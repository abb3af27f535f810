"""vmgen-build verify: boot an artifact and look whether it is what its recipe asked for."""

from __future__ import annotations

from pathlib import Path

import click

from vmgen_build.cli import common
from vmgen_build.events import ProbeDone
from vmgen_build.text import clean, table

COLOURS = {"holds": "green", "fails": "red", "skipped": "yellow"}


@click.command("verify", context_settings=common.CONTEXT, short_help="Boot an image and check it against its recipe.")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=None,
    metavar="SECONDS",
    help="How long the machine may take to boot; by default 180, or more where a processor is emulated.",
)
@click.option("--no-boot", is_flag=True, help="Check the file alone; needs no root.")
@common.cache_option
@common.display_options
def verify_command(
    artifacts: tuple[Path, ...], timeout: float | None, no_boot: bool, cache: Path, **display: bool
) -> None:
    """Boot a throwaway copy of every ARTIFACT and check each setting that its recipe asked for.

    The manifest must lie beside the artifact. Exit code 0 where all settings hold, else 1.
    \f
    display: what common.open_display takes.
    """
    from vmgen_build.build.verify import verify

    screen, bus = common.open_display(**display)
    failed = False
    with screen:
        for artifact in artifacts:
            screen.activity(f"verifying {artifact.name}")
            done = verify(artifact, bus, cache=cache, timeout=timeout, boot=not no_boot)
            screen.close()
            failed = failed or any(probe.outcome == "fails" for probe in done)
            if not display["as_json"]:
                show_probes(artifact, done, display["quiet"])
    click.get_current_context().exit(1 if failed else 0)


def show_probes(artifact: Path, done: list[ProbeDone], quiet: bool) -> None:
    """The table of what was looked at; with -q only what fails."""
    shown = [probe for probe in done if not quiet or probe.outcome == "fails"]
    rows = [(probe.outcome, clean(probe.setting), clean(probe.found)) for probe in shown]
    for probe, line in zip(shown, table(rows), strict=True):
        common.show(line, fg=COLOURS.get(probe.outcome))
    if not quiet:
        common.show(f"{artifact}: {_summary(done)}", bold=True)


def _summary(done: list[ProbeDone]) -> str:
    counts = {outcome: sum(probe.outcome == outcome for probe in done) for outcome in COLOURS}
    if counts["holds"] == len(done):
        return f"all {len(done)} settings hold"
    parts = [f"{counts['holds']} of {len(done)} settings hold"]
    parts += [
        f"{counts[outcome]} {word}"
        for outcome, word in (("fails", "do not"), ("skipped", "skipped"))
        if counts[outcome]
    ]
    return ", ".join(parts)
