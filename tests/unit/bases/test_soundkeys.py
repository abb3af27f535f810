"""Keys with subkeys that are not their own: what gpg makes of them, and what a guest gets."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.dnf import DnfSupply
from vmgen_build.bases.rpm import bootstrap
from vmgen_build.bases.soundkeys import keys_of_repositories, sound_keys
from vmgen_build.bases.supply import Making, Request
from vmgen_build.build.facts import facts_for
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.openpgp import armoured, binary, fingerprints
from vmgen_build.systems.parse import parse_system

SUBKEY, SIGNATURE = 14, 2


def with_subkeys(home: Path, *expiries: str) -> Keys:
    """A key with a subkey for each of them."""
    keys = Keys(home)
    (primary,) = fingerprints(keys.gpg("--export"))
    for expires in expiries:
        keys.gpg("--passphrase", "", "--quick-add-key", primary, "ed25519", "sign", expires)
    keys.end()
    return keys


def packets(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and bytes of each, as gpg(1) lists them: --list-packets says where each begins."""
    command = ["gpg", "--homedir", "/nonexistent", "--no-options", "--no-keyring", "--list-packets"]
    lines = subprocess.run(command, input=data, capture_output=True).stdout.decode(errors="replace").splitlines()
    heads = [line.split() for line in lines if line.startswith("# off=")]
    found = [(int(words[1].removeprefix("off=")), int(words[3].removeprefix("tag="))) for words in heads]
    ends = [*(at for at, _ in found[1:]), len(data)]
    return [(tag, data[at:end]) for (at, tag), end in zip(found, ends, strict=True)]


def tags(data: bytes) -> list[int]:
    return [tag for tag, _ in packets(binary(data))]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return with_subkeys(tmp_path_factory.mktemp("own") / "home", "never").gpg("--export")


@pytest.fixture(scope="module")
def graft(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A stranger's subkey, and the signature by which the stranger has bound it."""
    found = packets(with_subkeys(tmp_path_factory.mktemp("stranger") / "home", "never").gpg("--export"))
    at = next(i for i, (tag, _) in enumerate(found) if tag == SUBKEY)
    return b"".join(data for _, data in found[at:])


def test_a_sound_key_stays_as_it_is_byte_for_byte(own: bytes) -> None:
    for data in (own, armoured(own)):
        assert sound_keys(data) == data
        assert sound_keys(data, fingerprints(own)) == armoured(own)


def test_a_subkey_of_a_stranger_is_not_handed_on(own: bytes, graft: bytes) -> None:
    alone, bound = packets(graft)
    first = next(i for i, (tag, _) in enumerate(packets(own)) if tag == SUBKEY)
    head = b"".join(data for _, data in packets(own)[:first])
    tail = own[len(head) :]
    own_binding = packets(tail)[1][1]
    changed = (
        own + graft,
        own + alone[1],
        head + graft + tail,
        head + alone[1] + tail,
        head + alone[1] + own_binding + tail,
        own + alone[1] + own_binding + bound[1],
    )
    for data in changed:
        assert fingerprints(data) == fingerprints(own), "what it is known by is the same"
        assert sound_keys(data, fingerprints(own)) == armoured(own)
        assert sound_keys(armoured(data)) == sound_keys(data) == armoured(own)


def test_of_two_keys_none_gets_the_other_s_subkey(own: bytes, tmp_path: Path) -> None:
    """Both are bound, and one stands below the wrong key."""
    other = with_subkeys(tmp_path / "home", "never").gpg("--export")
    at = next(i for i, (tag, _) in enumerate(packets(other)) if tag == SUBKEY)
    moved = b"".join(data for _, data in packets(other)[at:])
    assert sound_keys(own + moved + other) == armoured(own + other)


def test_a_subkey_that_is_over_or_revoked_is_not_handed_on(tmp_path: Path) -> None:
    keys = with_subkeys(tmp_path / "home", "never", "seconds=1", "never")
    while b":e:" not in keys.gpg("--with-colons", "--list-keys"):
        pass
    whole = keys.gpg("--export")
    assert tags(whole).count(SUBKEY) == 3
    assert tags(sound_keys(whole)).count(SUBKEY) == 2
    keys.gpg("--command-fd", "0", "--edit-key", "Test", data=b"key 3\nrevkey\ny\n0\n\ny\nsave\n")
    keys.end()
    left = sound_keys(keys.gpg("--export"))
    assert tags(left)[-2:] == [SUBKEY, SIGNATURE] and tags(left).count(SUBKEY) == 1


def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "home")
    (primary,) = fingerprints(keys.gpg("--export"))
    text = (keys.home / "openpgp-revocs.d" / f"{primary}.rev").read_text().replace("\n:---", "\n---")
    keys.gpg("--import", data=text.encode())
    keys.end()
    with pytest.raises(ValueError, match=f"gpg takes no such key, or it is revoked: {primary}"):
        sound_keys(keys.gpg("--export"))


