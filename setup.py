"""All settings stand in setup.cfg but these: its find: sees no package outside the folder that it looks through, and it
says nothing of files that are made of others (vmgen_build/ahead.py)."""

import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildAhead(build_py):
    """Where the checkout itself is what is installed, what is made goes beside its own files."""

    def run(self) -> None:
        super().run()
        sys.path.insert(0, str(ROOT))
        from vmgen_build.catalogue.catalogue import code_of_programs
        from vmgen_build.plan.text.compiling import code_of_templates

        for path, code in (*code_of_templates(self._templates), *code_of_programs(self._programs)):
            path.write_text(code, encoding="utf-8")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        sources = [] if self.editable_mode else [*self._templates.rglob("*.j2"), *self._programs.glob("*.ini")]
        made = [f"{path}.py" for path in sources if Path(f"{path}.py").is_file()]
        return [*super().get_outputs(include_bytecode), *made]

    @property
    def _templates(self) -> Path:
        return ROOT / "templates" if self.editable_mode else Path(self.build_lib, "vmgen_build", "templates")

    @property
    def _programs(self) -> Path:
        return Path(ROOT if self.editable_mode else self.build_lib, "vmgen_build", "catalogue", "data")


setup(
    packages=[*find_packages(include=["vmgen_build*"]), "vmgen_build.templates", "vmgen_build.recipes"],
    cmdclass={"build_py": BuildAhead},
)
