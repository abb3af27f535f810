"""What a program that signs is to a build, and to verify."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vmgen_build.host.programs import Requirement

NAMESPACE = "vmgen-build"
"""What a signature is for, where its format says so: one that was made for mail or for git is none of ours."""


class Signer(ABC):
    """A program that makes detached signatures, and checks them.

    scheme: before the colon of --sign. ending: of a signature's file. program: by which it signs.
    """

    scheme: ClassVar[str]
    ending: ClassVar[str]
    program: ClassVar[Requirement]

    @abstractmethod
    def require(self, key: str) -> None:
        """Raises HostError, or UsageError, where this key cannot sign now: asked before a build begins."""

    @abstractmethod
    def signature(self, data: bytes, name: str, key: str, old: bytes) -> bytes:
        """A signature over `data`, the content of a file of this name. `old` itself where that is one by this key which
        holds; b"" for none. Raises BuildError, HostError."""

    @abstractmethod
    def takes(self, keys: bytes) -> bool:
        """Whether a file of public keys is one of this program's."""

    @abstractmethod
    def who(self, data: bytes, signature: bytes, keys: bytes) -> str:
        """Who signed, as the file of public keys names them. Raises ValueError that says why it is no good signature,
        HostError where the program is not there."""
