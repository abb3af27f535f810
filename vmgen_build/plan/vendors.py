"""Repositories of vendors, which programs of the catalogue come from: a recipe that asks for the program gets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vmgen_build.catalogue.programs import Program, VendorRepository
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.systems.model import System


def vendor_repositories(recipe: Recipe) -> Mapping[str, VendorRepository]:
    """By their names; not those whose name one of the recipe's own has."""
    found = (recipe.catalogue.resolve(wish.name, wish.choice, recipe.hardware.os) for wish in recipe.wishes)
    needed = (program.repository for program in found if isinstance(program, Program) and program.repository)
    return {one.name: one for one in needed if one.name not in recipe.config.repos}


def as_repository(vendor: VendorRepository, key: Path, system: System) -> Repository:
    """As a recipe would have it. Of the package manager's variables, those that its family's all know are filled in."""
    url = vendor.url.replace("$basearch", system.own_arch).replace("$releasever", system.version)
    return Repository(
        name=vendor.name,
        url=url or None,
        suite=vendor.suite or None,
        components=vendor.components,
        line=vendor.line or None,
        key=key,
        fingerprint=(vendor.fingerprint,),
    )