@pytest.mark.parametrize("data", [b"", b"hello", armoured(b"")])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no"):
        sound_keys(data)


@pytest.mark.parametrize("system", ["debian-12-amd64", "fedora-42-amd64", "opensuse-15.6-amd64", "arch"])
@pytest.mark.parametrize("named", [True, False])
def test_a_guest_gets_no_stranger_s_subkey(tmp_path: Path, own: bytes, graft: bytes, system: str, named: bool) -> None:
    (tmp_path / "own.asc").write_bytes(armoured(own + graft))
    text = f"[hardware]\nvm_id = lab\nos = {system}\n[config]\n[[repos]]\n[[[own]]]\nurl = https://o.example\n"
    fingerprint = f"fingerprint = {fingerprints(own)[0]}\n" if named else ""
    (tmp_path / "lab.ini").write_text(f"{text}key = own.asc\n{fingerprint}")
    recipe = load(tmp_path / "lab.ini")
    facts = replace(Facts(), repository_keys=keys_of_repositories(recipe, {}))
    plan = make_plan(recipe, "lxc", backend_named("lxc").part(recipe, None), facts)
    carried = [file.content or b"" for file in plan.steps[0].files if (file.content or b"").startswith(b"-----BEGIN")]
    assert carried == [armoured(own)]


def test_the_facts_of_a_recipe_hold_its_keys(tmp_path: Path, own: bytes, graft: bytes) -> None:
    (tmp_path / "own.asc").write_bytes(own + graft)
    head = "[hardware]\nvm_id = lab\nos = rhel-9\nbase = images:rhel\n[config]\n[[repos]]\n[[[own]]]\n"
    (tmp_path / "lab.ini").write_text(f"{head}url = https://o.example\nkey = own.asc\n")
    recipe = load(tmp_path / "lab.ini")
    assert facts_for(recipe, tmp_path / "cache", offline=True).repository_keys == {"own": armoured(own)}
    (tmp_path / "own.asc").write_bytes(b"no key")
    with pytest.raises(RecipeError, match=r"lab.ini:9: \[config.repos.own\] key: the file of the key cannot be used: "):
        facts_for(recipe, tmp_path / "cache", offline=True)
    with pytest.raises(BuildError, match="the key of 'own' cannot be used: "):
        keys_of_repositories(replace(recipe, config=replace(recipe.config, repos={})), dict(recipe.config.repos))


def test_rpm_of_a_base_gets_no_stranger_s_subkey(
    tmp_path: Path, own: bytes, graft: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that a recipe names. Nothing is run here but gpg: what rpm would be given is looked at."""
    given: list[bytes] = []

    def look(words: Sequence[str | Path], *_: object, **__: object) -> int:
        if words[0] == "rpm":
            given.append(Path(words[-1]).read_bytes())
        return 0

    monkeypatch.setattr(bootstrap, "run_lines", look)
    monkeypatch.setattr(bootstrap, "devices", lambda _root: nullcontext())
    monkeypatch.setattr(bootstrap, "_require_database", lambda _system, _home: None)
    system, keys = parse_system("fedora-42-amd64"), tmp_path / "keys.asc"
    supply = DnfSupply(Request(system, None, 0), {}, b"")
    base = Bootstrapped("dnf", "fedora", "42", "amd64", (), "", 0, keys=keys)

    def making(name: str) -> Making:
        return Making(tmp_path, tmp_path / name, supply, tmp_path / "indexes", lambda _line: None)

    keys.write_bytes(own + graft)
    supply.bootstrap(base, making("one"))
    assert given == [armoured(own)]
    keys.write_bytes(b"no key")
    with pytest.raises(BuildError, match=r"\[hardware\] base_key: the file of keys .* cannot be used"):
        supply.bootstrap(base, making("two"))
