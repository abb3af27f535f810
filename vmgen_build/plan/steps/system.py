"""Host name, time zone, locale and keyboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmgen_build.plan.context import PlanContext, full_host_name, host_name
from vmgen_build.plan.model import Probe, Step, StepFile

ORDER = 300

BUILT_IN_LOCALES = ("C", "POSIX", "C.UTF-8")
"""Locales that the C library has of its own."""


def needs(ctx: PlanContext) -> Iterable[str]:
    config = ctx.recipe.config
    if config.timezone:
        yield "tzdata"
    if _locale(ctx) not in BUILT_IN_LOCALES:
        yield "locales"
    if config.keyboard:
        yield "keyboard-configuration"


def steps(ctx: PlanContext) -> Iterator[Step]:
    config = ctx.recipe.config
    locale = _locale(ctx)
    files = [StepFile.of("hostname", f"{host_name(ctx.recipe)}\n"), StepFile.of("hosts", _hosts(ctx))]
    if config.keyboard:
        files.append(StepFile.of("keyboard", _keyboard_file(config.keyboard)))
    yield Step(
        name="system",
        title="host name, time, language",
        script=ctx.renderer.sh(
            "linux/system.sh.j2",
            full_name=full_host_name(ctx.recipe),
            timezone=config.timezone or "",
            locale=locale,
            generate=locale not in BUILT_IN_LOCALES,
            keyboard=bool(config.keyboard),
        ),
        files=tuple(files),
        probes=tuple(_probes(ctx)),
    )


def _locale(ctx: PlanContext) -> str:
    return ctx.recipe.config.locale or "C.UTF-8"


def _hosts(ctx: PlanContext) -> str:
    """/etc/hosts as Debian's installer writes it; hosts(5)."""
    full, short = full_host_name(ctx.recipe), host_name(ctx.recipe)
    names = full if full == short else f"{full} {short}"
    return (
        "127.0.0.1\tlocalhost\n"
        f"127.0.1.1\t{names}\n"
        "\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n"
    )


def _keyboard_file(setting: str) -> str:
    """layout or layout:variant, as keyboard(5) has it. Both are plain words: the recipe takes no others."""
    layout, _, variant = setting.partition(":")
    return f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\nXKBVARIANT="{variant}"\nXKBOPTIONS=""\n\nBACKSPACE="guess"\n'


def _probes(ctx: PlanContext) -> Iterator[Probe]:
    sh, config = ctx.renderer.sh, ctx.recipe.config
    full, short = full_host_name(ctx.recipe), host_name(ctx.recipe)
    setting = "[config] hostname"
    yield Probe("hostname", setting, sh("linux/probes/hostname.sh.j2", name=short, full=False), short)
    if full != short:
        yield Probe("hostname-full", setting, sh("linux/probes/hostname.sh.j2", name=full, full=True), full)
    if zone := config.timezone:
        yield Probe("timezone", "[config] timezone", sh("linux/probes/timezone.sh.j2", zone=zone), zone)
    if config.locale:
        locale = _locale(ctx)
        yield Probe("locale", "[config] locale", sh("linux/probes/locale.sh.j2", locale=locale), locale)
    if config.keyboard:
        script = sh("linux/probes/keyboard.sh.j2", setting=config.keyboard)
        yield Probe("keyboard", "[config] keyboard", script, config.keyboard)
