"""vmgen-build verify: boot artifacts and look whether they are what a recipe asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.errors import UsageError, VmgenError
from vmgen_build.text import clean

if TYPE_CHECKING:
    from vmgen_build.boots.model import Elsewhere
    from vmgen_build.build.questions import Asker
    from vmgen_build.build.verify import Verified
    from vmgen_build.cli.plain import Plain
    from vmgen_build.events import Bus
    from vmgen_build.guests.vsphere.placement import Placement
    from vmgen_build.host.tls import Trust

_WIDEST = 200
"""Characters of a setting's name in the table."""

_key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Take an image only where a key of this file has signed SHA256SUMS beside it, which lists all its files as"
    " they are. FILE: a keyring of gpg, a public key of ssh or a list of allowed signers, a public key of minisign."
    " With --manifest, the signature of that manifest counts.",
)

COLOURS = {"holds": "green", "fails": "red", "skipped": "yellow"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whose questions are asked, as the options say: those of each artifact's own manifest where neither a recipe nor a
    manifest is named."""

    recipe: Path | None
    manifest: Path | None
    keyring: Path | None
    key: Path | None
    backend: str
    sets: tuple[str, ...]
    templates: Path | None
    host: str
    trust: Trust
    placement: Placement

    def check(self, *, boot: bool) -> None:
        """Raises UsageError for options that mean nothing together."""
        if self.host and not (boot and self.recipe):
            raise UsageError(
                "--host: the recipe knows the login of the machine that is booted there: name it by --recipe, without"
                " --no-boot"
            )
        if (given := (*self.trust.given, *self.placement.given)) and not self.host:
            raise UsageError(f"{given[0]}: only for a server, as --host vsphere://NAME; leave it out")
        if self.recipe and self.manifest:
            raise UsageError("--recipe and --manifest: both ask; name one of them")
        if self.recipe and self.keyring:
            raise UsageError("--keyring is for manifests, and --recipe asks by none: take --key, or leave it out")
        if self.key and self.keyring:
            raise UsageError("--key and --keyring: both say who must have signed; name one of them")
        if not boot and (self.recipe or self.manifest):
            raise UsageError("--no-boot asks no questions: leave out --recipe and --manifest, or --no-boot")
        alone = {"--backend": self.backend, "--set": self.sets, "--templates": self.templates}
        for option, value in alone.items():
            if value and not self.recipe:
                raise UsageError(f"{option} is for a recipe's questions: name the recipe by --recipe")

    def asker(self, cache: Path) -> tuple[Asker, Elsewhere | None]:
        """And where a Windows is booted. Raises UsageError, RecipeError, HostError where what is named cannot be asked
        by."""
        from vmgen_build.build import questions

        if self.manifest:
            return questions.manifest_questions(self.manifest, self.keyring or self.key), None
        if self.recipe is None:
            return self._own_asker(), None
        from vmgen_build.build.options import BuildOptions
        from vmgen_build.recipe.load import load

        recipe = load(self.recipe, self.sets)
        common.show_problems(recipe.warnings)
        options = BuildOptions(
            cache=cache,
            templates=self.templates,
            sets=self.sets,
            offline=True,
            host=self.host,
            trust=self.trust,
            placement=self.placement,
        )
        there = None
        if self.host:
            from vmgen_build.build.places.registry import place_at

            place = place_at(options)
            place.check_options()
            there = place.throwaway(recipe)
        ask = questions.recipe_questions(recipe, options, self.backend)
        if self.key:
            from vmgen_build.build.keyed import also_signed

            ask = also_signed(ask, self.key)
        return ask, there

    def _own_asker(self) -> Asker:
        from vmgen_build.build import questions

        if self.key:
            from vmgen_build.build.keyed import keyed_questions

            return keyed_questions(self.key)
        return questions.signed_questions(self.keyring) if self.keyring else questions.own_questions


def source_options(command: common.Command) -> common.Command:
    """--recipe, --manifest and what belongs to them."""
    for option in reversed(
        (
            click.option(
                "--recipe",
                type=common.recipe_path,
                default=None,
                metavar="FILE",
                help="Ask what this recipe asks for, passwords too, in place of what the artifact's manifest says.",
            ),
            click.option(
                "--manifest",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                help="Ask what this manifest asks, such as that of a reference image of yours.",
            ),
            click.option(
                "--keyring",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                help="Take a manifest only where a key of this keyring has signed it (NAME.manifest.json.asc).",
            ),
            _key_option,
            click.option(
                "-b",
                "--backend",
                default="",
                metavar="NAME",
                callback=_check_backend,
                help="With --recipe: what the artifacts are; by default each one's manifest, or its name, says so.",
            ),
            common.sets_option,
            common.templates_option,
        )
    ):
        command = option(command)
    return command


def _check_backend(_context: click.Context, _option: click.Parameter, value: str) -> str:
    return common.parse_backends(_context, _option, (value,))[0] if value else ""


def _check_folder(_context: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
    """Known before anything is booted. Raises UsageError."""
    if value is not None and not value.parent.is_dir():
        raise UsageError(f"{option.opts[0]} {value}: there is no folder {value.parent}; make it first")
    return value


@click.command("verify", context_settings=common.CONTEXT, short_help="Boot images and check them against a recipe.")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@source_options
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=None,
    metavar="SECONDS",
    help="How long the machine may take to boot; by default 180, or more where a processor is emulated.",
)
@click.option("--no-boot", is_flag=True, help="Check the file alone; needs no root.")
@common.trusted_option
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    callback=_check_folder,
    help="Write what was found as a JUnit report too, for GitLab, Jenkins and others.",
)
@hosts.verify_options
@common.cache_option
@common.display_options
def verify_command(
    artifacts: tuple[Path, ...],
    timeout: float | None,
    no_boot: bool,
    trusted: bool,
    cache: Path,
    **values: Any,
) -> None:
    """Boot a throwaway copy of every ARTIFACT and check each setting that its recipe asked for.

    Images of others are asked by --recipe or --manifest: their own manifest says only that the file is whole. Without
    these, the manifest must lie beside the artifact. Exit code 0 where all artifacts pass, else 1.

    \b
      vmgen-build verify output/lab-lxc-amd64.tar.zst
      vmgen-build verify hand-ins/*.tar.zst --recipe lab.ini --junit report.xml
      vmgen-build verify output/lab.ova --no-boot --key signers
    \f
    values: the fields of Source, what common.open_display takes, and junit.
    """
    from vmgen_build.build.verify import VerifyOptions, verify

    display = {name: bool(values.pop(name)) for name in ("as_json", "quiet", "verbose")}
    junit: Path | None = values.pop("junit")
    source = Source(**values)
    source.check(boot=not no_boot)
    screen, bus = common.open_display(**display)
    with screen:
        ask, there = source.asker(cache)
        options = VerifyOptions(cache, timeout, boot=not no_boot, trusted=trusted, there=there)
        done = []
        for artifact in artifacts:
            screen.activity(f"verifying {artifact.name}")
            done.append(_verified(artifact, screen, lambda one: verify(one, bus, options, ask)))
            _show_one(done[-1], bus, display, several=len(artifacts) > 1)
    if junit is not None:
        _write_junit(junit, done)
    if len(done) > 1 and not display["as_json"]:
        show_summary(done)
    click.get_current_context().exit(0 if all(verified.passes for verified in done) else 1)


def _show_one(verified: Verified, bus: Bus, display: Mapping[str, bool], *, several: bool) -> None:
    if verified.error is not None:
        named = f"{verified.artifact}: " if several else ""
        bus.note(f"{named}{common.error_text(verified.error)}", "error")
    if not display["as_json"]:
        show_verified(verified, quiet=display["quiet"], brief=several and not display["verbose"])


def _write_junit(goal: Path, done: list[Verified]) -> None:
    from vmgen_build.build.junit import junit_report
    from vmgen_build.host.files import write_whole

    write_whole(goal, junit_report(done))


def _verified(artifact: Path, screen: Plain, verify: Callable[[Path], Verified]) -> Verified:
    """What came of one artifact. A bug that it meets is reported, and fails this artifact alone."""
    from vmgen_build.build.verify import Verified

    try:
        return verify(artifact)
    except Exception as bug:
        from vmgen_build.cli.crash import report

        screen.close()
        report(bug)
        return Verified(artifact, "", error=VmgenError("it was not verified to its end"))
    finally:
        screen.close()


def show_verified(verified: Verified, *, quiet: bool, brief: bool) -> None:
    """The table of what was looked at, and a line of the whole. quiet: only what fails. brief: the table has only what
    fails."""
    shown = [probe for probe in verified.done if not (quiet or brief) or probe.outcome == "fails"]
    rows = [(probe.outcome, _short(clean(probe.setting)), clean(probe.found)) for probe in shown]
    common.show_rows(rows, [{"fg": COLOURS.get(probe.outcome)} for probe in shown])
    if not quiet:
        asked = f"; asked: {clean(verified.asked)}" if verified.asked else ""
        common.show(f"{clean(str(verified.artifact))}: {_outcome(verified)}{asked}", bold=True)


def _short(setting: str) -> str:
    """All rows of a table are as wide as its widest."""
    return setting if len(setting) <= _WIDEST else f"{setting[: _WIDEST - 3]}..."


def _outcome(verified: Verified) -> str:
    if verified.error is not None:
        return "fails: it could not be asked"
    counts = {outcome: verified.count(outcome) for outcome in COLOURS}
    if counts["holds"] == len(verified.done):
        return f"all {len(verified.done)} settings hold"
    parts = [f"{counts['holds']} of {len(verified.done)} settings hold"]
    parts += [
        f"{counts[outcome]} {word}"
        for outcome, word in (("fails", "do not"), ("skipped", "skipped"))
        if counts[outcome]
    ]
    return ", ".join(parts)


def show_summary(done: list[Verified]) -> None:
    """How many pass, and which do not."""
    failed = [verified for verified in done if not verified.passes]
    common.show(f"{len(done) - len(failed)} of {len(done)} artifacts pass", bold=True)
    for verified in failed:
        common.show(f"  fails: {clean(str(verified.artifact))}", fg="red")
