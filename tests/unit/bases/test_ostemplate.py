"""OS templates: found in a tree of four folders, checked, kept; wrong ones never used."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.bases import ostemplate
from vmgen_build.bases.download import Patience
from vmgen_build.bases.ostemplate import OsTemplateChoice, fetch, os_template_name
from vmgen_build.errors import BuildError, HostError, UsageError
from vmgen_build.events import Event, Note, StepProgress
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Store
from vmgen_build.systems.parse import parse_system

QUICK = Patience(connect=5, stall=5, tries=3, pause=0.01)
NAME = "debian-12-x86_64"
DATA = os.urandom(2 << 20)
SUM = hashlib.sha256(DATA).hexdigest()

needs_gpg = pytest.mark.skipif(
    not (shutil.which("gpg") and shutil.which("gpgv")), reason="needs gpg and gpgv (packages gpg, gpgv)"
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    claim_cache(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def no_keys_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ostemplate, "KEYRINGS", ())


def take(choice: OsTemplateChoice, cache: Path, *, name: str = NAME, offline: bool = False) -> tuple[Path, list[str]]:
    """What fetch gives, and the notes on the way."""
    reported: list[Event] = []
    path = fetch(choice, name, cache, reported.append, offline=offline, patience=QUICK)
    return path, [event.text for event in reported if isinstance(event, Note)]


def left(cache: Path) -> set[str]:
    return {path.name for path in (cache / "downloads" / "ostemplates").iterdir()}


KEPT = {f"{NAME}.tar.gz", f"{NAME}.tar.gz.sha256"}


@pytest.mark.parametrize(
    ("system", "name"),
    [("debian-12-amd64", NAME), ("fedora-14-x86", "fedora-14-x86"), ("debian-13-arm64", "debian-13-aarch64")],
)
def test_the_name_is_that_of_the_recipes_system(system: str, name: str) -> None:
    assert os_template_name(parse_system(system)) == name
    assert OsTemplateChoice().name_for(parse_system(system)) == name
    assert OsTemplateChoice(name="mine").name_for(parse_system(system)) == "mine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://server/template"},
        {"url": "download.openvz.org"},
        {"url": "http://me:secret@server/template"},
        {"sha256": "abc"},
        {"name": "../../etc/passwd"},
        {"name": "debian-12-x86_64.tar.gz"},
        {"name": "-x"},
    ],
)
def test_what_cannot_be_right_is_a_mistake(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        OsTemplateChoice(**wrong)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("folder", ["precreated", "beta", "contrib", "unsupported", "precreated/contrib"])
@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
def test_each_folder_is_looked_into(web: Any, served: Any, cache: Path, folder: str, suffix: str) -> None:
    web.files[f"/template/{folder}/{NAME}{suffix}"] = served(data=DATA)
    path, _ = take(OsTemplateChoice(url=f"{web.url}/template/", sha256=SUM.upper()), cache)
    assert path.name == NAME + suffix
    assert path.read_bytes() == DATA
    done = subprocess.run(["sha256sum", "-c", path.name + ".sha256"], cwd=path.parent, capture_output=True)
    assert done.returncode == 0


def test_the_first_folder_wins(web: Any, served: Any, cache: Path) -> None:
    for folder in ("unsupported", "contrib", "beta"):
        web.files[f"/{folder}/{NAME}.tar.gz"] = served(data=folder.encode())
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    path, _ = take(OsTemplateChoice(url=web.url, sha256=SUM), cache)
    assert path.read_bytes() == DATA


def test_the_second_time_nothing_is_asked(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/beta/{NAME}.tar.gz"] = served(data=DATA)
    choice = OsTemplateChoice(url=web.url, sha256=SUM)
    first, _ = take(choice, cache)
    web.asked.clear()
    os.utime(first, (1, 1))
    os.utime(first.parent, (1, 1))
    assert take(choice, cache, offline=True)[0] == first
    assert take(OsTemplateChoice(url=web.url), cache)[0] == first, "it was checked when it came"
    assert web.asked == []
    assert first.stat().st_mtime > 1 and first.parent.stat().st_mtime > 1, "pruning sees the use"
    assert left(cache) == KEPT


def test_without_a_check_nothing_is_downloaded(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    with pytest.raises(UsageError, match=r"without a check.*--ostemplate-sha256.*--ostemplate-keyring"):
        take(OsTemplateChoice(url=web.url), cache)
    assert web.asked == []


def test_offline_nothing_is_asked(web: Any, cache: Path) -> None:
    with pytest.raises(BuildError, match=r"not in the cache yet.*--offline"):
        take(OsTemplateChoice(url=web.url, sha256=SUM), cache, offline=True)
    assert web.asked == []


def test_a_wrong_checksum_is_reported_with_both_and_nothing_stays(web: Any, served: Any, cache: Path) -> None:
    other = "0" * 64
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    with pytest.raises(BuildError) as caught:
        take(OsTemplateChoice(url=web.url, sha256=other), cache)
    assert other in str(caught.value) and SUM in str(caught.value)
    assert left(cache) == set()


def test_parts_that_do_not_fit_are_replaced_by_the_whole_file(web: Any, served: Any, cache: Path) -> None:
    """The server gives one ETag to two files."""
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=b"x" * len(DATA), cuts=[1_000_000] * 3)
    choice = OsTemplateChoice(url=web.url, sha256=SUM)
    with pytest.raises(BuildError, match="goes on from there"):
        fetch(choice, NAME, cache, lambda _event: None, patience=Patience(tries=1))
    assert KEPT & left(cache) == set()
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    path, notes = take(choice, cache)
    assert path.read_bytes() == DATA
    assert any("from the start" in note for note in notes)
    assert left(cache) == KEPT


@pytest.mark.parametrize("damage", [DATA[:-1], DATA[:-1] + b"?", b""])
def test_a_damaged_file_of_the_cache_is_downloaded_again(web: Any, served: Any, cache: Path, damage: bytes) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    choice = OsTemplateChoice(url=web.url, sha256=SUM)
    path, _ = take(choice, cache)
    path.write_bytes(damage)
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    with pytest.raises(UsageError, match="without a check"):
        take(OsTemplateChoice(url=web.url), cache)
    again, notes = take(choice, cache)
    assert again.read_bytes() == DATA
    assert any("is not taken: its sha256 is" in note for note in notes)


def test_another_checksum_replaces_the_file(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    take(OsTemplateChoice(url=web.url, sha256=SUM), cache)
    newer = os.urandom(1000)
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=newer)
    path, _ = take(OsTemplateChoice(url=web.url, sha256=hashlib.sha256(newer).hexdigest()), cache)
    assert path.read_bytes() == newer
    assert take(OsTemplateChoice(url=web.url), cache)[0] == path


def test_a_template_put_into_the_cache_by_hand_is_taken(web: Any, cache: Path) -> None:
    folder = cache / "downloads" / "ostemplates"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.tar.gz").write_bytes(DATA)
    assert take(OsTemplateChoice(url=web.url, sha256=SUM), cache)[0].read_bytes() == DATA
    (folder / f"{NAME}.tar.gz.sha256").write_text(f"{SUM}  {NAME}.tar.gz\n")
    take(OsTemplateChoice(url=web.url), cache)
    assert web.asked == []


def test_a_template_that_is_nowhere(web: Any, served: Any, cache: Path) -> None:
    page = (
        b'<a href="debian-12-x86_64-minimal.tar.gz">..</a> <a href="x/debian-12-x86.tar.gz"> <a href="centos.tar.gz">'
    )
    web.files["/beta/"] = served(data=page, kind="text/html")
    with pytest.raises(BuildError) as caught:
        take(OsTemplateChoice(url=web.url, sha256=SUM), cache)
    message = str(caught.value)
    for folder in ("precreated", "beta", "contrib", "unsupported", "precreated/beta"):
        assert f"{web.url}/{folder}/{NAME}.tar.gz (or .tar.xz, .tar.bz2): HTTP 404" in message
    assert (
        "near names there: debian-12-x86_64-minimal, debian-12-x86\n" in message
        or "debian-12-x86, debian-12" in message
    )
    assert "centos" not in message
    assert "--ostemplate" in message and "--ostemplate-url" in message and "/vz/template/cache" in message


def test_a_server_that_answers_a_page_for_what_it_lacks(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=b"<html>Sorry!</html>", kind="text/html; charset=utf-8")
    web.files[f"/contrib/{NAME}.tar.gz"] = served(data=DATA)
    assert take(OsTemplateChoice(url=web.url, sha256=SUM), cache)[0].read_bytes() == DATA


def test_a_cache_that_cannot_be_written(web: Any, served: Any, cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "ostemplates").write_text("a file")
    with pytest.raises(HostError, match="cannot make the folder"):
        take(OsTemplateChoice(url=web.url, sha256=SUM), cache)


def test_no_server(cache: Path, web: Any) -> None:
    with pytest.raises(BuildError, match="refused"):
        take(OsTemplateChoice(url="http://127.0.0.1:1", sha256=SUM), cache)


def test_progress_is_reported_in_bytes(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    reported: list[Event] = []
    fetch(OsTemplateChoice(url=web.url, sha256=SUM), NAME, cache, reported.append, patience=QUICK)
    last = [event for event in reported if isinstance(event, StepProgress)][-1]
    assert (last.done, last.total, last.unit) == (len(DATA), len(DATA), "bytes")
    assert NAME in last.text


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gnupg") / "a")
    yield made
    made.end()


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gnupg") / "b")
    yield made
    made.end()


@needs_gpg
@pytest.mark.parametrize("kind", ["keyring", "armoured"])
def test_a_signed_template(web: Any, served: Any, cache: Path, keys: Keys, kind: str) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=keys.sign(DATA), kind="text/plain")
    choice = OsTemplateChoice(url=web.url, keyring=getattr(keys, kind))
    path, _ = take(choice, cache)
    assert path.read_bytes() == DATA
    assert left(cache) == {*KEPT, f"{NAME}.tar.gz.asc"}
    web.asked.clear()
    take(choice, cache)
    take(OsTemplateChoice(url=web.url), cache)
    assert web.asked == []


@needs_gpg
def test_the_hosts_own_openvz_keys_serve(
    web: Any, served: Any, cache: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ostemplate, "KEYRINGS", (f"{keys.home}/bin*.gpg",))
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=keys.sign(DATA))
    assert take(OsTemplateChoice(url=web.url), cache)[0].read_bytes() == DATA


@needs_gpg
def test_a_wrong_signature_is_reported_and_nothing_stays(web: Any, served: Any, cache: Path, keys: Keys) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=keys.sign(DATA + b"!"))
    with pytest.raises(BuildError) as caught:
        take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    message = str(caught.value)
    assert f"{NAME}.tar.gz.asc does not hold" in message and "(Test <test@example.org>) signed other bytes" in message
    assert SUM in message and str(keys.keyring) in message
    assert left(cache) == set()


@needs_gpg
def test_a_signature_by_a_foreign_key(web: Any, served: Any, cache: Path, keys: Keys, others: Keys) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=others.sign(DATA))
    with pytest.raises(BuildError, match="which the keyring does not hold"):
        take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    assert left(cache) == set()


@needs_gpg
@pytest.mark.parametrize("asc", [b"", b"<html>no signature</html>"])
def test_what_is_no_signature(web: Any, served: Any, cache: Path, keys: Keys, asc: bytes) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=asc)
    with pytest.raises(BuildError, match="does not hold"):
        take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    assert left(cache) == set()


@needs_gpg
def test_a_key_that_has_expired_since_is_taken_with_a_warning(
    web: Any, served: Any, cache: Path, tmp_path: Path
) -> None:
    """OpenVZ's templates are older than most keys live."""
    old = Keys(tmp_path / "old", expires="1m", at="20140101T000000")
    try:
        web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
        web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=old.sign(DATA))
        path, notes = take(OsTemplateChoice(url=web.url, keyring=old.keyring), cache)
    finally:
        old.end()
    assert path.read_bytes() == DATA
    assert any("has expired since" in note for note in notes)


