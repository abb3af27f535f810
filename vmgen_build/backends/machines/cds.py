"""The images in a machine's CD drives: files of the host that go out with the machine.

A plan knows them by digest (the build recipe's cds.json), so that another content under the same name is another plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vmgen_build.backends.machines.disks import cd_name, machine_in
from vmgen_build.errors import BuildError, HostError, Problem, RecipeError
from vmgen_build.host.files import Written, sha256_of, whole_file
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Cd

IMAGES = "cds.json"
"""The build recipe's file that says which images a plan was made for; not there where no drive has one."""

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class CdImage:
    """drive: its number among the machine's CD drives. image: as the recipe has it. sha256: hex; size: bytes."""

    drive: int
    image: str
    size: int
    sha256: str


def images_part(recipe: Recipe, taken: Collection[str] | None = None) -> dict[str, str]:
    """What the build recipe holds of the images. taken: where they keep their names beside other files, those files'.

    Raises RecipeError, at the line of each image that cannot be read or has another file's name.
    """
    found: list[CdImage] = []
    problems: list[Problem] = []
    for number, cd in enumerate(recipe.hardware.cds.values()):
        others = () if taken is None else (*taken, *(Path(image.image).name for image in found))
        try:
            if cd.image:
                found.append(_found(recipe, cd, number, others))
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
    return {IMAGES: json.dumps([asdict(image) for image in found], indent=2) + "\n"} if found else {}


def images_of(build_recipe: Mapping[str, str]) -> list[CdImage]:
    return [CdImage(**image) for image in json.loads(build_recipe.get(IMAGES, "[]"))]


def unchanged(plan: Plan, image: CdImage) -> Written:
    """The image where it is. Raises BuildError where it is not what the plan was made for."""
    path = _path(plan, image)
    try:
        if path.stat().st_size == image.size and sha256_of(path) == image.sha256:
            return Written(path, image.size, image.sha256)
    except OSError as error:
        raise _unreadable(path, error) from error
    raise _changed(path)


def copied(plan: Plan, image: CdImage, goal: Path) -> Written:
    """A copy of the image. Raises BuildError as `unchanged`, HostError where there is no room; then there is none."""
    path, digest = _path(plan, image), hashlib.sha256()
    try:
        source = open_regular(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        with source, whole_file(goal) as file:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != image.sha256:
                raise _changed(path)
    except OSError as error:
        raise HostError(f"cannot write {goal}: {error.strerror}; make room there, or choose another folder") from error
    return Written(goal, image.size, image.sha256)


def copied_cds(plan: Plan, out: Path, stem: str) -> tuple[Written, ...]:
    """Copies of all images that are in a connected drive, by their names beside disks. Raises as `copied`."""
    drives = machine_in(plan.build_recipe).cds
    images = [image for image in images_of(plan.build_recipe) if drives[image.drive].connected]
    return tuple(copied(plan, image, out / cd_name(stem, image.drive)) for image in images)


def _path(plan: Plan, image: CdImage) -> Path:
    return Path(plan.recipe_path).parent / image.image


def _unreadable(path: Path, error: OSError) -> BuildError:
    return BuildError(f"[hardware] cds: cannot read {path}: {error.strerror}")


def _changed(path: Path) -> BuildError:
    return BuildError(f"[hardware] cds: {path} changed since the build began; build again")


def _found(recipe: Recipe, cd: Cd, number: int, others: Collection[str]) -> CdImage:
    """others: names of the files beside it."""
    image = cd.image or ""
    path, option = recipe.folder / image, place(("hardware", "cds", cd.name), "image")

    def problem(text: str) -> RecipeError:
        return RecipeError([Problem(cd.at("image"), option, text, code="cd-image")])

    with reading(path, cd.at("image"), option):
        size = path.stat().st_size
        if not path.is_file():
            raise problem(f"'{path}' is not a file; give the path of an ISO image, or nothing for an empty drive")
        digest = sha256_of(path)
    if path.name in others:
        raise problem(f"another file beside it in the OVA is called '{path.name}' too; give this one another name")
    return CdImage(number, image, size, digest)
