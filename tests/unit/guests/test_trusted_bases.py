"""What a base that others made leaves of indexes and packages is no other build's; the keys of a base are in its id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmgen_build.errors import Position
from vmgen_build.guests.lxc.site import Site
from vmgen_build.plan.bases import Bootstrapped, Foreign, OsTemplate, Tarball
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_base
from vmgen_build.store.layers import Store
from vmgen_build.systems.parse import parse_system

SYSTEM = parse_system("fedora-42-amd64")
WHERE = Position("lab.ini", 3)


def bases(keys: Path) -> dict[str, Any]:
    return {
        "own": make_base(SYSTEM, Facts(release="r"), WHERE),
        "keyed": make_base(SYSTEM, Facts(release="r", keys=keys), WHERE),
        "foreign": make_base(SYSTEM, Facts(release="r", root=Tarball(Path("/x.tar"), "0" * 64)), WHERE),
        "template": make_base(SYSTEM, Facts(release="r", os_template="fedora-42", os_template_digest="0" * 64), WHERE),
    }


@pytest.mark.parametrize("name", ["own", "keyed", "foreign", "template"])
def test_only_the_distribution_s_own_programs_fetch_what_builds_share(tmp_path: Path, name: str) -> None:
    (tmp_path / "keys").write_text("keys")
    base = bases(tmp_path / "keys")[name]
    plan: Any = SimpleNamespace(base=base, system=SYSTEM, mirror="http://m.example", epoch=0, backend="lxc", steps=())
    (tmp_path / "leased").mkdir()
    site = Site(Store(tmp_path / "cache"), tmp_path / "leased", plan)
    folder = site.indexes(())
    assert site.trusted is (name == "own")
    assert folder.is_relative_to(tmp_path / "cache") is (name == "own")


def test_the_keys_of_a_base_are_in_its_id(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("keys")
    found = bases(tmp_path / "keys")
    assert isinstance(found["own"], Bootstrapped) and isinstance(found["foreign"], Foreign)
    assert isinstance(found["template"], OsTemplate)
    assert found["keyed"].id != found["own"].id
    assert replace(found["keyed"], keys=Path("/elsewhere")).id == found["keyed"].id
