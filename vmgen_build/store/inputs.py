"""What each step of a recipe's last build depended on, so that a later one can say what is another now.

cache/records/inputs-KEY.json   KEY: of the recipe, the backend and the place

{"format": 1, "when": seconds, "tool": "0.1.0", "made": "...", "failed": "", "salt": "hex",
 "stages": [{"name", "title", "id", "texts": {}, "values": {}, "digests": {}}]}

No secret stands in it, and no digest of one that can be guessed at quickly: see build.inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.files import write_whole
from vmgen_build.host.regular import open_regular
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import CACHE_RECORD, INPUT_ENTRIES
from vmgen_build.store.cachedir import own_folder

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StageInputs:
    """Of the base, a step, or the packing; each kind by name. texts: compared line by line. values: shown as they are.
    digests: of what is not kept."""

    name: str
    title: str
    id: str
    texts: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LastBuild:
    """when: seconds since the epoch. tool: the version that built. made: what tells what came out from all else.
    failed: name of the step that failed; "" where all was built. salt: of the digests of what is secret."""

    when: float
    tool: str
    made: str
    failed: str
    salt: bytes
    stages: tuple[StageInputs, ...]


def inputs_key(recipe: Path, backend: str, host: str) -> str:
    return hashlib.sha256("\0".join((str(recipe.resolve()), backend, host)).encode()).hexdigest()[:32]


def read_inputs(cache: Path, key: str) -> LastBuild | None:
    """None where nothing was built yet, or it cannot be understood. Raises HostError where it is not ours to read."""
    path = _path(cache, key)
    try:
        with open_regular(path, follow=False) as file:
            return _parsed(Field(parse_json(file.read(CACHE_RECORD.amount + 1), CACHE_RECORD)))
    except PermissionError as error:
        raise HostError(
            f"what the last build was made from is kept in {path.parent}, which this user may not read; run it as the"
            " user that builds"
        ) from error
    except (OSError, ValueError):
        return None


def write_inputs(cache: Path, key: str, last: LastBuild) -> None:
    """Raises HostError where it cannot be written, or is too large to be read again."""
    stages = [asdict(stage) for stage in last.stages]
    data = {"format": FORMAT, "when": last.when, "tool": last.tool, "made": last.made, "failed": last.failed}
    text = json.dumps({**data, "salt": last.salt.hex(), "stages": stages}) + "\n"
    if len(text) > CACHE_RECORD.amount:
        raise HostError(f"the inputs of a build are not kept: {CACHE_RECORD.exceeded}")
    write_whole(own_folder(cache, "records") / _path(cache, key).name, text)


def _path(cache: Path, key: str) -> Path:
    return cache / "records" / f"inputs-{key}.json"


def _parsed(data: Field) -> LastBuild:
    data["format"].whole(FORMAT, FORMAT)
    return LastBuild(
        when=data["when"].number(0, 1 << 40),
        tool=data["tool"].text(64),
        made=data["made"].text(4096),
        failed=data["failed"].text(255),
        salt=bytes.fromhex(data["salt"].matching("[0-9a-f]{32}", "16 bytes in hexadecimal digits")),
        stages=tuple(_stage(stage) for stage in data["stages"].items(INPUT_ENTRIES)),
    )


def _stage(stage: Field) -> StageInputs:
    names = {name: stage[name].text(4096) for name in ("name", "title", "id")}
    return StageInputs(
        **names, texts=_texts(stage["texts"]), values=_texts(stage["values"]), digests=_texts(stage["digests"])
    )


def _texts(found: Field) -> dict[str, str]:
    return {name: value.text(CACHE_RECORD.amount) for name, value in found.members(INPUT_ENTRIES, key=4096)}
