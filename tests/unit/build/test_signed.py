"""Issue 8, item 9: a signed manifest says whose signature it bears, asked of real keys and gpgv."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.build import signed
from vmgen_build.build.questions import manifest_questions, signed_questions
from vmgen_build.errors import HostError
from vmgen_build.host import gpg
from vmgen_build.host.files import sha256_of

ANA, EVA, OLD, GONE = "Ana 100% Müller <ana@example.org>", "eva@example.org", "old@example.org", "gone@example.org"
LONG_AGO = ("--faked-system-time", "20200101T000000")
NEXT_DAY = ("--faked-system-time", "20200102T000000")


class Keys:
    """A folder of secret keys of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)

    def run(self, *words: str | Path, data: str = "") -> bytes:
        command = ["gpg", "--batch", "--quiet", "--yes", "--homedir", str(self.home), *map(str, words)]
        return subprocess.run(command, input=data.encode(), capture_output=True, check=True).stdout

    def make(self, user: str, *words: str, lasts: str = "never") -> None:
        key = ("ed25519", "sign", lasts)
        self.run(*words, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", user, *key)

    def revoke(self, user: str) -> None:
        fields = self.run("--list-keys", "--with-colons", user).decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in fields if line.startswith("fpr"))
        prepared = (self.home / f"openpgp-revocs.d/{fingerprint}.rev").read_text()
        self.run("--import", data=prepared.replace(":-----BEGIN", "-----BEGIN"))

    def ring(self, goal: Path, *users: str) -> Path:
        goal.write_bytes(self.run("--export", *users))
        return goal


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """gone is revoked only in the keyrings that are written after `revoke`."""
    made = Keys(tmp_path_factory.mktemp("gpg") / "h")
    for user in (ANA, EVA, GONE):
        made.make(user)
    made.make(OLD, *LONG_AGO, lasts="30d")
    yield made
    subprocess.run(["gpgconf", "--homedir", made.home, "--kill", "all"], check=False)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "lab-lxc-amd64.tar.zst"
    path.write_bytes(b"an image")
    files = [{"name": path.name, "size": 8, "sha256": sha256_of(path)}]
    probes = [{"name": "p", "setting": "s", "script": "uname -n"}]
    machine = {"format": 1, "name": "lab", "os": "debian-12", "arch": "amd64", "backend": "lxc"}
    manifest_path(path).write_text(json.dumps(machine | {"files": files, "probes": probes}))
    return path


def by_gpg(keys: Keys, path: Path, user: str, *words: str) -> None:
    """As a person signs, by hand."""
    beside = signed.signature_path(path)
    keys.run(*words, "--armor", "--local-user", user, "--output", beside, "--detach-sign", path)


@pytest.mark.parametrize("armour", [(), ("--armor",)])
def test_issue_8_9_it_says_whose_signature_a_manifest_bears(
    keys: Keys, artifact: Path, tmp_path: Path, armour: tuple[str, ...]
) -> None:
    ring, manifest = tmp_path / "ring", manifest_path(artifact)
    ring.write_bytes(keys.run(*armour, "--export", "ana@example.org", EVA))
    by_gpg(keys, manifest, "ana@example.org")
    assert signed_questions(ring)(artifact).asked == f"its own manifest, signed by {ANA}"
    other = tmp_path / "hand-in" / artifact.name
    other.parent.mkdir()
    other.write_bytes(b"an other")
    assert manifest_questions(manifest, ring)(other).asked == f"{manifest.name}, signed by {ANA}"


def unsigned(keys: Keys, manifest: Path) -> None:
    """Nothing beside it."""


def by_another(keys: Keys, manifest: Path) -> None:
    by_gpg(keys, manifest, EVA)


def altered(keys: Keys, manifest: Path) -> None:
    by_gpg(keys, manifest, "ana@example.org")
    manifest.write_text(manifest.read_text().replace("uname -n", "exit 0  "))


def of_another_manifest(keys: Keys, manifest: Path) -> None:
    """A good signature by the right key, over a manifest of another image."""
    other = manifest.with_name("other.manifest.json")
    other.write_text(manifest.read_text() + "\n")
    by_gpg(keys, other, "ana@example.org")
    signed.signature_path(manifest).write_bytes(signed.signature_path(other).read_bytes())


def by_an_expired_key(keys: Keys, manifest: Path) -> None:
    by_gpg(keys, manifest, OLD, *NEXT_DAY)


def for_a_day_long_ago(keys: Keys, manifest: Path) -> None:
    keys.make("then@example.org", *LONG_AGO)
    by_gpg(keys, manifest, "then@example.org", *NEXT_DAY, "--default-sig-expire", "1d")


def by_a_weak_digest(keys: Keys, manifest: Path) -> None:
    by_gpg(keys, manifest, "ana@example.org", "--digest-algo", "SHA1", "--allow-weak-digest-algos")


