"""Opening an ssh connection: ~/.ssh/config, host keys, hosts on the way, and messages for what can go wrong."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vmgen_build.errors import HostError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.runners.hostkeys import check_host_key, entry_name, fingerprint, known_keys
from vmgen_build.guests.runners.model import Host
from vmgen_build.guests.runners.ssh import SshRunner
from vmgen_build.guests.runners.sshauth import log_in
from vmgen_build.limits import SSH_PACKET

if TYPE_CHECKING:
    import paramiko

    Wire: TypeAlias = socket.socket | paramiko.Channel

CONNECT_TIMEOUT = 15.0
FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""First where the server has them: they need no second pass for a checksum."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host after ~/.ssh/config was asked. name: for messages. jumps: the hosts on the way, the nearest first."""

    name: str
    address: str
    port: int
    user: str
    key_files: tuple[str, ...]
    agent: bool
    jumps: tuple[Host, ...]


def open_ssh(host: Host, *, accept_new: bool) -> SshRunner:
    """Raises HostError that says what to do."""
    target = resolve(host)
    transports: list[paramiko.Transport] = []
    with ExitStack() as undo:
        for one in (*map(resolve, target.jumps), target):
            before = transports[0] if transports else None
            transports.insert(0, _open_next(one, before, undo, accept_new=accept_new))
        undo.pop_all()
    transport = transports[0]
    key = transport.get_remote_server_key()
    software = shown(transport.remote_version.split("-", 2)[-1])
    return SshRunner(target.name, transports, f"{software}, {key.get_name()} {fingerprint(key.asbytes())}")


def resolve(host: Host) -> Target:
    """As ssh(1) would: the URL's own user and port, then ~/.ssh/config, then root and 22."""
    import paramiko

    file = Path("~/.ssh/config").expanduser()
    try:
        config = paramiko.SSHConfig.from_path(str(file)) if file.is_file() else paramiko.SSHConfig()
        options = config.lookup(host.name)
        port = host.port or int(options.get("port", 22))
    except (paramiko.SSHException, ValueError, OSError, ImportError) as error:
        raise HostError(f"{file} can't be used: {error}") from error
    if options.get("proxycommand", "none").lower() != "none":
        raise HostError(f"{file} has a ProxyCommand for '{host.name}', which is not supported; ProxyJump is")
    jump = options.get("proxyjump", "none")
    user = host.user or options.get("user") or "root"
    address = options.get("hostname", host.name)
    return Target(
        name=str(Host(host.name, user, 0 if port == 22 else port)),
        address=address,
        port=port,
        user=user,
        key_files=tuple(options.get("identityfile", ())),
        agent=options.get("identitiesonly", "no").lower() != "yes",
        jumps=() if jump.lower() == "none" else tuple(_jump(word.strip(), file) for word in jump.split(",")),
    )


def _jump(word: str, file: Path) -> Host:
    from vmgen_build.errors import UsageError
    from vmgen_build.guests.runners.model import parse_host

    try:
        return parse_host(word if word.startswith("ssh://") else f"ssh://{word}")
    except UsageError:
        raise HostError(f"{file}: ProxyJump '{word}' names no host") from None


def _open_next(
    target: Target, before: paramiko.Transport | None, undo: ExitStack, *, accept_new: bool
) -> paramiko.Transport:
    """Open and log in, through the transport to the host before it where there is one."""
    import paramiko

    with _plain_messages(target):
        wire = _dial(target) if before is None else _through(before, target)
        transport = transport_on(wire, _known_kinds(target))
        undo.callback(transport.close)
        transport.start_client(timeout=CONNECT_TIMEOUT)
        key = transport.get_remote_server_key()
        check_host_key(entry_name(target.address, target.port), key.get_name(), key.asbytes(), accept_new=accept_new)
    try:
        log_in(transport, target.name, target.user, target.key_files, agent=target.agent)
    except paramiko.SSHException as error:
        raise HostError(f"{target.name}: logging in failed: {shown(str(error))}") from error
    return transport


def _dial(target: Target) -> socket.socket:
    wire = socket.create_connection((target.address, target.port), CONNECT_TIMEOUT)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


