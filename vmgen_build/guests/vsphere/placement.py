"""Where a build's machines go on a vSphere server, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.errors import UsageError

TYPES = ("nat", "bridged", "hostonly")
"""Types of a recipe's network adapters that --map maps."""


@dataclass(frozen=True, slots=True)
class Placement:
    """datastore, pool, folder, esxi: names, or ends of paths, as the server has them; "" for what is there. networks:
    pairs of an adapter's type and the network that stands for it. storage_policy: by its name, "" for none."""

    datastore: str = ""
    pool: str = ""
    folder: str = ""
    networks: tuple[tuple[str, str], ...] = ()
    esxi: str = ""
    storage_policy: str = ""

    @property
    def given(self) -> tuple[str, ...]:
        """The options that say so."""
        options = {
            "--datastore": self.datastore,
            "--pool": self.pool,
            "--folder": self.folder,
            "--map": self.networks,
            "--esxi": self.esxi,
            "--storage-policy": self.storage_policy,
        }
        return tuple(name for name, value in options.items() if value)

    def network_for(self, kind: str) -> str:
        """kind: an adapter's type. "" where none is named."""
        return dict(self.networks).get(kind, "")


ANYWHERE = Placement()


def parse_map(text: str) -> tuple[str, str]:
    """TYPE=NETWORK. Raises UsageError."""
    kind, equals, network = text.partition("=")
    if not equals or kind.strip() not in TYPES or not network.strip():
        raise UsageError(
            f"--map '{text}': write it as TYPE=NETWORK, as in --map 'nat=VM Network'; types are {', '.join(TYPES)}"
        )
    return kind.strip(), network.strip()


def parse_maps(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Raises UsageError, also where one type is mapped twice."""
    found: dict[str, str] = {}
    for kind, network in map(parse_map, texts):
        if found.setdefault(kind, network) != network:
            raise UsageError(f"--map: {kind} is mapped to '{found[kind]}' and to '{network}'; leave one out")
    return tuple(found.items())
