"""What the host finds out for a plan, which itself is pure: the archive's state and its date."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from vmgen_build.bases.apt.archive import AptSource, release_of, sources_here
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.plan.context import Facts
from vmgen_build.plan.digests import digest_of
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems.model import System


def facts_for(recipe: Recipe, cache: Path, *, offline: bool) -> Facts:
    """What the archive and the recipe's own repositories hold. Raises BuildError naming what does not answer."""
    system = recipe.hardware.os
    if system.base != "mmdebstrap":
        return Facts(epoch=_epoch(0))
    sources = sources_here(system, recipe.config.mirror, cache)
    own = dict(_repositories(recipe, system))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=4) as pool:
        asked = list(pool.map(lambda s: release_of(s, system.arch, cache, offline=offline), [*sources, *own.values()]))
    main, extra = asked[: len(sources)], asked[len(sources) :]
    return Facts(
        release=digest_of([r.digest for r in main]),
        epoch=_epoch(main[0].date),
        repositories={name: r.digest for name, r in zip(own, extra, strict=True)},
    )


def facts_at_hand(recipe: Recipe, cache: Path, *, offline: bool) -> Facts:
    """The same for those who only look (compile, --dry-run): what is known already, else asked for, else none."""
    for known_alone in (True, False) if not offline else (True,):
        try:
            return facts_for(recipe, cache, offline=known_alone)
        except BuildError:
            continue
    return Facts(epoch=_epoch(0))


def archive_is_known(recipe: Recipe, facts: Facts) -> bool:
    """Whether these facts came from the archive that the recipe's system is made of, where it is made of one."""
    return recipe.hardware.os.base != "mmdebstrap" or facts.release != Facts().release


def _epoch(date: int) -> int:
    """SOURCE_DATE_EPOCH where the environment has it (https://reproducible-builds.org/specs/source-date-epoch/)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return date
    if not given.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH={given}: it must be a number of seconds since 1970")
    return int(given)


def _repositories(recipe: Recipe, system: System) -> Iterable[tuple[str, AptSource]]:
    for name, repo in recipe.config.repos.items():
        if repo.url is not None:
            yield name, AptSource(repo.url.rstrip("/"), repo.suite or system.codename, tuple(repo.components))
        elif repo.line is not None:
            words = re.sub(r"\[[^\]]*\]", " ", repo.line).split()
            yield name, AptSource(words[1].rstrip("/"), words[2], tuple(words[3:]) or ("main",))
