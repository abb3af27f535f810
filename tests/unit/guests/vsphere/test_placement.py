"""Where machines go, as the command line says it."""

from __future__ import annotations

import pytest

from vmgen_build.errors import UsageError
from vmgen_build.guests.vsphere.placement import ANYWHERE, Placement, parse_maps


def test_networks_by_the_adapters_types() -> None:
    maps = parse_maps(("nat=VM Network", " hostonly = lab = 2 ", "nat=VM Network"))
    placement = Placement(networks=maps)
    assert [placement.network_for(kind) for kind in ("nat", "hostonly", "bridged")] == ["VM Network", "lab = 2", ""]
    assert placement.given == ("--map",) and ANYWHERE.given == ()
    assert Placement(esxi="a", storage_policy="b").given == ("--esxi", "--storage-policy")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("nat",), "write it as TYPE=NETWORK"),
        (("nat=",), "write it as TYPE=NETWORK"),
        (("veth=x",), "types are nat, bridged, hostonly"),
        (("nat=a", "nat=b"), "nat is mapped to 'a' and to 'b'"),
    ],
)
def test_what_maps_nothing(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_maps(texts)
