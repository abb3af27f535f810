"""Which folder is a cache: one that carries our mark, and that nobody else can change.

CACHEDIR.TAG   the mark: the signature of https://bford.info/cachedir/, and a line of ours
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.files import write_whole
from vmgen_build.host.owners import changed_by_others, others_write, own_users
from vmgen_build.host.regular import open_regular

TAG = "CACHEDIR.TAG"
OURS = "# A cache of vmgen-build, which removes what it made here (vmgen-build cache prune)."
MARK = f"Signature: 8a477f597d28d172789f06886806bc55\n{OURS}\n# About such tags: https://bford.info/cachedir/\n"

_NOTHING = re.compile(rf"README\.md|\.gitignore|lost\+found|facts|\.{re.escape(TAG)}\.part-[0-9a-f]+")
"""What a folder may hold that is marked as a cache as if it were empty; facts/: what was asked of archives."""

_EARLIER = {"layers": re.compile(r"[0-9a-f]{32}"), "locks": re.compile(r"[^/]+\.(make|use)")}
"""Folders by which a cache of an earlier version, without a mark, is known: all that they hold is of this form."""

PRIVATE, PASSABLE, READABLE = 0o700, 0o711, 0o755
"""Modes of a cache's folders."""


def check_cache(cache: Path, *, shared: bool = False) -> None:
    """Whether the folder may serve as a cache. Changes nothing. shared: others may be able to change it.

    Raises HostError that says why not, and what to do.
    """
    if cache.exists() and not cache.is_dir():
        raise HostError(f"the cache {cache} is no folder; choose another with --cache")
    reason = changed_by_others(cache)
    if reason and not shared:
        raise HostError(
            f"the cache {cache} could be changed by others: {reason}. Make it yours alone (chown, chmod go-w),"
            " choose another with --cache, or give --shared-cache, which checks each layer before it is used"
        )
    if cache.exists() and not is_ours(cache):
        _require_unused(cache)


def is_ours(cache: Path) -> bool:
    """Whether it carries our mark."""
    try:
        with open_regular(cache / TAG, follow=False) as file:
            known = os.fstat(file.fileno()).st_uid in own_users()
            return known and OURS.encode() in file.read(4096).splitlines()
    except OSError:
        return False


def is_cache(cache: Path) -> bool:
    """Whether it carries our mark, or is the cache of an earlier version, which gets it by the next build."""
    return is_ours(cache) or _has_earlier_form(cache)


def claim_cache(cache: Path) -> None:
    """Make the folder where it is not there, and mark it where it holds nothing of others.

    Raises HostError where it cannot be made, or holds what is not ours.
    """
    if is_ours(cache):
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _require_unused(cache)
    except OSError as error:
        raise HostError(f"cannot make the cache {cache}: {error.strerror}; choose another with --cache") from error
    write_whole(cache / TAG, MARK)


def own_folder(cache: Path, name: str, mode: int = PRIVATE) -> Path:
    """A folder of the cache, made where it is not there: "locks", "downloads/ostemplates". Its mode, and that of each
    on the way to it, is brought down to `mode` where it allows more.

    Raises HostError where it cannot be made, where a link or a file has its name, and where it is of another user.
    """
    claim_cache(cache)
    folder = cache
    for part in Path(name).parts:
        folder = folder / part
        make_own(folder, mode)
    return folder


def is_own_folder(cache: Path, name: str) -> bool:
    """Whether it is there, and neither it nor one on the way to it is a link, or can be changed by others."""
    folder = cache
    for part in Path(name).parts:
        folder = folder / part
        try:
            info = folder.lstat()
        except OSError:
            return False
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in own_users() or others_write(info):
            return False
    return True


def make_own(folder: Path, mode: int) -> None:
    """One folder as `own_folder` makes it, whether or not the cache has our mark. Raises HostError."""
    try:
        folder.mkdir(mode=mode, exist_ok=True)
        info = folder.lstat()
        if stat.S_IMODE(info.st_mode) & ~mode & 0o077 and stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid():
            folder.chmod(mode)
            info = folder.lstat()
    except OSError as error:
        raise HostError(f"cannot make the folder {folder}: {error.strerror}; choose another with --cache") from error
    if not stat.S_ISDIR(info.st_mode):
        raise HostError(f"{folder} is a link, not a folder; remove it, or choose another cache with --cache")
    if info.st_uid not in own_users() or others_write(info):
        raise HostError(f"others can change {folder}; remove it, or choose another cache with --cache")


def _require_unused(cache: Path) -> None:
    """Raises HostError where the folder holds what no cache of ours holds."""
    names = [name for name in os.listdir(cache) if not _NOTHING.fullmatch(name)]  # noqa: PTH208
    if names and not _has_earlier_form(cache) and not is_ours(cache):  # another build may have marked it meanwhile
        raise HostError(
            f"{cache} is not empty and no cache of vmgen-build, which removes files from its cache: it holds"
            f" {sorted(names)[0]!r}, and no {TAG} of ours. Choose a new or empty folder with --cache"
        )


def _has_earlier_form(cache: Path) -> bool:
    return all(_is_earlier(cache / name, form) for name, form in _EARLIER.items())


def _is_earlier(folder: Path, form: re.Pattern[str]) -> bool:
    try:
        info = folder.lstat()
        right = stat.S_ISDIR(info.st_mode) and info.st_uid in own_users() and not others_write(info)
        return right and all(form.fullmatch(path.name) for path in folder.iterdir())
    except OSError:
        return False
