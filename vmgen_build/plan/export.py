"""A plan written out to be read: what `vmgen-build compile` leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from vmgen_build.errors import HostError
from vmgen_build.filenames import require_file_name, wrong_file_name
from vmgen_build.host.regular import open_regular, read_regular
from vmgen_build.host.remove import open_folder, remove_tree
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import PLAN
from vmgen_build.plan.model import Plan, StepFile

SUFFIXES = {"sh": ".sh", "batch": ".bat"}


class _Folder:
    """An open folder in which nothing is written through a link: what has the name is replaced."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def close(self) -> None:
        os.close(self._descriptor)

    def put(self, name: str, content: BinaryIO, mode: int = 0o644) -> Path:
        try:
            self.remove(name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(content, file)
                os.fchmod(descriptor, mode)
        except OSError as error:
            error.filename = str(self.path / name)
            raise
        return self.path / name

    def put_text(self, name: str, text: str, mode: int = 0o644) -> Path:
        return self.put(name, BytesIO(text.encode()), mode)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        remove_tree(Path(name), self._descriptor)

    @contextmanager
    def inner(self, name: str) -> Iterator[_Folder]:
        """A folder of this one, which is made where it is not there. Raises OSError; ENOTDIR for a link."""
        try:
            if not os.path.lexists(self.path / name):
                os.mkdir(name, dir_fd=self._descriptor)
            descriptor = open_folder(name, self._descriptor)
        except OSError as error:
            error.filename = str(self.path / name)
            raise
        with closing(_Folder(self.path / name, descriptor)) as folder:
            yield folder


def export(plan: Plan, out: Path, inner: str = "", extra: Mapping[str, str] = MappingProxyType({})) -> list[Path]:
    """Write the plan into a folder; the paths written, in order.

    NN-STEP.sh               each step's script
    files/NN-STEP/NAME       what it carries into the guest; secrets are named in plan.json, their values nowhere,
                             and so is what a build downloads
    NAME                     the backend's own files (lxc: config, metadata.yaml), and `extra`, by name
    plan.json                the plan as data

    inner: the name of a folder of `out` to write into. `out` itself may be a link, as the caller named it.
    What an earlier export left there for steps that are no more is removed; nothing else is touched, and nothing is
    written through a link that lies there. Raises HostError where the folder cannot be written, ValueError where a name
    of `extra` is no plain file name.
    """
    for name in extra:
        require_file_name(name, "a backend's")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            top = _Folder(out, os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            folder = stack.enter_context(closing(top))
            if inner:
                folder = stack.enter_context(folder.inner(inner))
            _remove_earlier(folder)
            backend = [folder.put_text(name, text) for name, text in sorted({**extra, **plan.build_recipe}.items())]
            return [*_steps(plan, folder), *backend, folder.put_text("plan.json", plan.to_json())]
    except OSError as error:
        place = error.filename or out
        raise HostError(f"cannot write '{place}': {error.strerror}; choose another folder with --output") from error


def step_file_name(index: int, name: str, dialect: str) -> str:
    return f"{index:02d}-{name}{SUFFIXES[dialect]}"


def _steps(plan: Plan, out: _Folder) -> Iterator[Path]:
    for index, step in enumerate(plan.steps, 1):
        yield out.put_text(step_file_name(index, step.name, step.dialect), step.script, 0o755)
        files_here = [file for file in step.files if file.source or not file.urls]
        if files_here:
            with ExitStack() as stack:
                files = stack.enter_context(out.inner("files"))
                own = stack.enter_context(files.inner(f"{index:02d}-{step.name}"))
                yield from [_carried(file, own) for file in files_here]


def _carried(file: StepFile, folder: _Folder) -> Path:
    mode = file.mode & 0o700 if file.private else file.mode
    if file.source is None:
        return folder.put(file.name, BytesIO(file.content or b""), mode)
    with open_regular(file.source) as source:
        return folder.put(file.name, source, mode)


def _remove_earlier(out: _Folder) -> None:
    """By the plan.json of the earlier export, which says what it wrote; a foreign file of that name is left alone."""
    try:
        steps = parse_json(read_regular(out.path / "plan.json", PLAN), PLAN)["steps"]
        names = [(str(step["name"]), str(step["dialect"])) for step in steps]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for index, (name, dialect) in enumerate(names, 1):
        if not wrong_file_name(name) and dialect in SUFFIXES:
            out.remove(step_file_name(index, name, dialect))
            _remove_files(out, f"{index:02d}-{name}")


def _remove_files(out: _Folder, name: str) -> None:
    if os.path.lexists(out.path / "files"):
        with out.inner("files") as files:
            files.remove_tree(name)
