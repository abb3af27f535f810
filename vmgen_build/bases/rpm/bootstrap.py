"""A base of rpm packages, put into an empty folder by dnf or zypper of this host."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vmgen_build.bases.devices import devices, require_own_architecture
from vmgen_build.bases.hostkeys import keys_for
from vmgen_build.bases.soundkeys import sound_keys
from vmgen_build.bases.supply import Making
from vmgen_build.errors import BuildError, HostError, StepFailed
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.host.files import write_private
from vmgen_build.host.regular import read_regular
from vmgen_build.host.run import run, run_lines
from vmgen_build.installers import rpm
from vmgen_build.limits import INSTALLING, KEY_FILE
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.systems.model import System
from vmgen_build.text import LastLines

Command = Callable[[Path], Sequence[str | Path]]
"""Of the folder with the repositories, the program's words."""


def bootstrap(
    base: Bootstrapped,
    making: Making,
    system: System,
    mirror: str | None,
    command: Command,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Put the base's packages into making.root; each is checked by the keys of the system.

    command: of the folder with the repositories; settings: further files there, name -> text.
    Raises StepFailed with the last lines of the program or of rpm, HostError where this host has no keys.
    """
    require_own_architecture(system)
    keys = keys_for(base, system)
    root, home, repos = making.root, making.scratch / "home", making.scratch / "repos"
    for folder in (root, home, repos):
        folder.mkdir(parents=True)
    macros = "".join(f"%{name} {value}\n" for name, value in system.rpm_macros.items())
    write_private(home / ".rpmmacros", macros)
    (home / "keys").write_bytes(_sound(keys) if base.keys is not None else read_regular(keys, KEY_FILE))
    _require_database(system, home)
    more = ["gpgcheck=1", f"gpgkey=file://{home / 'keys'}", "type=rpm-md"]
    text = "".join(rpm.repository_text(name, url, [], more) for name, url, _ in rpm.addresses(system, mirror))
    for name, content in {"vmgen.repo": text, **settings}.items():
        write_private(repos / name, content)
    variables = {**own(PROXIES), "HOME": str(home), "SOURCE_DATE_EPOCH": str(base.epoch)}
    tail = LastLines(making.output)
    commands: list[Sequence[str | Path]] = [["rpm", "--root", root, "--import", home / "keys"], command(repos)]
    with devices(root):
        for words in commands:
            code = run_lines(words, tail, env=variables, timeout=float(INSTALLING.amount))
            if code != 0:
                raise StepFailed("base", code, tail.lines, None)
    for folder in (home, repos):
        shutil.rmtree(folder)


def _sound(keys: Path) -> bytes:
    """Those that a recipe names. Raises BuildError."""
    try:
        return sound_keys(read_regular(keys, KEY_FILE))
    except (ValueError, OSError) as error:
        raise BuildError(f"[hardware] base_key: the file of keys {keys} cannot be used: {error}") from error


def _require_database(system: System, home: Path) -> None:
    """Raises HostError where rpm of this host writes no database that the system's own rpm reads."""
    done = run(["rpm", "--dbpath", home / "database", "--initdb"], env={"HOME": str(home)})
    if "_db_backend" in done.err.decode(errors="replace"):
        raise HostError(
            f"rpm of this host cannot write the database that {system.name} reads"
            f" ({system.rpm_macros.get('_db_backend', '')}); name a base: [hardware] base = FILE, URL or images:ALIAS"
        )
