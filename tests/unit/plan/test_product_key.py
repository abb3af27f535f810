"""A product key stands in no plan, in no file of a compiled one, and is part of no layer's id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vmgen_build.plan.export import export
from vmgen_build.plan.model import Plan

KEY = "CANAR-12345-YCANA-67890-RYCAN"


def test_no_plan_holds_a_product_key(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan = planned(f"[config]\nproduct_key = {KEY}\n")
    other = planned("[config]\nproduct_key = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE\n")
    assert plan == other and [step.id for step in plan.steps] == [step.id for step in other.steps]
    assert KEY not in repr(plan)
    files = export(plan, tmp_path / "out")
    assert any(path.name == "plan.json" for path in files)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in files)
