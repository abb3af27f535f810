"""~/.config/vmgen-build/hosts.ini: what is read of it, and which file is refused. No message repeats a line of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host.hostsfile import KnownHost, hosts_file, known_host
from vmgen_build.host.tls import Trust
from vmgen_build.secret import Secret

TEXT = """# of the lab
[vcenter.example.org]
user = ops@vsphere.local
password = a = b # c; "d"
cafile = lab-ca.pem
[10.0.0.7]
thumbprint = {thumbprint}
"""


@pytest.fixture()
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = hosts_file()
    assert path == tmp_path / "vmgen-build/hosts.ini"
    path.parent.mkdir()
    write(path, TEXT.format(thumbprint="ab" * 32))
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_a_section_by_the_hosts_name(file: Path) -> None:
    known = known_host("VCENTER.example.org")
    assert known == KnownHost("ops@vsphere.local", Secret('a = b # c; "d"'), Trust(file.parent / "lab-ca.pem"))
    assert known_host("10.0.0.7") == KnownHost(trust=Trust(thumbprint=":".join(["AB"] * 32)))
    assert known_host("elsewhere") == KnownHost()


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert known_host("vcenter") == KnownHost()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hosts_file() == tmp_path / ".config/vmgen-build/hosts.ini"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o700])
def test_one_that_others_can_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(HostError, match=f"chmod 600 {file}"):
        known_host("vcenter.example.org")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_one_of_another_user(file: Path) -> None:
    os.chown(file, 12345, 12345)
    with pytest.raises(HostError, match="belongs to the user with the number 12345"):
        known_host("vcenter.example.org")


def test_a_link_and_a_pipe(file: Path) -> None:
    moved = file.rename(file.with_name("other.ini"))
    file.symlink_to(moved)
    with pytest.raises(HostError, match="a link, not a file"):
        known_host("vcenter.example.org")
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(HostError, match="a pipe, not a file"):
        known_host("vcenter.example.org")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("password = canary\n", r"hosts.ini:1: a line before the first \[HOST\]"),
        ("[a]\nuser = x\ncanary\n", "hosts.ini:3: a line that is neither"),
        ("[a]\nuser = x\n[b]\n[a]\npassword = canary\n", "hosts.ini:4: this host has a section already"),
        ("[a]\npassword = canary\npassword = canary\n", "hosts.ini:3: this option stands there twice"),
        ("[vcenter]\npasswort = canary\n", r"\[vcenter\] passwort: there is no such option; there are user, password"),
        ("[vcenter]\nthumbprint = canary\n", r"\[vcenter\] thumbprint: a thumbprint is a certificate's SHA-256"),
        (f"[vcenter]\nthumbprint = {'ab' * 20}\n", "that is a SHA-1 thumbprint"),
        ("[vcenter]\nuser = " + "canary" * 20000, "the limit 'secret-file'"),
    ],
)
def test_what_is_wrong_in_it(file: Path, text: str, reason: str) -> None:
    write(file, text)
    with pytest.raises(HostError, match=reason) as caught:
        known_host("vcenter")
    assert "canary" not in str(caught.value)


def test_what_is_no_text(file: Path) -> None:
    file.write_bytes(b"[vcenter]\nuser = \xff\n")
    with pytest.raises(HostError, match="is not UTF-8 text"):
        known_host("vcenter")
