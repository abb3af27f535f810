"""What a step's id is made of, and what plan.json shows of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vmgen_build.plan.model import Step

STEP = Step(name="packages", title="packages", script="#!/bin/sh\n", network=True)


def test_how_a_step_is_run_is_no_part_of_its_id() -> None:
    assert replace(STEP, installs=True, timeout=60.0).id == STEP.id


@pytest.mark.parametrize("changes", [{"reboot": True}, {"success": (0, 3010)}, {"network": False}, {"script": "x"}])
def test_what_its_result_depends_on_is(changes: dict[str, object]) -> None:
    assert replace(STEP, **changes).id != STEP.id  # type: ignore[arg-type]


def test_plan_json_shows_how_it_is_run() -> None:
    shown = replace(STEP, installs=True, reboot=True, timeout=60.0, success=(0, 3010)).as_dict()
    assert (shown["installs"], shown["reboot"], shown["timeout"], shown["success"]) == (True, True, 60.0, [0, 3010])
