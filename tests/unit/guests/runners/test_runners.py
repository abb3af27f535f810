"""Hosts as users name them, their keys, and what ~/.ssh/config says of them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.runners import Host, connect, parse_host
from vmgen_build.guests.runners import hostkeys as hk
from vmgen_build.guests.runners.model import KEPT
from vmgen_build.guests.runners.process import named
from vmgen_build.guests.runners.ssh import INNER, MARK, SHIM
from vmgen_build.guests.runners.sshauth import load_key
from vmgen_build.guests.runners.sshconnect import resolve
from vmgen_build.guests.runners.stream import Tail
from vmgen_build.host.lines import Lines


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KEY", "PASSPHRASE", "PASSWORD", "KNOWN_HOSTS"):
        monkeypatch.delenv(f"VMGEN_SSH_{name}", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "host", "again"),
    [
        ("local", Host(), "local"),
        ("ssh://node", Host("node"), "ssh://node"),
        ("ssh://root@node:2222", Host("node", "root", 2222), "ssh://root@node:2222"),
        ("ssh://ops@[fe80::1]:22/", Host("fe80::1", "ops", 22), "ssh://ops@[fe80::1]:22"),
        ("ssh://10.0.0.5", Host("10.0.0.5"), "ssh://10.0.0.5"),
    ],
)
def test_hosts(text: str, host: Host, again: str) -> None:
    assert parse_host(text) == host
    assert str(host) == again
    assert parse_host(again) == host


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write it as ssh://root@node"),
        ("node", "did you mean 'ssh://node'?"),
        ("root@node:22", "did you mean 'ssh://root@node:22'?"),
        ("http://node", "names no host"),
        ("ssh://", "names no host"),
        ("ssh://@node", "names no host"),
        ("ssh://-oProxyCommand=x", "names no host"),
        ("ssh://node:0", "'0' is no port"),
        ("ssh://node:65536", "'65536' is no port"),
        ("ssh://node:x", "'x' is no port"),
        ("ssh://node/path", "names no host"),
    ],
)
def test_no_hosts(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_host(text)
    assert message in str(error.value)


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(UsageError) as error:
        parse_host("ssh://root:canary@node")
    assert "VMGEN_SSH_PASSWORD" in str(error.value)
    assert "canary" not in str(error.value)


def test_ssh_config(home: Path) -> None:
    (home / ".ssh" / "config").write_text(
        "Host lab\n  HostName 192.0.2.7\n  User ops\n  Port 2200\n  IdentityFile ~/.ssh/lab\n  IdentitiesOnly yes\n"
        "  ProxyJump me@gate:22,inner\nHost bad\n  ProxyCommand nc %h %p\n"
    )
    lab = resolve(parse_host("ssh://lab"))
    assert (lab.address, lab.port, lab.user, lab.agent) == ("192.0.2.7", 2200, "ops", False)
    assert lab.key_files == (f"{home}/.ssh/lab",)
    assert lab.jumps == (Host("gate", "me", 22), Host("inner"))
    assert lab.name == "ssh://ops@lab:2200"
    mine = resolve(parse_host("ssh://root@lab:22"))
    assert (mine.user, mine.port, mine.name) == ("root", 22, "ssh://root@lab")
    assert resolve(parse_host("ssh://other")).user == "root"
    with pytest.raises(HostError, match="ProxyCommand"):
        resolve(parse_host("ssh://bad"))


def public(folder: Path, kind: str = "ed25519", phrase: str = "") -> tuple[Path, str, bytes]:
    """A new private key's file, and its public key's kind and bytes."""
    file = folder / f"{kind}-{len(list(folder.iterdir()))}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", phrase, "-f", file], check=True)
    name, key, *_ = file.with_name(f"{file.name}.pub").read_text().split()
    return file, name, base64.b64decode(key)


def test_an_unknown_key_is_refused_then_added(home: Path) -> None:
    file, kind, key = public(home)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]
    with pytest.raises(HostError) as error:
        hk.check_host_key("[node]:2222", kind, key, accept_new=False)
    assert shown in str(error.value)
    assert "--accept-new-host-key" in str(error.value)
    known = home / ".ssh" / "known_hosts"
    assert not known.exists()
    known.write_text("# no line end")
    hk.check_host_key("[node]:2222", kind, key, accept_new=True)
    hk.check_host_key("[node]:2222", kind, key, accept_new=False)
    with pytest.raises(HostError, match="is not known"):
        hk.check_host_key("node", kind, key, accept_new=False)
    found = subprocess.run(["ssh-keygen", "-F", "[node]:2222", "-f", known], capture_output=True, text=True)
    assert found.returncode == 0, "OpenSSH finds the entry too"


def test_a_changed_key_is_refused_always(home: Path) -> None:
    _, kind, old = public(home)
    _, other_kind, new = public(home, "ecdsa")
    known = home / ".ssh" / "known_hosts"
    known.write_text(f"# comment\nnode,192.0.2.1 {kind} {base64.b64encode(old).decode()}\n")
    before = known.read_bytes()
    for accept_new in (False, True):
        with pytest.raises(HostError) as error:
            hk.check_host_key("node", other_kind, new, accept_new=accept_new)
        assert f"{known}:2: ssh-ed25519 {hk.fingerprint(old)}" in str(error.value)
        assert hk.fingerprint(new) in str(error.value)
    assert known.read_bytes() == before


def test_hashed_patterns_and_revoked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, kind, key = public(home)
    text = base64.b64encode(key).decode()
    known = home / "own"
    monkeypatch.setenv("VMGEN_SSH_KNOWN_HOSTS", str(known))
    known.write_text(f"[node]:2222 {kind} {text} me\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert known.read_text().startswith("|1|")
    assert [k.line for k in hk.known_keys("[node]:2222")] == [1]
    assert not hk.known_keys("node")
    known.write_text(f"*.lab,!bad.lab,[10.0.0.?]:22* {kind} {text}\nbroken\n@revoked * {kind} {text}\n")
    assert [k.line for k in hk.known_keys("a.lab")] == [1, 3]
    assert [k.line for k in hk.known_keys("bad.lab")] == [3]
    assert [k.line for k in hk.known_keys("[10.0.0.9]:2222")] == [1, 3]
    with pytest.raises(HostError, match=r"revoked by .*own:3"):
        hk.check_host_key("a.lab", kind, key, accept_new=True)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_key_files(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    plain, name, key = public(home, kind)
    assert load_key(str(plain)).asbytes() == key
    locked, _, locked_key = public(home, kind, phrase="canary")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(HostError, match="VMGEN_SSH_PASSPHRASE"):
        load_key(str(locked))
    monkeypatch.setenv("VMGEN_SSH_PASSPHRASE", "wrong canary")
    with pytest.raises(HostError, match="passphrase is wrong") as error:
        load_key(str(locked))
    assert "canary" not in str(error.value)
    monkeypatch.setenv("VMGEN_SSH_PASSPHRASE", "canary")
    assert load_key(str(locked)).asbytes() == locked_key
    assert load_key(str(locked)).get_name() == name


def test_what_is_no_key(home: Path) -> None:
    (home / "text").write_text("no key\n")
    with pytest.raises(HostError, match="no private key"):
        load_key(str(home / "text"))


def test_this_host_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="sudo"), connect(Host()):
        pass
    with connect(Host(), need_root=False) as runner:
        assert runner.run(["echo", "hello"]).out == "hello\n"
        assert runner.run(["no-such-program"]).code == 127, (
            "as by ssh: whether a program is there is asked by running it"
        )


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143), ("cat", 0)])
def test_shim(shell: str, script: str, code: int) -> None:
    """The process group comes first on standard error, and is the command's own."""
    command = [shell, "-c", SHIM, "sh", "0", "sh", "-c", INNER, "sh", "sh", "-c", f"ps -o pgid= -p $$; {script}"]
    ran = subprocess.run(command, capture_output=True, text=True, input="from stdin\n")
    group, *rest = ran.stdout.split(maxsplit=1)
    assert ran.returncode == code
    assert ran.stderr == f"{MARK}{group}\n"
    assert rest == (["from stdin\n"] if script == "cat" else [])


def test_lines() -> None:
    lines: list[str] = []
    splitter = Lines(lines.append)
    for chunk in (b"one\r\ntw", b"o\n\n\xc3", b"\xa4\xff"):
        splitter.add(chunk)
    splitter.add(b"", final=True)
    assert lines == ["one", "two", "", "ä\ufffd"]


def test_tail() -> None:
    tail = Tail()
    for number in range(40):
        tail.add(bytes([97 + number % 26]) * 65536)
    tail.add(b"end")
    assert len(tail.text()) == KEPT
    assert tail.text().endswith("nend")


def test_commands_are_named_short() -> None:
    assert named(["vzctl", "start", "101", "--wait"]) == "vzctl start 101"
    assert named(["sh", "-c", "one\n" + "x" * 100]) == "sh -c one..."
