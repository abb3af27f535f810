"""What the finished machine is kept as on a vCenter: --keep-as NAME or library:LIBRARY/NAME."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.errors import UsageError
from vmgen_build.guests.vsphere.tags import LONGEST, PREFIX

IN_LIBRARY = "library:"
FORM = "write it as --keep-as NAME, or --keep-as library:LIBRARY/NAME"


@dataclass(frozen=True, slots=True)
class Goal:
    """name: of the template. library: of the content library that it goes into, "" for the folder of machines."""

    name: str
    library: str = ""

    @property
    def kind(self) -> str:
        return "library" if self.library else "template"


def parse_goal(text: str) -> Goal:
    """A library's name may have a slash in it, a template's not. Raises UsageError."""
    rest = text.removeprefix(IN_LIBRARY)
    library, slash, name = rest.rpartition("/") if rest != text else ("", "", text)
    library, name = library.strip(), name.strip()
    if not name or (rest != text and not library):
        raise UsageError(f"--keep-as '{text}': {FORM}")
    if slash == "" and "/" in name:
        raise UsageError(f"--keep-as '{text}': a name has no slash in it; the folder is named by --folder; {FORM}")
    if len(name) > LONGEST or not text.isprintable() or any(sign in name for sign in "%\\"):
        raise UsageError(
            f"--keep-as '{text}': a template's name has up to {LONGEST} characters, and no %, backslash or control"
            " character; take another"
        )
    if name.startswith(PREFIX):
        raise UsageError(f"--keep-as '{text}': names that begin with {PREFIX} are those of builds; take another")
    return Goal(name, library)
