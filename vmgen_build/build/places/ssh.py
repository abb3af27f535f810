"""--host ssh://[USER@]NAME[:PORT]: a node that is reached by ssh."""

from __future__ import annotations

from vmgen_build.build.places.nodes.place import NodePlace

PLACE = NodePlace
