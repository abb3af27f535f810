"""Artifacts that are taken only where SHA256SUMS beside them is signed, and all their files are those that it lists."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.artifacts.beside import ENDINGS, beside
from vmgen_build.artifacts.manifest import check_described, manifest_bytes, manifest_in, manifest_path
from vmgen_build.artifacts.sums import NAME, sums_in
from vmgen_build.build.questions import Asker, Questions, of_own
from vmgen_build.build.signed import signer_of
from vmgen_build.errors import HostError
from vmgen_build.events import ProbeDone
from vmgen_build.host.files import sha256_of
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SUMS


@dataclass(frozen=True, slots=True)
class SignedSums:
    """digests: file name -> sha256, of a SHA256SUMS at `path` that `signer` has signed."""

    path: Path
    digests: Mapping[str, str]
    signer: str

    @classmethod
    def beside(cls, artifact: Path, key: Path) -> SignedSums:
        """Raises HostError where there is none, or it is not signed by a key of this file."""
        path = artifact.with_name(NAME)
        try:
            data = read_regular(path, SUMS)
        except OSError as error:
            raise HostError(
                f"cannot read {path}: {error.strerror}; the signature that --key asks for is over this file: keep it"
                " beside the image"
            ) from error
        signer = signer_of(data, path, key)
        return cls(path, sums_in(data), signer)

    def require(self, path: Path, digest: str) -> None:
        """Raises HostError where a file is not listed, or as another one."""
        listed = self.digests.get(path.name)
        if listed is None:
            raise HostError(f"{path} is not listed in {self.path}, which is what was signed; fetch both again")
        if listed != digest:
            raise HostError(
                f"{path} is not the file that {self.path} lists: its sha256 differs, and that list is signed by"
                f" {self.signer}; fetch it again"
            )


def keyed_questions(key: Path) -> Asker:
    """Those of an artifact's own manifest, where all its files are as somebody signed them. key: a file of public keys,
    as of signed.signer_of. Raises HostError naming the file that is not."""

    def ask(artifact: Path) -> Questions:
        sums = SignedSums.beside(artifact, key)
        path = manifest_path(artifact)
        try:
            data = manifest_bytes(path)
        except FileNotFoundError as error:
            raise HostError(f"{artifact} has no manifest: there is no {path.name} beside it") from error
        sums.require(path, hashlib.sha256(data).hexdigest())
        manifest = manifest_in(data, path)
        for file in manifest["files"]:
            sums.require(artifact.with_name(file["name"]), file["sha256"])
        check_described(artifact, manifest, path)
        looked = (_sums(sums), *_described(artifact, sums))
        return replace(of_own(artifact, manifest), signer=sums.signer, looked=looked)

    return ask


def also_signed(ask: Asker, key: Path) -> Asker:
    """The questions of others, to artifacts of which the same holds."""

    def asked(artifact: Path) -> Questions:
        sums = SignedSums.beside(artifact, key)
        for path in (artifact, manifest_path(artifact)):
            if path == artifact or path.exists():
                sums.require(path, _digest(path))
        looked = (_sums(sums), *_described(artifact, sums))
        return replace(ask(artifact), looked=looked)

    return asked


def _described(artifact: Path, sums: SignedSums) -> list[ProbeDone]:
    """What else describes the artifact: what is listed and not there was not fetched, which harms nothing."""
    found = []
    for ending in ENDINGS:
        path = beside(artifact, ending)
        if path.exists():
            sums.require(path, _digest(path))
            found.append(_done(path.name, "holds", f"the sha256 of {NAME}"))
        elif path.name in sums.digests:
            found.append(_done(path.name, "skipped", "it is listed, and not there"))
    return found


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _sums(sums: SignedSums) -> ProbeDone:
    return _done(NAME, "holds", f"signed by {sums.signer}")


def _done(setting: str, outcome: str, found: str) -> ProbeDone:
    return ProbeDone(probe="signed", setting=setting, outcome=outcome, found=found, origin="the file itself")
