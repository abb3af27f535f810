"""What is made of files of the tool's own when it is installed, as Python code beside each: NAME.j2.py, NAME.ini.py.

setup.py writes it, and Python keeps it compiled as all its code. It is used where it was made of the very file that is
there: whoever edits a template of a checkout sees the change at once. Code beside files of others is never run.
"""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from typing import Any

SUFFIX = ".py"
_MADE_OF = "made_of"


def made_ahead(file: str, digest: str, **given: Any) -> dict[str, Any] | None:
    """The names that the code beside the file defines, run with those given; None where there is no such code, where
    it was not made of what has this digest, or where it is cut off or wants another version of Jinja."""
    names = dict(given)
    try:
        code = SourceFileLoader(file, file + SUFFIX).get_code(file)
        if code is not None:
            exec(code, names)  # noqa: S102 - it is shipped, as all code of this package
    except (FileNotFoundError, ImportError, SyntaxError):
        return None
    return names if names.get(_MADE_OF) == digest else None


def marked(code: str, digest: str) -> str:
    """The text of the code, for a file; digest: of all that it was made of."""
    return f"{code}\n{_MADE_OF} = {digest!r}\n"
