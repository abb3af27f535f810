"""Archives of rpm and pacman, served on loopback: what they hold now, and which downloads of guests are theirs.

That dnf, zypper and pacman themselves take what the supplies write is seen in tests/integration, in distributions of
the tests' own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distros.server import Fault, Mirror, mirror
from vmgen_build.bases import dnf, indexfiles, pacman, states, zypper
from vmgen_build.bases.kept import keep_packages
from vmgen_build.bases.rpm import repodata
from vmgen_build.bases.supply import Request, Supply, supply_kind
from vmgen_build.errors import BuildError
from vmgen_build.plan.context import Facts
from vmgen_build.systems.parse import parse_system

REPOMD = "<?xml version='1.0'?>\n<repomd><timestamp>1700000001</timestamp><timestamp>5</timestamp></repomd>\n"
FEDORA = ("releases/42/Everything/x86_64/os", "updates/42/Everything/x86_64")


def database(date: int = 1700000002, **digests: str) -> bytes:
    """Package file -> digest, as a database of pacman's. date: when the packages were built."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, digest in digests.items():
            text = f"%FILENAME%\n{name}\n\n%NAME%\n{name}\n\n%BUILDDATE%\n{date}\n\n%SHA256SUM%\n{digest}\n".encode()
            info = tarfile.TarInfo(f"{name}/desc")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Mirror, Path]]:
    """A mirror of a folder, with a Fedora and an Arch in it."""
    folder = tmp_path / "served"
    for suite in FEDORA:
        (folder / suite / "repodata").mkdir(parents=True)
        (folder / suite / "repodata/repomd.xml").write_text(REPOMD)
    for name in ("core", "extra"):
        (folder / name / "os/x86_64").mkdir(parents=True)
        (folder / name / f"os/x86_64/{name}.db").write_bytes(database(a="0" * 64))
    with mirror({"/m/": folder}) as server:
        yield server, folder


def facts(name: str, server: Mirror, cache: Path, offline: bool = False) -> Facts:
    system = parse_system(name)
    return supply_kind(system).facts(Request(system, f"{server.url}/m", 0), {}, cache, offline=offline)


@pytest.mark.parametrize(("name", "date", "paths"), [("fedora-42", 1700000001, 2), ("arch", 1700000002, 2)])
def test_what_an_archive_holds_is_asked_once(
    served: tuple[Mirror, Path], tmp_path: Path, name: str, date: int, paths: int
) -> None:
    server, _ = served
    found = facts(name, server, tmp_path / "cache")
    assert (found.epoch, found.release != "unknown") == (date, True)
    assert len(server.requests) == paths
    assert facts(name, server, tmp_path / "cache") == facts(name, server, tmp_path / "cache", offline=True) == found
    assert len(server.requests) == paths


def test_another_content_is_another_release(served: tuple[Mirror, Path], tmp_path: Path) -> None:
    server, folder = served
    before = facts("fedora-42", server, tmp_path / "one")
    (folder / FEDORA[1] / "repodata/repomd.xml").write_text(REPOMD.replace("0001", "0009"))
    after = facts("fedora-42", server, tmp_path / "two")
    assert (after.release != before.release, after.epoch) == (True, 1700000009)


DAY = 86400


def put(folder: Path, name: str, date: int, package: str = "a") -> None:
    """A state of the archives, as of that date."""
    if name == "arch":
        (folder / "extra/os/x86_64/extra.db").write_bytes(database(date, **{package: "0" * 64}))
    else:
        (folder / FEDORA[1] / "repodata/repomd.xml").write_text(REPOMD.replace("1700000001", str(date)))


