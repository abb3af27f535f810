"""How a server that speaks TLS is trusted, as it was said; tests/integration/vsphere speaks it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from vmgen_build.errors import HostError, UsageError
from vmgen_build.host.tls import Trust, parse_thumbprint, thumbprint_of

PRINT = ":".join(["0F"] * 32)


def test_a_thumbprint_in_all_its_forms() -> None:
    assert {parse_thumbprint(text) for text in (PRINT, PRINT.lower(), "0f" * 32, f" {PRINT}\n")} == {PRINT}
    assert thumbprint_of(b"") == parse_thumbprint("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    for text, reason in (("0f" * 20, "SHA-1"), ("0f" * 31, "64 hexadecimal"), ("xy" * 32, "64 hexadecimal")):
        with pytest.raises(ValueError, match=reason):
            parse_thumbprint(text)


def test_what_is_asked_of_a_certificate() -> None:
    assert Trust().verified and Trust(Path("a"), PRINT).verified
    assert not Trust(thumbprint=PRINT).verified and not Trust(insecure=True).verified
    assert Trust().context().verify_mode == ssl.CERT_REQUIRED and Trust().context().check_hostname
    assert Trust(insecure=True).context().verify_mode == ssl.CERT_NONE


def test_this_systems_authorities_and_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Trust().context().cert_store_stats()
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    assert Trust().context().cert_store_stats() == before


def test_what_speaks_against_itself() -> None:
    with pytest.raises(UsageError, match="--thumbprint checks the server's certificate and --insecure does not"):
        Trust(thumbprint=PRINT, insecure=True).check()
    Trust(Path("a"), PRINT).check()
    assert Trust().or_else(Trust(insecure=True)) == Trust(insecure=True)
    assert Trust(thumbprint=PRINT).or_else(Trust(Path("a"))) == Trust(thumbprint=PRINT)


def test_a_file_that_holds_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(HostError, match=f"--cafile .*{name}: .*; name a file with the certificates"):
            Trust(tmp_path / name).context()
