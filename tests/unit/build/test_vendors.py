"""Programs of vendors' repositories: the key is fetched and checked, the repository stands in the plan."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.distros.server import Mirror, mirror
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.vendorkeys import vendor_key
from vmgen_build.catalogue.programs import VendorRepository
from vmgen_build.errors import BuildError
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.plan.vendors import as_repository, vendor_repositories
from vmgen_build.recipe.load import load
from vmgen_build.recipe.openpgp import fingerprints


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a vendor, and of a stranger."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--passphrase", ""]
    kind = ("rsa2048", "sign", "never")
    for name in ("vendor", "stranger"):
        subprocess.run([*gpg, "--quick-generate-key", name, *kind], check=True, capture_output=True)
    found = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
    return found


@pytest.fixture
def served(tmp_path: Path, key: bytes) -> Iterator[Mirror]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/key").write_bytes(key)
    with mirror({"/": tmp_path / "served"}) as server:
        yield server


def vendor(server: Mirror, wanted: str) -> VendorRepository:
    return VendorRepository(name="made", url="https://v.example/$basearch", key=f"{server.url}/key", fingerprint=wanted)


def test_the_one_key_is_kept_and_asked_for_once(served: Mirror, key: bytes, tmp_path: Path) -> None:
    wanted = fingerprints(key)[0]
    cache = tmp_path / "cache"
    with pytest.raises(BuildError, match=r"the key of 'made' is not in the cache .*: run once without --offline"):
        vendor_key(vendor(served, wanted), cache, offline=True)
    path = vendor_key(vendor(served, wanted), cache, offline=False)
    assert fingerprints(path.read_bytes()) == [wanted]
    assert vendor_key(vendor(served, wanted), cache, offline=True) == path
    assert served.asked("/key") == 1


def test_another_key_is_refused(served: Mirror, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"/key, the key of 'made', is not the one that the catalogue names: "):
        vendor_key(vendor(served, "A" * 40), tmp_path / "cache", offline=False)


def planned(tmp_path: Path, system: str, key: bytes | None) -> Plan:
    path = tmp_path / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = {system}\n[gui]\ngoogle-chrome-stable = 1\n")
    recipe, facts = load(path), Facts()
    if key is not None:
        found = vendor_repositories(recipe)
        assert list(found) == ["google-chrome-stable"]
        (tmp_path / "key.asc").write_bytes(key)
        (wanted, _) = fingerprints(key)
        own = {n: replace(v, fingerprint=wanted) for n, v in found.items()}
        known = {n: as_repository(v, tmp_path / "key.asc", recipe.hardware.os) for n, v in own.items()}
        facts = replace(facts, vendors=known)
    return make_plan(recipe, "lxc", backend_named("lxc").part(recipe, None), facts)


@pytest.mark.parametrize("system", ["debian-12-amd64", "fedora-42-amd64", "opensuse-15.6-amd64"])
def test_the_repository_of_a_program_stands_in_the_plan(tmp_path: Path, key: bytes, system: str) -> None:
    plan = planned(tmp_path, system, key)
    assert [step.name for step in plan.steps][:2] == ["repositories", "packages-gui"]
    files = {file.name: (file.content or b"").decode() for file in plan.steps[0].files}
    text = next(text for name, text in files.items() if name.endswith((".repo", ".sources")))
    assert "dl.google.com/linux/chrome" in text
    assert "$" not in text
    (carried,) = (text for text in files.values() if text.startswith("-----BEGIN PGP"))
    assert fingerprints(carried.encode()) == fingerprints(key)[:1], "of a file of two keys, the one that is named"
    assert plan.skipped == ()


def test_without_its_key_a_program_is_left_out(tmp_path: Path) -> None:
    (left,) = planned(tmp_path, "debian-12-amd64", None).skipped
    assert left[1] == "google-chrome-stable"
    assert left[2].startswith("the key of its repository is not known here yet; a build fetches it from https://dl.goo")