@needs_gpg
def test_a_key_that_was_revoked_is_not_taken(web: Any, served: Any, cache: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "revoked")
    try:
        asc = keys.sign(DATA)
        (revocation,) = (keys.home / "openpgp-revocs.d").iterdir()
        keys.gpg("--import", data=revocation.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
        keys.keyring.write_bytes(keys.gpg("--export"))
    finally:
        keys.end()
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=asc)
    with pytest.raises(BuildError, match="revoked"):
        take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    assert left(cache) == set()


@needs_gpg
def test_a_template_without_a_signature(web: Any, served: Any, cache: Path, keys: Keys) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    with pytest.raises(BuildError, match=r"has no signature.*HTTP 404.*--ostemplate-sha256"):
        take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    assert KEPT & left(cache) == set()


@needs_gpg
def test_a_kept_file_is_checked_by_the_keyring_that_is_asked_for(
    web: Any, served: Any, cache: Path, keys: Keys, others: Keys
) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=keys.sign(DATA))
    take(OsTemplateChoice(url=web.url, sha256=SUM), cache)
    take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache)
    with pytest.raises(BuildError, match="which the keyring does not hold"):
        take(OsTemplateChoice(url=web.url, keyring=others.keyring), cache)
    take(OsTemplateChoice(url=web.url, keyring=keys.keyring), cache, offline=True)


