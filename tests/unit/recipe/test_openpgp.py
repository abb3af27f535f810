"""Fingerprints of keys, compared with what gpg(1) says of keys that it made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmgen_build.recipe.openpgp import armoured, fingerprints, only, wrong_keys


def gpg(home: Path, *words: str) -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--passphrase", "", *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], bytes, bytes]:
    """Fingerprints of two keys, one with a subkey, and both as armoured and as binary files."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg(home, "--quick-generate-key", "One <one@example.org>", "rsa2048", "sign", "never")
    gpg(home, "--quick-generate-key", "Two <two@example.org>", "future-default", "default", "never")
    listed = gpg(home, "--with-colons", "--list-keys").decode().splitlines()
    wanted = [listed[i + 1].split(":")[9] for i, line in enumerate(listed) if line.startswith("pub:")]
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
    return wanted, gpg(home, "--armor", "--export"), gpg(home, "--export")


def test_they_are_those_that_gpg_shows(keys: tuple[list[str], bytes, bytes]) -> None:
    wanted, armoured, binary = keys
    assert len(wanted) == 2
    assert fingerprints(armoured) == fingerprints(binary) == wanted
    assert fingerprints(armoured.replace(b"\n", b"\r\n")) == wanted


def test_another_key_in_the_file_is_refused(keys: tuple[list[str], bytes, bytes]) -> None:
    wanted, armoured, _ = keys
    assert wrong_keys(armoured, wanted) == ""
    assert f"holds the key {wanted[1]}, and {wanted[0]} is asked for" in wrong_keys(armoured, wanted[:1])


DAMAGED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize("data", [b"", b"hello", DAMAGED, b"\x99\xff"])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    assert "the file of the key cannot be read" in wrong_keys(data, ["A" * 40])


def test_a_file_that_is_cut_off_is_refused(keys: tuple[list[str], bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="cut off"):
        fingerprints(keys[2][:-10])


def test_one_key_of_several_is_taken_and_gpg_reads_it(keys: tuple[list[str], bytes, bytes], tmp_path: Path) -> None:
    wanted, both, _ = keys
    tmp_path.chmod(0o700)
    for one in wanted:
        text = armoured(only(both, one))
        assert fingerprints(text) == [one]
        (tmp_path / "one.asc").write_bytes(text)
        shown = gpg(tmp_path, "--with-colons", "--show-keys", str(tmp_path / "one.asc")).decode()
        assert next(line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:")) == one
        assert "sub:" in shown or one == wanted[0]
    with pytest.raises(ValueError, match=f"it holds {wanted[0]}, {wanted[1]}, and A+ is asked for"):
        only(both, "A" * 40)


def test_a_block_without_its_end_is_read_in_time() -> None:
    """A hostile server's: each line end was compared with all that follows."""
    with pytest.raises(ValueError, match="no file of OpenPGP keys"):
        fingerprints(b"-----BEGIN PGP PUBLIC KEY BLOCK-----" + b"\n" * (1 << 20))
