"""An artifact that was booted in order to be looked at or used."""

from __future__ import annotations

from abc import ABC, abstractmethod

from vmgen_build.guests.model import Communicator


class Booted(ABC):
    """A machine made from an artifact, up and running, with the network that its recipe expects around it."""

    @property
    @abstractmethod
    def communicator(self) -> Communicator: ...

    @abstractmethod
    def reach(self, address: str, port: int) -> str:
        """Ask from outside: "open" (connected or refused), or "closed" (no answer)."""