def _through(transport: paramiko.Transport, target: Target) -> paramiko.Channel:
    return transport.open_channel(
        "direct-tcpip", (target.address, target.port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT
    )


def _known_kinds(target: Target) -> frozenset[str]:
    known = {k.kind for k in known_keys(entry_name(target.address, target.port)) if not k.marker}
    return frozenset(known | ({"rsa-sha2-256", "rsa-sha2-512"} if "ssh-rsa" in known else set()))


def transport_on(wire: Wire, known: Set[str] = frozenset()) -> paramiko.Transport:
    """Asks the server for the kind of key that is known of it, so that its others don't look like a change."""
    import paramiko

    _quieten()
    transport = paramiko.Transport(wire)
    transport.banner_timeout = transport.auth_timeout = CONNECT_TIMEOUT * 2
    _limit_packets(transport)
    options = transport.get_security_options()
    options.key_types = _first(options.key_types, lambda name: name in known)
    options.ciphers = _first(options.ciphers, lambda name: name in FAST_CIPHERS)
    return transport


def _limit_packets(transport: paramiko.Transport) -> None:
    """A packet says how long it is before it is checked, and paramiko reads up to 4 GB. OpenSSH's own limit serves."""
    import paramiko

    packetizer: Any = transport.packetizer
    original: Callable[..., bytes] = packetizer.read_all

    def read_all(n: int, check_rekey: bool = False) -> bytes:
        if not 0 <= n <= SSH_PACKET.amount:
            raise paramiko.SSHException(f"a packet of {n} bytes: {SSH_PACKET.exceeded}")
        return original(n, check_rekey)

    packetizer.read_all = read_all


def _quieten() -> None:
    """paramiko logs what it raises too, and Python prints to standard error what no handler takes."""
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _first(names: Sequence[str], wanted: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: not wanted(name)))


@contextmanager
def _plain_messages(target: Target) -> Iterator[None]:
    """What opening a connection raises, as HostError."""
    import paramiko

    place = f"{target.address} port {target.port}"
    try:
        yield
    except socket.gaierror as error:
        raise HostError(
            f"{target.name}: there is no host named '{target.address}' ({error.strerror});"
            " look at its spelling, or give its address"
        ) from error
    except ConnectionRefusedError as error:
        raise HostError(
            f"{target.name}: nothing listens at {place}; look whether sshd runs there, and whether that is its port"
        ) from error
    except TimeoutError as error:
        raise HostError(
            f"{target.name}: no answer from {place} in {CONNECT_TIMEOUT:.0f} s; look whether the host is up, and what a"
            " firewall between drops"
        ) from error
    except paramiko.ChannelException as error:
        raise HostError(f"{target.name}: the host on the way can't reach {place}: {error.text}") from error
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise HostError(f"{target.name}: its ssh server and this tool share no method: {shown(str(error))}") from error
    except (paramiko.SSHException, EOFError) as error:
        why = shown(str(error)) or "it hung up"
        raise HostError(
            f"{target.name}: {place} does not speak ssh as expected ({why}); look whether that is"
            " sshd's port, and whether sshd's MaxStartups or a deny list turns us away"
        ) from error
    except OSError as error:
        raise HostError(f"{target.name}: {place} can't be reached: {error.strerror or error}") from error


_ON_A_NODE = (
    "a build makes containers on that host, which needs root; use ssh://root@..., or allow this user 'sudo' without a"
    " password (NOPASSWD in sudoers)"
)


def become_root(runner: SshRunner, advice: str = _ON_A_NODE) -> None:
    """Raises HostError where the user is not root and sudo wants a password. advice: what root is needed for, and what
    to do."""
    asked = runner.run(["id", "-u"], timeout=CONNECT_TIMEOUT)
    if asked.out == "0\n":
        return
    if asked.code or not asked.out.strip().isdigit():
        why = shown("".join(asked.err.strip().splitlines()[-1:])) or f"exit code {asked.code}"
        raise HostError(
            f"{runner.name}: 'id -u' should print a number there, but gave '{shown(asked.out)}' ({why}); the"
            " start-up files of its shell must print nothing where there is no terminal"
        )
    runner.prefix = ("sudo", "-n", "--")
    if runner.run(["id", "-u"], timeout=CONNECT_TIMEOUT).out != "0\n":
        runner.prefix = ()
        raise HostError(f"{runner.name} is not root there, and sudo wants a password: {advice}")
