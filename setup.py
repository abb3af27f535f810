"""All settings stand in setup.cfg but one: its find: sees no package outside the folder that it looks through."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["vmgen_build*"]), "vmgen_build.templates", "vmgen_build.recipes"])
