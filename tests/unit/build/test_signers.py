"""The three programs that sign, asked themselves: what they sign holds, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.artifacts.sums import update_sums
from vmgen_build.build import signed
from vmgen_build.build.signers.table import require_keys, signer_for
from vmgen_build.errors import HostError, UsageError
from vmgen_build.host import environment

PASSPHRASE = "canary passphrase 1"


@dataclass(frozen=True)
class Pair:
    """secret: as --sign takes it; public: a file that verify takes; who: whom it names."""

    secret: str
    public: Path
    who: str


def command(*words: str | Path, data: str = "") -> str:
    return subprocess.run([*map(str, words)], input=data, capture_output=True, text=True, check=True, cwd="/").stdout


def of_ssh(folder: Path, passphrase: str = "", kind: str = "ed25519") -> Pair:
    key = folder / f"{kind}{len(passphrase)}"
    command("ssh-keygen", "-q", "-t", kind, "-a", "1", "-N", passphrase, "-C", "ana", "-f", key)
    allowed = folder / f"{key.name}.allowed"
    allowed.write_text(
        f'# those who may\nana@example.org namespaces="vmgen-build" {key.with_suffix(".pub").read_text()}'
    )
    return Pair(f"ssh:{key}", allowed, "ana@example.org")


def of_minisign(folder: Path, passphrase: str = "") -> Pair:
    secret, public = folder / f"m{len(passphrase)}.key", folder / f"m{len(passphrase)}.pub"
    command("minisign", "-G", "-W", "-s", secret, "-p", public)
    if passphrase:
        comment, data = secret.read_text().splitlines()
        sealed = encrypted(base64.b64decode(data), passphrase.encode())
        secret.write_text(f"{comment}\n{base64.b64encode(sealed).decode()}\n")
    return Pair(f"minisign:{secret}", public, f"minisign key {public.read_text().split()[5]}")


def encrypted(key: bytes, passphrase: bytes) -> bytes:
    """A plain secret key of minisign with a passphrase, by the least of scrypt that libsodium takes: minisign's own
    takes many seconds. Format: minisign's page, "Secret key format"."""
    salt, operations, memory = b"s" * 32, 32768, 1 << 24
    algorithm, numbered = key[:2], key[54:126]
    check = hashlib.blake2b(algorithm + numbered, digest_size=32).digest()
    stream = hashlib.scrypt(passphrase, salt=salt, n=1024, r=8, p=1, dklen=104)
    body = bytes(a ^ b for a, b in zip(numbered + check, stream, strict=True))
    return algorithm + b"ScB2" + salt + struct.pack("<QQ", operations, memory) + body


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    folder = tmp_path_factory.mktemp("keys")
    keys = Keys(folder / "g")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(keys.home))
        yield {
            "gpg": Pair("test@example.org", keys.armoured, "Test <test@example.org>"),
            "gpg-scheme": Pair("gpg:test@example.org", keys.keyring, "Test <test@example.org>"),
            "ssh": of_ssh(folder),
            "ssh-ecdsa": of_ssh(folder, kind="ecdsa"),
            "minisign": of_minisign(folder),
        }
        keys.end()


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    return update_sums(tmp_path, {"lab.tar": "0" * 64})


def ending(pair: Pair) -> str:
    return signer_for(pair.secret)[0].ending


ALL = ["gpg", "gpg-scheme", "ssh", "ssh-ecdsa", "minisign"]


@pytest.mark.parametrize("name", ALL)
def test_issue_14_what_a_program_signs_holds_and_is_made_once(pairs: dict[str, Pair], sums: Path, name: str) -> None:
    pair = pairs[name]
    require_keys((pair.secret,))
    signed.sign(sums, pair.secret)
    assert signed.signer_of(sums.read_bytes(), sums, pair.public) == pair.who
    beside = signed.signature_path(sums, ending(pair))
    first = beside.read_bytes(), beside.stat().st_ino
    signed.sign(sums, pair.secret)
    assert (beside.read_bytes(), beside.stat().st_ino) == first


@pytest.mark.parametrize("name", ALL)
def test_issue_14_a_changed_byte_is_refused_with_the_file_s_name(pairs: dict[str, Pair], sums: Path, name: str) -> None:
    pair = pairs[name]
    signed.sign(sums, pair.secret)
    with pytest.raises(HostError, match=rf"{sums} is not signed as {pair.public} asks for"):
        signed.signer_of(sums.read_bytes().replace(b"0", b"1", 1), sums, pair.public)
    beside = signed.signature_path(sums, ending(pair))
    whole = beside.read_bytes()
    middle = len(whole) // 2
    beside.write_bytes(whole[:middle] + b"AAAA" + whole[middle + 4 :])
    with pytest.raises(HostError, match=rf"{sums} is not signed as"):
        signed.signer_of(sums.read_bytes(), sums, pair.public)
    beside.unlink()
    with pytest.raises(HostError, match=rf"{sums} is not signed: cannot read {beside}"):
        signed.signer_of(sums.read_bytes(), sums, pair.public)


