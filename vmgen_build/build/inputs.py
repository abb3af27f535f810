"""What each stage of a plan depends on, apart from the one before it: to be kept with a build, and compared later.

What is secret, or in a file that others may not read, is there as a digest by scrypt alone: whoever reads the record
can try a password against it no faster than against /etc/shadow. A file of the recipe that holds one of its secrets is
taken so too.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vmgen_build import __version__
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.scrubbing import Scrubber
from vmgen_build.errors import HostError, StepFailed
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import INPUT_TEXT
from vmgen_build.plan.digests import FORMAT
from vmgen_build.plan.model import Plan, Step, StepFile
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.inputs import LastBuild, StageInputs, inputs_key, read_inputs, write_inputs
from vmgen_build.text import without_passwords

SCRYPT_COST = 2**13
"""scrypt's N, as of the salts of passwords (plan.steps.users)."""

PACK = "pack"

_HASHED = ("answers", "key")
"""Of a base: digests and names that are made of a password."""


@dataclass(frozen=True, slots=True)
class Describer:
    """Of one recipe. salt: 16 bytes, of the record that the digests are for."""

    scrubber: Scrubber
    salt: bytes

    def stages(self, plan: Plan, packings: Sequence[PackOptions]) -> tuple[StageInputs, ...]:
        """The base, the steps, and the packing."""
        return (self._base(plan), *map(self._step, plan.steps), self._packing(plan, packings))

    def _base(self, plan: Plan) -> StageInputs:
        content = {name: _value(value) for name, value in plan.base.content().items()}
        digests = {name: self._slow(name, content.pop(name)) for name in _HASHED if name in content}
        return StageInputs(plan.base.name, plan.base.title, plan.base.id, {}, {**content, **_format()}, digests)

    def _step(self, step: Step) -> StageInputs:
        values = {
            "dialect": step.dialect,
            "network": str(step.network),
            "reboot": str(step.reboot),
            "success": _value(step.success),
            **{f"mode:{file.name}": f"{file.mode:04o}" for file in step.files},
        }
        kind = "program" if step.installs else "repository"
        digests = {f"{kind}:{name}": _digest(text) for name, text in step.inputs.items()}
        digests |= {f"secret:{name}": self._slow(name, secret.reveal()) for name, secret in step.secrets.items()}
        texts = {"script": without_passwords(step.script)}
        for file in step.files:
            text = self._text_of(file)
            if text is None:
                digests[f"file:{file.name}"] = self._slow(file.name, file.sha256)
            else:
                texts[f"file:{file.name}"] = text
        return StageInputs(step.name, step.title, step.id, texts, {**values, **_format()}, digests)

    def _packing(self, plan: Plan, packings: Sequence[PackOptions]) -> StageInputs:
        values = {"name": plan.name, "epoch": str(plan.epoch), "format and compression": ", ".join(map(str, packings))}
        texts = {name: without_passwords(text) for name, text in plan.build_recipe.items()}
        return StageInputs(PACK, f"packing for {plan.backend}", plan.id, texts, {**values, **_format()})

    def _text_of(self, file: StepFile) -> str | None:
        """None for what is not kept: too large, no text, or not for everybody."""
        if file.private:
            return None
        data = file.content if file.content is not None else _read(file)
        if data is None or len(data) > INPUT_TEXT.amount or b"\0" in data:
            return None
        try:
            text = without_passwords(data.decode())
        except UnicodeDecodeError:
            return None
        return text if all(self.scrubber.text(line) == line for line in text.splitlines()) else None

    def _slow(self, name: str, value: str) -> str:
        salt = self.salt + name.encode()
        return hashlib.scrypt(value.encode(), salt=salt, n=SCRYPT_COST, r=8, p=1, dklen=32).hex()


def key_of(recipe: Recipe, plan: Plan, options: BuildOptions) -> str:
    return inputs_key(recipe.path, plan.backend, without_passwords(options.host))


@contextmanager
def remembered(recipe: Recipe, plan: Plan, options: BuildOptions) -> Iterator[None]:
    """Keep what a build depends on, once it is done or one of its steps has failed."""
    try:
        yield
    except StepFailed as error:
        remember(recipe, plan, options, error.step)
        raise
    remember(recipe, plan, options)


def remember(recipe: Recipe, plan: Plan, options: BuildOptions, failed: str = "") -> None:
    """Best effort: an image is no worse without it. failed: as LastBuild.failed."""
    key, packings = key_of(recipe, plan, options), options.packings(plan.backend)
    made = " ".join((plan.id, *map(str, packings)))
    with suppress(HostError, OSError):
        last = read_inputs(options.cache, key)
        if last is not None and (last.made, last.failed) == (made, failed):
            return
        salt = os.urandom(16)
        stages = Describer(Scrubber.of(recipe, plan), salt).stages(plan, packings)
        write_inputs(options.cache, key, LastBuild(time.time(), __version__, made, failed, salt, stages))


def _format() -> Mapping[str, str]:
    return {"format": str(FORMAT)}


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: StepFile) -> bytes | None:
    """What a file of this host holds, as far as it may be kept and is still that which the plan means."""
    if file.source is None:
        return None
    try:
        with open_regular(file.source) as source:
            data = source.read(INPUT_TEXT.amount + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else None
