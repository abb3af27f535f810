"""Keys of repositories and bases before a package manager gets them: none holds a subkey that is not its own.

rpm before 4.17.1 takes every subkey of a file that it is given, whether its primary key has bound it or not
(CVE-2021-3521), and does not ask whether it was revoked: who changes the file on its way adds one of his own, and the
primary key's fingerprint stays the same. So gpg says first which of them belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmgen_build.errors import BuildError, Problem, RecipeError
from vmgen_build.host.gpg import judged_keys
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import KEY_FILE
from vmgen_build.recipe.openpgp import binary, sound
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.config import Repository


def sound_keys(data: bytes, wanted: Sequence[str] = ()) -> bytes:
    """The keys of a file, as recipe.openpgp.sound has it, by what gpg says of them now.

    Raises ValueError for what is no file of keys, where gpg takes none of them or not those that are wanted; HostError
    where there is no gpg.
    """
    return sound(data, judged_keys(binary(data)), wanted)


def keys_of_repositories(recipe: Recipe, vendors: Mapping[str, Repository]) -> Mapping[str, bytes]:
    """By the repository's name, of the recipe's own and of vendors. Raises RecipeError at a key's line, BuildError for
    a vendor's, HostError where there is no gpg."""
    found: dict[str, bytes] = {}
    for name, repository in {**vendors, **recipe.config.repos}.items():
        if repository.key is None:
            continue
        try:
            found[name] = sound_keys(read_regular(repository.key, KEY_FILE), repository.fingerprint)
        except (ValueError, OSError) as error:
            if name in vendors:
                raise BuildError(f"the key of '{name}' cannot be used: {error}") from error
            text = f"the file of the key cannot be used: {error}"
            section = f"[config.repos.{name}] key"
            raise RecipeError([Problem(repository.at("key"), section, text, code="key")]) from error
    return found
