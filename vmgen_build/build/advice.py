"""What steps print where something well known is wrong, and what to do then: a table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST = 2
"""Causes that are named: what follows from the first is seldom another one."""


@dataclass(frozen=True, slots=True)
class Cause:
    """name: short, as docs/troubleshooting.md has it. pattern: of a line of output. advice: what is wrong, and what to
    do; {0} is the pattern's first group."""

    name: str
    pattern: re.Pattern[str]
    advice: str


def _cause(name: str, advice: str, *patterns: str) -> Cause:
    return Cause(name, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)), advice)


CAUSES = (
    _cause(
        "proxy",
        "the proxy refuses or does not answer: look at http_proxy and https_proxy ('env | grep -i proxy'),"
        " and whether it asks for a password (http://NAME:PASSWORD@HOST:PORT)",
        r"\b407\s+Proxy Authentication Required",
        r"Received HTTP code 407 from proxy",
        r"Could not resolve proxy:",
        r"Proxy CONNECT aborted",
        r"Invalid response from proxy",
    ),
    _cause(
        "name not found",
        "a name could not be resolved: try 'getent hosts deb.debian.org' on this host, and look at /etc/resolv.conf;"
        " '[config] mirror' names another mirror",
        r"Temporary failure resolving '",
        r"Could not resolve '",
        r"Could not resolve host: ",
        r"unable to resolve host address",
        r"Temporary failure in name resolution",
        r"Name or service not known",
    ),
    _cause(
        "mirror unreachable",
        "the mirror, or the way to it, does not answer: look at the network ('vmgen-build doctor'), name another by"
        " '[config] mirror', or set http_proxy; '--offline' builds from what was downloaded before",
        r"(?:Could not|Unable to|Failed to) connect to ",
        r"Cannot initiate the connection to ",
        r"Network is unreachable",
        r"Connection (?:timed out|refused|failed)",
        r"Curl error \((?:7|28)\)",
    ),
    _cause(
        "clock wrong",
        "the clock of this host is wrong, or the archive is out of date: compare 'date -u' with the time of day; where"
        " it is right, name a mirror that is kept up by '[config] mirror'",
        r"Release file for \S+ is (?:not valid yet|expired)",
        r"certificate is not yet valid",
        r"certificate has expired",
        r"Not live until ",
    ),
    _cause(
        "no space",
        "a disk is full: 'df -h' shows which; 'vmgen-build cache prune --keep 5G' makes room in the cache, --cache and"
        " --output name other folders",
        r"No space left on device",
        r"Disk quota exceeded",
        r"You don't have enough free space in",
        r"Disk Requirements:",
    ),
    _cause(
        "held lock",
        "something else holds the package manager's lock: end it, and build again; a script that starts a package"
        " manager in the background must wait for it",
        r"Could not get lock /",
        r"Unable to acquire the dpkg frontend lock",
        r"unable to lock database",
        r"System management is locked by the application",
        r"Another app is currently holding the yum lock",
    ),
    _cause(
        "no namespaces",
        "this host lets no container make namespaces: build as root of a real or virtual machine, or in a privileged"
        " container ('vmgen-build doctor' tries it)",
        r"unshare(?: failed)?: .*Operation not permitted",
        r"Failed to (?:unshare|clone)\b.*namespace",
        r"Operation not permitted - Failed to (?:unshare|clone|create)",
        r"No space left on device - Failed to (?:unshare|clone)",
    ),
    _cause(
        "AppArmor",
        "AppArmor refuses what the container does: 'dmesg | grep DENIED' says what; build on a host whose profile of"
        " lxc is loaded ('apparmor_parser -r /etc/apparmor.d/lxc-containers')",
        r"apparmor=\"DENIED\"",
        r"AppArmor profile",
        r"Failed to (?:load|change to|set) .*[Aa]pp[Aa]rmor",
        r"apparmor_\w+: .*(?:Failed|failed|No such file)",
    ),
    _cause(
        "cgroups",
        "no cgroup could be made: this needs cgroup v2 at /sys/fs/cgroup ('stat -fc %T /sys/fs/cgroup' says cgroup2fs)"
        " that root may write to; in a container, a privileged one",
        r"Failed to (?:create|setup|mount|initialize) .*cgroup",
        r"cgfsng_\w+: .*(?:Failed|failed|Read-only|denied)",
        r"cgroup\S*: (?:Permission denied|Read-only file system)",
    ),
    _cause(
        "signature",
        "the archive is signed by a key that is not known here: give the repository its 'key', or this host the"
        " distribution's keys (debian-archive-keyring, ubuntu-keyring)",
        r"NO_PUBKEY",
        r"The following signatures (?:couldn't|were) ",
        r"GPG check FAILED",
        r"Signature verification failed",
        r"is unknown trust",
    ),
    _cause(
        "unknown package",
        "no repository has the package '{0}': look at its name ('vmgen-build programs'), or name the repository that"
        " has it in '[config]'",
        r"E: Unable to locate package (\S+)",
        r"E: Package '([^']+)' has no installation candidate",
        r"No match for argument: (\S+)",
        r"No provider of '([^']+)' found",
        r"error: target not found: (\S+)",
    ),
    _cause(
        "archive changed",
        "the archive changed while it was read, or a proxy keeps old files of it: build again in some minutes",
        r"Hash Sum mismatch",
        r"File has unexpected size",
        r"\b404\s+Not Found",
        r"Mirror sync in progress",
    ),
    _cause(
        "other architecture",
        "this host cannot run programs of the image's architecture: install qemu-user-static",
        r"Exec format error",
        r"cannot execute binary file",
    ),
    _cause(
        "no memory",
        "there was not memory enough: give this host more, or swap; build fewer at a time (--jobs)",
        r"Cannot allocate memory",
        r"Out of memory",
        r"virtual memory exhausted",
    ),
    _cause(
        "missing tool",
        "the program '{0}' is not in the image: add its package to '[config] packages'",
        r": (?:\d+|line \d+): ([^\s:/]+): (?:command )?not found",
        r"env: ['‘]?([^\s'‘’:]+)['’]?: No such file or directory",
    ),
)


OF_THE_NETWORK = ("proxy", "name not found", "mirror unreachable")
"""Names of the causes that --offline has."""

OFFLINE = (
    "'--offline' keeps every step off the network, and this one asked for what the cache lacks: build once without"
    " '--offline'"
)
MAYBE_OFFLINE = (
    "'--offline' keeps every step off the network: if this one asks for something there, build once without '--offline'"
)


def cause_in(line: str) -> tuple[Cause, str] | None:
    """The first one that the line shows, and its advice."""
    for cause in CAUSES:
        if found := cause.pattern.search(line):
            named = next(filter(None, found.groups()), "")
            return cause, cause.advice.format(named)
    return None


class Causes:
    """What the lines of a step's output show, each cause once, those that came first."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def line(self, line: str) -> None:
        if found := cause_in(line):
            self._found.setdefault(found[0].name, found[1])

    def advice(self, *, offline: bool = False) -> tuple[str, ...]:
        """offline: whether what printed the lines asks for the network, and was kept off it."""
        found = (OFFLINE if offline and name in OF_THE_NETWORK else text for name, text in self._found.items())
        return tuple(dict.fromkeys(found))[:MOST]


def advice_in(lines: Iterable[str]) -> tuple[str, ...]:
    causes = Causes()
    for line in lines:
        causes.line(line)
    return causes.advice()
