"""A window on the screen of a machine in QEMU: a viewer of VNC (RFC 6143), which speaks to QEMU by a connection of
ours.

QEMU itself, which foreign data may break, gets no way to the display of the user, and listens nowhere. The viewer's
connection stays in the worker's own network, where nobody else is.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.qemu.process import Qemu
from vmgen_build.guests.qemu.qmp import QmpError
from vmgen_build.host.environment import own
from vmgen_build.host.programs import find_program
from vmgen_build.host.run import NULL, kill, start
from vmgen_build.host.system import how_to_get

HOST, PORT = "127.0.0.1", 5900
"""Of the display 0, as viewers count."""

VIEWERS = {"remote-viewer": f"vnc://{HOST}:{PORT}", "vncviewer": f"{HOST}:0", "gvncviewer": f"{HOST}:0"}
"""Programs that there may be, and how each is asked to show it: of virt-viewer, TigerVNC and others, gtk-vnc."""

PACKAGE = "virt-viewer"

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_ITS_OWN = (*DISPLAYS, "XAUTHORITY", "XDG_RUNTIME_DIR", "HOME", "LANG", "XDG_SESSION_TYPE", "DBUS_SESSION_BUS_ADDRESS")

TICK = 0.2
AT_ONCE = 3.0
"""Seconds: a viewer that ends sooner has shown nothing."""


def viewer() -> str:
    """The program. Raises HostError where there is none, or no display."""
    if not any(own(DISPLAYS).values()):
        raise HostError(
            "--window: there is no display here: $DISPLAY and $WAYLAND_DISPLAY are not set. Leave --window out, or call"
            " sudo with --preserve-env=DISPLAY,WAYLAND_DISPLAY,XAUTHORITY,XDG_RUNTIME_DIR"
        )
    found = next(filter(find_program, VIEWERS), None)
    if found is None:
        raise HostError(f"--window: this host lacks a viewer ({', '.join(VIEWERS)}); {how_to_get([PACKAGE])}")
    return found


def show(qemu: Qemu, gone: Callable[[], bool]) -> None:
    """Until the window is closed, or the machine is gone. Raises BuildError where no window opens."""
    name = viewer()
    with socket.create_server((HOST, PORT)) as server:
        threading.Thread(target=_hand_over, args=(server, qemu), daemon=True).start()
        began = time.monotonic()
        process = start([*_as_the_user(), name, VIEWERS[name]], stdout=NULL, stderr=NULL, env=own(_ITS_OWN))
        try:
            while process.poll() is None and not gone():
                time.sleep(TICK)
            if (process.poll() or 0) > 0 and time.monotonic() - began < AT_ONCE:
                raise BuildError(f"{name} opens no window: it ended with {process.returncode}; try it by itself")
        finally:
            kill(process)


def _hand_over(server: socket.socket, qemu: Qemu) -> None:
    """Each connection of the viewer becomes QEMU's."""
    with suppress(OSError, QmpError):
        while True:
            connection, _ = server.accept()
            with connection:
                qemu.control.give_fd("viewer", connection.fileno())
                qemu.control.execute("add_client", protocol="vnc", fdname="viewer", skipauth=True)


def _as_the_user() -> list[str]:
    """Whoever called sudo owns the display; words that stand before the viewer's."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"] if uid and gid else []