@pytest.mark.parametrize("name", ["fedora-42", "arch"])
def test_an_archive_does_not_go_back(
    served: tuple[Mirror, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As apt's do not: it may be a day behind what this cache has seen at its address."""
    monkeypatch.setattr(states, "FRESH", 0.0)
    (server, folder), cache, now = served, tmp_path / "cache", 1750000000
    for date in (now, now - DAY + 5, now + 5):
        put(folder, name, date)
        assert facts(name, server, cache).epoch == date
    put(folder, name, now - DAY)
    index = r"'a' of http\S+/extra.db" if name == "arch" else r"http\S+/updates/\S+/repomd.xml"
    with pytest.raises(BuildError, match=index + r" is of 2025-06-14 .*release-behind.* or remove \S+\.json") as error:
        facts(name, server, cache)
    assert facts(name, server, tmp_path / "another").epoch == now - DAY, "a cache that never saw a newer one"
    Path(str(error.value).split("or remove ")[1].split(" where")[0]).unlink()
    assert facts(name, server, cache).epoch == now - DAY


def test_the_newest_package_of_a_database_may_go(
    served: tuple[Mirror, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are what is remembered then."""
    monkeypatch.setattr(states, "FRESH", 0.0)
    (server, folder), cache, now = served, tmp_path / "cache", 1750000000
    put(folder, "arch", now, "new")
    assert facts("arch", server, cache).epoch == now
    put(folder, "arch", now - 9 * DAY, "old")
    assert facts("arch", server, cache).epoch == now - 9 * DAY
    put(folder, "arch", now - 11 * DAY, "old")
    with pytest.raises(BuildError, match=r"'old' of \S+ is of "):
        facts("arch", server, cache)


def test_what_does_not_answer_is_named(served: tuple[Mirror, Path], tmp_path: Path) -> None:
    server, _ = served
    server.faults["*updates*"] = Fault(status=404)
    with pytest.raises(BuildError, match=r"cannot read http://127.*/updates/42/.*/repomd.xml: HTTP 404; check the mir"):
        facts("fedora-42", server, tmp_path / "cache")
    server.faults["*updates*"] = Fault(content=b"<html>Welcome</html>")
    with pytest.raises(BuildError, match=r"repomd.xml is no index of a repository: check the mirror's address"):
        facts("fedora-42", server, tmp_path / "cache")
    with pytest.raises(BuildError, match=r"nothing is known of .* yet: run once without --offline"):
        facts("fedora-42", server, tmp_path / "other", offline=True)


def test_a_damaged_database_is_named(served: tuple[Mirror, Path], tmp_path: Path) -> None:
    server, _ = served
    server.faults["*core.db"] = Fault(content=b"\x1f\x8bnonsense")
    with pytest.raises(BuildError, match=r"core.db is damaged: .*; take another mirror"):
        facts("arch", server, tmp_path / "cache")


@pytest.mark.parametrize("form", ["none", "gzip", "xz", "zstd"])
def test_an_index_is_read_in_any_form(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"index\n" * 1000
    if form == "zstd":
        data = subprocess.run(["zstd", "-q", "-c"], input=text, capture_output=True, check=True).stdout
    else:
        data = {"none": bytes, "gzip": gzip.compress, "xz": lzma.compress}[form](text)
    assert indexfiles.text_of(data, "x") == text
    small = type(indexfiles.INDEX_TEXT)("index-text", "an index", 5999)
    monkeypatch.setattr(indexfiles, "INDEX_TEXT", small)
    with pytest.raises(BuildError, match=r"more than the limit 'index-text' allows|is damaged"):
        indexfiles.text_of(data, "x")


def primary(**digests: str) -> bytes:
    rows = (
        f'<package type="rpm"><name>x</name><checksum type="sha256" pkgid="YES">{digest}</checksum>'
        f'<location href="Packages/{name}"/></package>'
        for name, digest in digests.items()
    )
    return gzip.compress(f"<metadata>{''.join(rows)}</metadata>".encode())


def test_only_what_an_index_names_is_kept(tmp_path: Path) -> None:
    found, kept, indexes = tmp_path / "found", tmp_path / "kept", tmp_path / "indexes/cache/vmgen-r-0-12ab/repodata"
    for folder in (found / "sub", kept, indexes):
        folder.mkdir(parents=True)
    (found / "sub/good.rpm").write_bytes(b"good")
    (found / "other.rpm").write_bytes(b"not in the index")
    (found / "renamed.rpm").write_bytes(b"good")
    os.symlink("/etc/passwd", found / "link.rpm")
    os.mkfifo(found / "pipe.rpm")
    digest = hashlib.sha256(b"good").hexdigest()
    (indexes / "abc-primary.xml.gz").write_bytes(primary(**{"good.rpm": digest, "link.rpm": "0" * 64}))
    own = tmp_path / "indexes/cache/own-12ab/repodata"
    own.mkdir(parents=True)
    other = hashlib.sha256(b"not in the index").hexdigest()
    (own / "primary.xml.gz").write_bytes(primary(**{"other.rpm": other}))
    os.symlink("/dev/zero", indexes / "b-primary.xml")
    os.truncate(os.open(found / "large.rpm", os.O_WRONLY | os.O_CREAT), 1 << 43)

    def known(digests: object) -> set[tuple[str, str]]:
        return repodata.named(tmp_path / "indexes", ["vmgen-r-0"], digests)  # type: ignore[arg-type]

    assert keep_packages(found, kept, known) == 1
    assert [str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()] == ["sub/good.rpm"]
    assert keep_packages(found, kept, known) == 0


def test_pacman_s_database_names_its_packages(tmp_path: Path) -> None:
    (tmp_path / "core.db").write_bytes(database(**{"a.pkg.tar.zst": "a" * 64, "b.pkg.tar.zst": "b" * 64}))
    os.symlink("/etc/passwd", tmp_path / "extra.db")
    assert pacman._named(tmp_path, ["core", "extra"], {"b" * 64, "c" * 64}) == {("b.pkg.tar.zst", "b" * 64)}


def supply(name: str, mirror: str | None, **proxies: str) -> Supply:
    system = parse_system(name)
    request = Request(system, mirror, 0)
    kind = supply_kind(system)
    if kind is pacman.PacmanSupply:
        return pacman.PacmanSupply(request, proxies)
    assert issubclass(kind, dnf.DnfSupply | zypper.ZypperSupply)
    return kind(request, proxies, b"authorities")


def test_dnf_takes_the_mirror_in_place_of_the_archive() -> None:
    files = supply("fedora-42", "http://m.example/f").settings("/run/vmgen", "/run/vmgen")
    assert b"reposdir=/run/vmgen,/etc/yum.repos.d\n" in files["dnf.conf"]
    assert b"baseurl=http://m.example/f/releases/42/Everything/x86_64/os\n" in files["vmgen.repo"]
    assert b"gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-42-x86_64\n" in files["vmgen.repo"]
    assert files["vmgen.repo"].count(b"gpgcheck=1") == 2
    assert b"gpgcheck=0" not in files["vmgen.repo"]


def test_a_system_without_a_known_archive_takes_the_base_s_own_repositories() -> None:
    files = supply("fedora-14", None).settings("/run/vmgen", "/var/lib/x")
    assert "vmgen.repo" not in files
    assert b"reposdir=/var/lib/vmgen/repos,/etc/yum.repos.d\ncachedir=/var/lib/x/cache\n" in files["dnf.conf"]


def test_zypper_checks_by_the_keys_that_rpm_has() -> None:
    files = supply("opensuse-15.6", None).settings("/run/vmgen", "/run/vmgen")
    text = files["vmgen.repo"].decode()
    assert text.count("[vmgen-opensuse-") == text.count("gpgcheck=1\n") == 4
    assert "gpgkey" not in text


def test_a_proxy_with_a_password_is_in_no_argument_and_no_environment() -> None:
    for name in ("fedora-42", "opensuse-15.6", "arch"):
        one = supply(name, "http://m.example", https_proxy="http://me:it's@proxy")
        assert "it's" not in str(one.environment("/run/vmgen"))
        lines = one.settings("/run/vmgen", "/run/vmgen")["proxy.sh"].decode()
        ran = subprocess.run(["dash", "-c", f'{lines}printf "%s" "$https_proxy"'], capture_output=True, text=True)
        assert ran.stdout == "http://me:it's@proxy"


@pytest.mark.parametrize("name", ["fedora-42", "fedora-14", "opensuse-15.6", "arch"])
def test_scripts_of_supplies_are_clean_shell(name: str, tmp_path: Path) -> None:
    one = supply(name, "http://m.example")
    for what, text in (("update", one.fetch_indexes("/run/vmgen")), ("neutral", one.neutral)):
        path = tmp_path / f"{what}.sh"
        path.write_text(text)
        ran = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout


def test_the_base_s_repositories_move_and_those_of_discs_are_switched_off(tmp_path: Path) -> None:
    folder, moved = tmp_path / "repos.d", tmp_path / "moved"
    folder.mkdir()
    text = "[a]\nenabled=1\nbaseurl=http://x\n\n[b]\nenabled=1\nbaseurl=cd:///?devices=/dev/sr0\n[c]\nenabled=1\n"
    (folder / "x.repo").write_text(text)
    script = supply("opensuse-15.6", None).neutral
    script = script.replace("/etc/zypp/repos.d", str(folder)).replace("/var/lib/vmgen/repos", str(moved))
    subprocess.run(["dash"], input=script, text=True, check=True)
    assert list(folder.iterdir()) == []
    found = (moved / "x.repo").read_text()
    assert found == text.replace("[b]\nenabled=1", "[b]\nenabled=0")


def test_an_index_without_ends_is_read_in_time(tmp_path: Path) -> None:
    """A hostile mirror's: each beginning was compared with all that follows."""
    folder = tmp_path / "vmgen-r-0/repodata"
    folder.mkdir(parents=True)
    line = b'pkgid="YES">' + b"a" * 64 + b"</checksum><location "
    (folder / "primary.xml").write_bytes(line * 40_000)
    assert repodata.named(tmp_path, ["vmgen-r-0"], {"a" * 64}) == set()


def test_a_date_to_come_is_refused(served: tuple[Mirror, Path], tmp_path: Path) -> None:
    server, _ = served
    server.faults["*updates*"] = Fault(content=REPOMD.replace("1700000001", "9999999999").encode())
    with pytest.raises(BuildError, match=r"is of a time to come: the limit 'release-ahead'"):
        facts("fedora-42", server, tmp_path / "cache")


def test_a_password_of_an_address_is_in_no_message(tmp_path: Path) -> None:
    system = parse_system("fedora-42")
    request = Request(system, "http://user:CANARY@127.0.0.1:9/m", 0)
    with pytest.raises(BuildError) as caught:
        supply_kind(system).facts(request, {}, tmp_path, offline=False)
    assert "CANARY" not in str(caught.value)
