"""--host local: this host as a node, with its own vzctl or lxc."""

from __future__ import annotations

from vmgen_build.build.places.nodes.place import NodePlace

PLACE = NodePlace