@needs_gpg
def test_a_keyring_that_cannot_be_used(web: Any, served: Any, cache: Path, keys: Keys, tmp_path: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    web.files[f"/precreated/{NAME}.tar.gz.asc"] = served(data=keys.sign(DATA))
    with pytest.raises(HostError, match="cannot read the keyring"):
        take(OsTemplateChoice(url=web.url, keyring=tmp_path / "none.gpg"), cache)
    damaged = tmp_path / "damaged.asc"
    damaged.write_text(keys.armoured.read_text()[:-60].replace("A", "!") + "\n-----END")
    with pytest.raises(HostError, match="damaged"):
        take(OsTemplateChoice(url=web.url, keyring=damaged), cache)


def _other_process(url: str, cache: Path, answers: Any) -> None:
    path, notes = take(OsTemplateChoice(url=url, sha256=SUM), cache)
    answers.put((hashlib.sha256(path.read_bytes()).hexdigest(), notes))


def test_of_two_processes_one_downloads(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA, pause=0.02)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    both = [context.Process(target=_other_process, args=(web.url, cache, answers)) for _ in range(2)]
    for process in both:
        process.start()
    results = [answers.get(timeout=20) for _ in both]
    for process in both:
        process.join()
    assert [digest for digest, _ in results] == [SUM, SUM]
    assert sum("waiting for another build" in " ".join(notes) for _, notes in results) == 1
    assert len(web.asked) == 1


def test_the_cache_lists_and_prunes_them(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)
    choice = OsTemplateChoice(url=web.url, sha256=SUM)
    path, _ = take(choice, cache)
    store = Store(cache)
    (entry,) = store.entries()
    assert (entry.kind, entry.id) == ("download", "ostemplates")
    assert entry.size >= len(DATA)
    assert store.prune(older=3600) == []
    os.utime(path.parent, (1, 1))
    assert [e.id for e in store.prune(older=3600, dry=True)] == ["ostemplates"]
    take(choice, cache)
    assert store.prune(older=3600) == [], "it was used just now"
    assert [e.id for e in store.prune()] == ["ostemplates"]
    assert not path.exists()
    assert take(choice, cache)[0].read_bytes() == DATA


def test_a_cache_pruned_in_the_middle_is_reported(web: Any, served: Any, cache: Path) -> None:
    web.files[f"/precreated/{NAME}.tar.gz"] = served(data=DATA)

    def prune(event: Event) -> None:
        if isinstance(event, StepProgress):
            Store(cache).prune()

    with pytest.raises(BuildError, match=r"pruned meanwhile; build again"):
        fetch(OsTemplateChoice(url=web.url, sha256=SUM), NAME, cache, prune, patience=QUICK)


def test_the_options_make_one_choice(tmp_path: Path) -> None:
    import click
    from click.testing import CliRunner

    from vmgen_build.cli.common import ostemplate_options

    got: list[OsTemplateChoice] = []

    @click.command()
    @ostemplate_options
    def command(ostemplate: OsTemplateChoice) -> None:
        got.append(ostemplate)

    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    words = ["--ostemplate", "mine", "--ostemplate-url", "https://x/t", "--ostemplate-sha256", SUM]
    assert CliRunner().invoke(command, [*words, "--ostemplate-keyring", str(keyring)]).exit_code == 0
    assert CliRunner().invoke(command, []).exit_code == 0
    assert got == [OsTemplateChoice(url="https://x/t", name="mine", sha256=SUM, keyring=keyring), OsTemplateChoice()]
