"""What the test distributions' repositories hold, as data: tiny packages that really run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package. files: path -> text; what lies in a bin folder can be run. config: which of them are the user's to
    change. unit: its service, which `post` gives the distribution's preset. pre, post: lines of sh. locales: those that
    it brings, as "ro_RO", made by localedef."""

    name: str
    version: str = "1.0"
    summary: str = "A package of the tests"
    files: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    unit: str = ""
    pre: str = ""
    post: str = ""
    locales: tuple[str, ...] = ()


def program(name: str, *commands: str, version: str = "1.0", groups: tuple[str, ...] = ()) -> Package:
    """Commands that print their name and version, whatever they are asked."""
    names = commands or (name,)
    files = {f"/usr/bin/{command}": f"#!/bin/sh\necho '{command} {version}'\n" for command in names}
    return Package(name=name, version=version, files=files, groups=groups)


def service(name: str, port: int, *, version: str = "1.0", user: str = "", **more: object) -> Package:
    """A daemon that greets whoever connects to the port."""
    path, unit = f"/usr/sbin/{name}", f"/usr/lib/systemd/system/{name}.service"
    head = f"[Unit]\nDescription={name}\nAfter=network.target\n[Service]\nExecStart={path}\n"
    files = {
        path: DAEMON.format(name=name, version=version, port=port),
        unit: f"{head}[Install]\nWantedBy=multi-user.target\n",
        f"/etc/{name}.conf": f"# {name} {version}\n",
    }
    return Package(
        name=name, version=version, files=files, config=(f"/etc/{name}.conf",), unit=f"{name}.service", **more
    )  # type: ignore[arg-type]


DAEMON = """\
#!/usr/bin/python3
import socketserver, sys

class Hello(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"{name} {version}\\n")

if sys.argv[1:]:
    sys.exit("{name} version: {name}/{version}")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("0.0.0.0", {port}), Hello).serve_forever()
"""

GREETER_PORT = 7777

DEVELOPMENT = "development-tools"
"""The group of gcc, git and make: "base-devel" for pacman, the pattern "devel_basis" for zypper."""

MAIN = (
    program("vim"),
    *(program("make", groups=(DEVELOPMENT,)), program("gcc", "gcc", "cc", groups=(DEVELOPMENT,))),
    program("gcc-c++", "g++", "c++", groups=(DEVELOPMENT,)),
    *(program("git", groups=(DEVELOPMENT,)), program("valgrind"), program("tcpdump"), program("nmap"), program("htop")),
    service("nginx", 80),
    service("greeter", GREETER_PORT, recommends=("greeter-songs",), requires=("greeter-common",)),
    Package(name="greeter-common", files={"/usr/share/greeter/common": "Salve\n"}),
    Package(name="greeter-songs", files={"/usr/share/greeter/songs": "Gaudeamus\n"}),
    Package(name="left", files={"/usr/share/left": "left\n"}, conflicts=("right",)),
    Package(name="right", files={"/usr/share/right": "right\n"}, conflicts=("left",)),
    Package(name="lacking", files={"/usr/share/lacking": "\n"}, requires=("nobody-has-this",)),
    Package(name="bad-post", files={"/usr/share/bad-post": "\n"}, post="echo the post script gives up >&2\nexit 3"),
    Package(name="bad-pre", files={"/usr/share/bad-pre": "\n"}, pre="echo the pre script gives up >&2\nexit 4"),
    Package(name="unsigned", files={"/usr/share/unsigned": "\n"}),
    Package(name="wrongly-signed", files={"/usr/share/wrongly-signed": "\n"}),
)

UPDATES = (
    service("greeter", GREETER_PORT, version="1.1", recommends=("greeter-songs",), requires=("greeter-common",)),
)

OTHER = (program("elsewhere"),)
"""Of a repository that a recipe adds; signed by the stranger."""

LOCAL = (program("local-tool"),)
"""Of no repository: a file that lies beside a recipe."""

SIGNED_BY = {"unsigned": "", "wrongly-signed": "stranger"}
"""Package -> who signs it, where that is not the distribution."""