def test_issue_14_a_public_key_of_ssh_alone_serves(pairs: dict[str, Pair], sums: Path) -> None:
    signed.sign(sums, pairs["ssh"].secret)
    public = Path(f"{pairs['ssh'].secret.removeprefix('ssh:')}.pub")
    fingerprint = command("ssh-keygen", "-l", "-f", public).split()[1]
    assert signed.signer_of(sums.read_bytes(), sums, public) == f"the key {fingerprint}"


def test_issue_14_a_stranger_s_key_and_another_purpose_are_refused(
    pairs: dict[str, Pair], sums: Path, tmp_path: Path
) -> None:
    other = of_ssh(tmp_path)
    signed.sign(sums, other.secret)
    with pytest.raises(HostError, match="no key of that file made it"):
        signed.signer_of(sums.read_bytes(), sums, pairs["ssh"].public)
    key = pairs["ssh"].secret.removeprefix("ssh:")
    made = command("ssh-keygen", "-Y", "sign", "-n", "git", "-f", key, data=sums.read_text())
    signed.signature_path(sums, ".sig").write_text(made)
    for public in (pairs["ssh"].public, Path(f"{key}.pub")):
        with pytest.raises(HostError, match=f"{sums} is not signed as"):
            signed.signer_of(sums.read_bytes(), sums, public)


def test_issue_14_a_minisign_key_of_others_is_refused(pairs: dict[str, Pair], sums: Path, tmp_path: Path) -> None:
    signed.sign(sums, of_minisign(tmp_path).secret)
    with pytest.raises(HostError, match=f"{sums} is not signed as"):
        signed.signer_of(sums.read_bytes(), sums, pairs["minisign"].public)


@pytest.mark.parametrize("of", [of_ssh, of_minisign])
@pytest.mark.parametrize("way", ["variable", "file"])
def test_issue_14_a_passphrase_comes_by_a_variable_or_a_file(
    sums: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: type, way: str
) -> None:
    pair: Pair = of(tmp_path, PASSPHRASE)
    with pytest.raises(HostError, match=r"has a passphrase: .* VMGEN_SIGN_PASSPHRASE"):
        require_keys((pair.secret,))
    if way == "variable":
        monkeypatch.setenv("VMGEN_SIGN_PASSPHRASE", PASSPHRASE)
    else:
        (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
        monkeypatch.setenv("VMGEN_SIGN_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    require_keys((pair.secret,))
    signed.sign(sums, pair.secret)
    assert signed.signer_of(sums.read_bytes(), sums, pair.public) == pair.who


@pytest.mark.parametrize("of", [of_ssh, of_minisign])
def test_issue_14_a_wrong_passphrase_is_named_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: type
) -> None:
    pair: Pair = of(tmp_path, PASSPHRASE)
    monkeypatch.setenv("VMGEN_SIGN_PASSPHRASE", "another one")
    with pytest.raises(Exception, match=r"(?i)cannot sign with .*passphrase|wrong password") as caught:
        require_keys((pair.secret,))
    assert "another one" not in str(caught.value)


def test_issue_14_an_agent_signs_for_a_public_key(sums: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = of_ssh(tmp_path)
    secret = Path(pair.secret.removeprefix("ssh:"))
    started = command("ssh-agent", "-s", "-a", tmp_path / "agent")
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        command("ssh-add", "-q", secret)
        secret.unlink()
        require_keys((f"{pair.secret}.pub",))
        signed.sign(sums, f"{pair.secret}.pub")
        assert signed.signer_of(sums.read_bytes(), sums, pair.public) == pair.who
    finally:
        subprocess.run(["kill", started.split("SSH_AGENT_PID=")[1].split(";")[0]], check=False)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["ssh:/nowhere/key"], UsageError, "there is no file /nowhere/key"),
        (["minisign:/etc/os-release"], HostError, "is no secret key of minisign"),
        (["ssh:/etc/os-release"], HostError, "cannot sign with /etc/os-release"),
        (["a@example.org", "gpg:b@example.org"], UsageError, "two keys of gpg would write the same .asc"),
    ],
)
def test_issue_14_a_key_that_cannot_sign_is_named(names: list[str], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        require_keys(tuple(names))


def test_issue_14_other_programs_signatures_go_with_what_they_covered(pairs: dict[str, Pair], sums: Path) -> None:
    before = sums.read_bytes()
    signed.sign_each([sums], [pairs["ssh"].secret, pairs["minisign"].secret], {sums: before})
    assert {path.name for path in sums.parent.glob("SHA256SUMS.*")} == {"SHA256SUMS.sig", "SHA256SUMS.minisig"}
    sums.write_bytes(before + b"\n")
    signed.sign_each([sums], [pairs["minisign"].secret], {sums: before})
    assert [path.name for path in sums.parent.glob("SHA256SUMS.*")] == ["SHA256SUMS.minisig"]
    assert signed.signer_of(sums.read_bytes(), sums, pairs["minisign"].public) == pairs["minisign"].who


def test_issue_14_the_passphrase_leaves_the_environment() -> None:
    assert "VMGEN_SIGN_PASSPHRASE" in environment.SECRETS
