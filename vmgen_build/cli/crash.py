"""An exception that nobody expected: one line for the user, the traceback in a file."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback

from vmgen_build import __version__
from vmgen_build.cli.common import complain
from vmgen_build.text import clean

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def report(error: Exception) -> int:
    """Print it for the user; the exit code. A full disk or a missing right is no bug, and comes without a traceback."""
    if os.environ.get("VMGEN_DEBUG"):
        complain("".join(traceback.format_exception(error)))
        return 1
    if isinstance(error, OSError) and error.errno in FULL:
        where = f" while writing {error.filename}" if error.filename else ""
        complain(
            f"error: no space left on the disk{where}; make some ('vmgen-build cache prune --older 7d') and run again:"
            " what is in the cache is intact"
        )
    elif isinstance(error, OSError) and error.errno in DENIED and error.filename:
        reason = f"{error.filename}: {error.strerror}; run as a user who may use it, or name another"
        complain(f"error: {reason}")
    else:
        what = clean("".join(traceback.format_exception_only(error)))
        complain(f"error: unexpected: {what}")
        complain(f"This is a bug in vmgen-build: please report it, with {_write(error)}")
    return 1


def _write(error: Exception) -> str:
    """A file of the traceback, or what to do where none can be written."""
    text = "".join(traceback.format_exception(error))
    head = f"vmgen-build {__version__}, Python {sys.version.split()[0]}\n"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="vmgen-build-", suffix=".traceback", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(head + text)
    except OSError:
        return "what VMGEN_DEBUG=1 prints"
    return file.name
