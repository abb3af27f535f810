"""The images in CD drives: found before a build, carried by the artifacts, never swapped unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.backends.machines.cds import CdImage, copied, images_of, images_part, unchanged
from vmgen_build.backends.registry import backend_named
from vmgen_build.errors import BuildError, HostError, RecipeError
from vmgen_build.host.files import Written
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

Make = Callable[[str], Recipe]

TWO = "[[cds]]\n[[[cd0]]]\nimage = isos/a.iso\n[[[cd1]]]\nimage = {}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Make:
    (tmp_path / "isos").mkdir()
    (tmp_path / "isos/a.iso").write_bytes(b"a" * 3000)
    (tmp_path / "b.iso").write_bytes(b"b" * (3 << 20))

    def make(hardware: str) -> Recipe:
        path = tmp_path / "r.ini"
        path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12\n{hardware}")
        return load(path)

    return make


def plan(recipe: Recipe, backend: str = "kvm") -> Plan:
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None))


def test_the_plan_knows_each_image(recipe: Make, tmp_path: Path) -> None:
    one = recipe(TWO.format(tmp_path / "b.iso"))
    assert images_of(images_part(one)) == [
        CdImage(0, "isos/a.iso", 3000, hashlib.sha256(b"a" * 3000).hexdigest()),
        CdImage(1, str(tmp_path / "b.iso"), 3 << 20, hashlib.sha256(b"b" * (3 << 20)).hexdigest()),
    ]
    assert images_part(recipe("[[cds]]\n[[[cd0]]]\n")) == {} and images_of({}) == []
    before = plan(one).id
    (tmp_path / "b.iso").write_bytes(b"c" * (3 << 20))
    assert plan(one).id != before


@pytest.mark.parametrize("backend", ["kvm", "vmware"])
def test_what_cannot_be_read_is_reported_at_its_line(recipe: Make, tmp_path: Path, backend: str) -> None:
    (tmp_path / "folder").mkdir()
    one = recipe("[[cds]]\n[[[cd0]]]\nimage = no-such.iso\n[[[cd1]]]\nimage = folder\n")
    with pytest.raises(RecipeError) as caught:
        backend_named(backend).part(one, None)
    missing, folder = caught.value.problems
    assert (missing.where.line, missing.path) == (6, "[hardware.cds.cd0] image")
    assert "no-such.iso' cannot be read: No such file or directory" in missing.text
    assert folder.where.line == 8 and "is not a file; give the path of an ISO image" in folder.text


def test_names_that_clash_in_an_ova_are_reported_at_their_line(recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "a.iso").write_bytes(b"other")
    one = recipe(TWO.format("a.iso"))
    with pytest.raises(RecipeError, match=r"is called 'a\.iso' too") as caught:
        plan(one, "vmware")
    assert [problem.where.line for problem in caught.value.problems] == [8]
    assert len(images_of(plan(one).build_recipe)) == 2


def test_the_domain_names_the_copies(recipe: Make) -> None:
    text = plan(recipe(TWO.format("b.iso").replace("[[[cd0]]]\n", "[[[cd0]]]\nconnected = no\n")))
    assert "/lab-kvm-amd64-cd1.iso" in text.build_recipe["domain.xml"]
    assert "cd0.iso" not in text.build_recipe["domain.xml"]


def test_a_copy_is_whole_or_not_there(recipe: Make, tmp_path: Path) -> None:
    one = plan(recipe(TWO.format("b.iso")))
    image, goal = images_of(one.build_recipe)[1], tmp_path / "copy.iso"
    written = copied(one, image, goal)
    assert goal.read_bytes() == (tmp_path / "b.iso").read_bytes()
    assert (written.size, written.sha256) == (image.size, image.sha256)
    assert unchanged(one, image).path == tmp_path / "b.iso"
    goal.unlink()
    (tmp_path / "b.iso").write_bytes(b"c" * (3 << 20))
    ways: list[Callable[[], Written]] = [lambda: copied(one, image, goal), lambda: unchanged(one, image)]
    for work in ways:
        with pytest.raises(BuildError, match=r"b\.iso changed since the build began; build again"):
            work()
    (tmp_path / "b.iso").unlink()
    for work in ways:
        with pytest.raises(BuildError, match=r"cannot read .*b\.iso: No such file"):
            work()
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_full_disk_is_reported(recipe: Make, tmp_path: Path) -> None:
    one = plan(recipe(TWO.format("b.iso")))
    with pytest.raises(HostError, match="cannot write"):
        copied(one, images_of(one.build_recipe)[1], tmp_path / "no-such-folder" / "copy.iso")