def by_a_revoked_key(keys: Keys, manifest: Path) -> None:
    by_gpg(keys, manifest, GONE)
    keys.revoke(GONE)


def clear_signed(keys: Keys, manifest: Path) -> None:
    """A message that holds its own text says nothing about the file beside it."""
    beside = signed.signature_path(manifest)
    keys.run("--local-user", "ana@example.org", "--output", beside, "--clearsign", data="harmless")


def with_a_second_by_a_stranger(keys: Keys, manifest: Path) -> None:
    keys.run(
        *("--local-user", "ana@example.org", "--local-user", EVA, "--armor"),
        *("--output", signed.signature_path(manifest), "--detach-sign", manifest),
    )


def rubbish(keys: Keys, manifest: Path) -> None:
    signed.signature_path(manifest).write_bytes(b"\0\x1b[2J" * 1000)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (unsigned, "is not signed: cannot read"),
        (by_another, "which the keyring does not hold"),
        (altered, "signed other bytes than these"),
        (of_another_manifest, "signed other bytes than these"),
        (by_an_expired_key, "its key has expired"),
        (by_a_weak_digest, "is not signed as"),
        (for_a_day_long_ago, "the signature has expired"),
        (by_a_revoked_key, "its key was revoked"),
        (clear_signed, "is not signed as"),
        (with_a_second_by_a_stranger, "which the keyring does not hold"),
        (rubbish, "is not signed as"),
    ],
)
def test_issue_8_9_only_a_good_signature_by_a_key_of_the_keyring_is_taken(
    keys: Keys, artifact: Path, tmp_path: Path, act: Callable[[Keys, Path], None], message: str
) -> None:
    act(keys, manifest_path(artifact))
    then = ["then@example.org"] if act is for_a_day_long_ago else []
    ring = keys.ring(tmp_path / "ring", "ana@example.org", OLD, GONE, *then)
    for ask in (lambda: signed_questions(ring)(artifact), lambda: manifest_questions(manifest_path(artifact), ring)):
        with pytest.raises(HostError) as caught:
            ask()
        assert message in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.fixture
def own_keys(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    return keys


def test_issue_8_9_what_a_build_signs_holds(own_keys: Keys, artifact: Path, tmp_path: Path) -> None:
    manifest = manifest_path(artifact)
    signed.sign(manifest, EVA)
    ring = own_keys.ring(tmp_path / "ring", EVA)
    assert signed_questions(ring)(artifact).signer == EVA
    assert signed.signature_path(manifest).read_text().startswith("-----BEGIN PGP SIGNATURE-----\n")


def test_issue_8_9_a_signature_that_holds_is_kept(own_keys: Keys, artifact: Path) -> None:
    manifest = manifest_path(artifact)
    beside = signed.signature_path(manifest)
    signed.sign(manifest, EVA)
    first = beside.read_bytes(), beside.stat().st_ino
    signed.sign(manifest, EVA)
    assert (beside.read_bytes(), beside.stat().st_ino) == first
    signed.sign(manifest, "ana@example.org")
    second = beside.read_bytes()
    assert second != first[0], "another key signs anew"
    manifest.write_text(manifest.read_text() + "\n")
    signed.sign(manifest, "ana@example.org")
    assert beside.read_bytes() != second, "other bytes are signed anew"


def test_issue_8_9_a_stale_signature_does_not_stay(own_keys: Keys, artifact: Path) -> None:
    manifest = manifest_path(artifact)
    before = manifest.read_bytes()
    signed.sign(manifest, EVA)
    signed.drop_stale(manifest, before)
    assert signed.signature_path(manifest).is_file()
    manifest.write_bytes(before + b"\n")
    signed.drop_stale(manifest, before)
    assert not signed.signature_path(manifest).exists()


@pytest.mark.parametrize(
    ("key", "message"),
    [("nobody@example.org", "is not among the secret keys of"), (OLD, "is expired, revoked or not for signing")],
)
def test_issue_8_9_a_key_that_cannot_sign_is_named_before_the_build(own_keys: Keys, key: str, message: str) -> None:
    with pytest.raises(HostError, match=f"cannot sign: the key '{key}' {message}"):
        gpg.require_signing_key(key)
    gpg.require_signing_key(EVA)


def test_issue_8_9_without_gpgv_nothing_is_taken_as_signed(
    keys: Keys, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_gpg(keys, manifest_path(artifact), EVA)
    ring = keys.ring(tmp_path / "ring", EVA)
    monkeypatch.setattr("vmgen_build.host.programs.search_path", lambda: str(tmp_path))
    assert shutil.which("gpgv")
    with pytest.raises(HostError, match=r"lacks gpgv \(checks signatures\)"):
        signed_questions(ring)(artifact)
