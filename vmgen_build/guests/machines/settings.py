"""A package manager's settings as a machine takes them that reaches this host under an address of its own."""

from __future__ import annotations

from collections.abc import Mapping

LOCAL = (b"//127.0.0.1", b"//localhost", b"//[::1]")
"""How a package manager's settings name this host."""


def settings_for(settings: Mapping[str, bytes], host: str, name_servers: str) -> Mapping[str, bytes]:
    """settings: name of a file -> content. host: this one's address there, with brackets where it is IPv6's.
    name_servers: what is put into resolv.conf; "" where the machine has its own."""
    found = {"resolv.conf": name_servers.encode()} if name_servers else {}
    for name, content in settings.items():
        for local in LOCAL:
            content = content.replace(local, f"//{host}".encode())
        found[name] = content
    return found
