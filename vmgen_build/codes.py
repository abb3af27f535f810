"""The codes of problems: what kind each one is, by a name that stays. docs/messages.md lists them."""

from __future__ import annotations

CODES = {
    "address": "an address that the interface cannot have, or none where it needs one",
    "answers": "a value that the answers of Windows Setup cannot hold",
    "base": "what the recipe starts from cannot be used, or does not go with another option",
    "both": "two options that exclude each other",
    "cd-image": "the image of a CD drive cannot be used",
    "clear-password": "a password in a file that every user of this host can read",
    "conflict": "two programs that cannot be installed beside each other",
    "ctid": "a name that no OpenVZ container can have",
    "cut-comment": "a value that a # ends, which may belong to it",
    "dhcp": "an option that an interface with dhcp does not take",
    "duplicate": "a name, number or address that is given twice",
    "either": "of several options exactly one must be there",
    "empty-program": "a program with an empty value, which asks for nothing",
    "failed": "a step or a build failed, at the line that asked for it",
    "file": "a file that cannot be read, or is no recipe",
    "format": "what the format that is asked for cannot hold",
    "gateway": "a gateway that its network does not reach",
    "hw-version": "what the virtual hardware's version does not have",
    "key": "a key that signs a repository cannot be used",
    "limit": "checking took more time or memory than it may",
    "login": "how the machine is logged in to does not fit it",
    "media": "Windows Setup cannot run by itself from this medium",
    "missing": "an option that is needed is not there, or empty",
    "more": "further problems that are only counted",
    "multicast-mac": "an address of an adapter that no adapter can have; one is made",
    "nat-alone": "address translation while nothing is forwarded",
    "needs": "the system needs more than the recipe gives it",
    "needs-program": "a program that wants another one beside it",
    "no-adapter": "settings of an interface that the machine does not have",
    "no-architecture": "the place of the build does not run this architecture",
    "no-base": "there is nothing to start this system from",
    "no-build-address": "a build on a node has no address",
    "no-driver": "a device that the system has no driver for",
    "no-key": "a repository without a key that signs it",
    "no-login": "nobody can log in",
    "no-machine": "no whole machine is made of this system",
    "no-port": "a program in the firewall's list that listens on no port",
    "no-probe": "nothing proves that what is built from source is there",
    "no-root": "no partition is for the system itself",
    "not-built": "a system that is checked and not built here",
    "partitions": "partitions that do not fit each other, their disk or their file system",
    "position": "a place on a bus that is taken, or that there is not",
    "profile": "a profile that there is not, or that takes in itself",
    "set": "a --set that names no option",
    "skipped-program": "a program that the system does not have; it is left out",
    "slip": "a section at the wrong level, which is moved",
    "ssh-closed": "a firewall that shuts out ssh",
    "syntax": "brackets, quotes, names and lines that are no recipe's",
    "template": "a template that cannot be rendered",
    "too-small": "a disk that is too small for what it will hold",
    "tools": "how programs get into the machine does not fit it",
    "two-gateways": "more than one default gateway",
    "unknown-group": "a user in a group that there is not",
    "unknown-option": "an option that no section of its kind has; it is ignored",
    "unknown-section": "a section that no recipe has; it is ignored",
    "unknown-shell": "a shell that nothing installs",
    "unreadable-file": "a file of this host that the recipe names cannot be read",
    "unused": "an option that has no effect here",
    "value": "a value that its option does not take",
    "venet-dhcp": "dhcp on a venet interface, which has none",
    "venet-nat": "address translation over venet",
    "weak-password": "a password that is easily guessed, while sshd runs",
    "windows": "a value that Windows does not take",
}
"""By code: what all problems of it have in common."""


def table() -> str:
    """As docs/messages.md shows it."""
    rows = [f"| `{code}` | {text} |" for code, text in sorted(CODES.items())]
    return "\n".join(["| code | what it means |", "|---|---|", *rows])


EXIT_CODES = {
    0: "done; warnings are allowed",
    1: "a build or a verification failed, this host lacks something, or the tool has a bug, which it says",
    2: "the recipe or the command line is wrong; nothing was begun",
    129: "ended by SIGHUP: the terminal was closed; what was begun is undone",
    130: "interrupted by Ctrl-C (SIGINT); what was begun is undone",
    141: "what read the output went away, as `head` does (SIGPIPE)",
    143: "ended by SIGTERM; what was begun is undone",
}
"""By code of `vmgen-build`: what it means."""


def exit_table() -> str:
    """As docs/messages.md shows it."""
    rows = [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    return "\n".join(["| exit code | what it means |", "|---|---|", *rows])
