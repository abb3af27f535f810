"""What Setup of Windows is run from in a build: the user's medium, drivers and tools, known by their digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vmgen_build.artifacts.media import BootCatalog, WindowsImage, boot_catalog, windows_images
from vmgen_build.build.choice import Chosen
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.bases import Medium
from vmgen_build.plan.context import Facts
from vmgen_build.recipe.recipe import Recipe

MAKER = "Microsoft"
"""What is in the name of who made a medium, of those that Microsoft gives (oscdimg writes it)."""


SHOWN = 20
"""Images of a medium that an error names."""


def choose_media(recipe: Recipe, facts: Facts) -> Chosen:
    """Of a recipe whose base is an iso:FILE. Raises RecipeError at the recipe's lines for what Setup cannot be run
    from."""
    hardware = recipe.hardware
    assert hardware.base is not None
    paths = {"base": Path(hardware.base.name), "drivers": hardware.drivers, "tools": hardware.tools}
    media = {option: _medium(recipe, option, path) for option, path in paths.items() if path is not None}
    base = media["base"]
    if hardware.base_sha256 not in (None, base.sha256):
        raise _refused(recipe, "base_sha256", f"{base.file} has the sha256 {base.sha256}; name the right file")
    catalog = boot_catalog(base.file)
    images = windows_images(base.file) or ()
    for option, text in (*_wrong(recipe, base.file, catalog), *_wrong_image(recipe, base.file, images)):
        raise _refused(recipe, option, text)
    unsure = catalog is not None and MAKER not in catalog.maker
    note = f"{base.file.name} does not say that it is {MAKER}'s; is it a medium of Windows?" if unsure else ""
    return Chosen(replace(facts, media=media, source=str(hardware.base)), note=note)


def _medium(recipe: Recipe, option: str, path: Path) -> Medium:
    try:
        return Medium(path.absolute(), sha256_of(path))
    except OSError as error:
        raise _refused(recipe, option, f"{path} cannot be read: {error.strerror}") from error


def _wrong(recipe: Recipe, path: Path, catalog: BootCatalog | None) -> Iterator[tuple[str, str]]:
    """Option and what is wrong with it."""
    if catalog is None:
        yield (
            "base",
            f"{path.name} starts no machine: it is no medium of Windows; name the image that Microsoft gives",
        )
        return
    hardware = recipe.hardware
    if hardware.firmware in catalog.firmware:
        return
    text = f"{path.name} starts no machine by {hardware.firmware}"
    asked = hardware.os.needs.firmware if hardware.os.needs else ()
    if others := sorted(catalog.firmware & set(asked)):
        option = "firmware" if "firmware" in hardware.places else "base"
        yield option, f"{text}; write firmware = {others[0]}"
    else:
        yield "base", f"{text}, as {hardware.os.title} asks; name another medium"


def _wrong_image(recipe: Recipe, path: Path, images: Sequence[WindowsImage]) -> Iterator[tuple[str, str]]:
    """The same for the images that the medium holds. images: none where that is not known."""
    hardware = recipe.hardware
    listed = ", ".join(f"{image.name} ({image.number})" for image in images[:SHOWN])
    chosen = [image for image in images if _is_meant(image, hardware.edition)]
    if not images:
        return
    if not chosen:
        yield "edition", f"{path.name} has no image '{hardware.edition}'; it has {listed}"
    elif len(chosen) > 1 and recipe.config.product_key is None:
        yield "base", f"{path.name} has several images, and Setup asks which; write edition as well: {listed}"
    elif not any(image.arch in ("", hardware.os.arch) for image in chosen):
        yield "os", f"what {path.name} installs is for {chosen[0].arch}; write {hardware.os.name}-{chosen[0].arch}"
    elif not any(image.nt in (None, hardware.os.nt) for image in chosen):
        yield (
            "os",
            f"what {path.name} installs is {chosen[0].name}, and no {hardware.os.title}; write the os that it is",
        )


def _is_meant(image: WindowsImage, edition: str | None) -> bool:
    return edition is None or edition == str(image.number) or edition.casefold() == image.name.casefold()


def _refused(recipe: Recipe, option: str, text: str) -> RecipeError:
    return RecipeError([Problem(recipe.hardware.at(option), f"[hardware] {option}", text, code="base")])
