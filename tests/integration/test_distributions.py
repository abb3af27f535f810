"""The whole way on distributions other than Debian: a base, its package manager and daemons, and a proof that it boots.

They are the tests' own (tests/distros). What is asked of a booted machine is what `verify` asks.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.distros.keys import signing_keys
from tests.distros.lab import Lab
from tests.distros.repositories import repositories, routes
from tests.distros.roots import DISTRIBUTIONS, tarball_of
from tests.distros.server import Fault, Mirror, dead_url, mirror, port_of
from tests.integration.imageserver import item, product, write_lists

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = tuple(DISTRIBUTIONS)


@pytest.fixture(scope="module")
def served(cache: Path) -> Iterator[Mirror]:
    shutil.rmtree(cache / "facts", ignore_errors=True)
    with mirror(routes(cache, *DISTRIBUTIONS.values()), port_of(cache)) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_fault_stays(served: Mirror) -> Iterator[None]:
    yield
    served.forget()


@pytest.fixture(scope="module", params=NAMES)
def lab(request: pytest.FixtureRequest, cache: Path, served: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    name = request.param
    return Lab(DISTRIBUTIONS[name], cache, served, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def built(vmgen: Run, lab: Lab) -> Path:
    done = vmgen(lab.whole(), "-o", lab.folder / "out", "--strict")
    assert done.returncode == 0, done.stderr[-4000:]
    (tarball,) = (lab.folder / "out").glob("*.tar.zst")
    return tarball


def outcomes(vmgen: Run, artifact: Path) -> dict[str, str]:
    """Probe -> its outcome."""
    done = vmgen("verify", artifact, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    probes = {e["probe"]: e for e in lines if e["event"] == "probe"}
    failing = {name: e for name, e in probes.items() if e["outcome"] not in ("holds", "skipped")}
    assert (failing, done.returncode) == ({}, 0), done.stderr[-2000:]
    return {name: e["outcome"] for name, e in probes.items()}


SETTINGS = {
    *("hostname", "timezone", "locale", "keyboard", "user-caesar-sudo", "unit-sshd.service"),
    *("unit-nginx.service", "machine-id", "ssh-hostkeys"),
}


def test_every_setting_holds_in_the_booted_machine(vmgen: Run, built: Path) -> None:
    found = outcomes(vmgen, built)
    assert {name for name, outcome in found.items() if outcome == "holds"} >= SETTINGS


LEFT_AS_IT_WAS = {
    "fedora": ("etc/yum.repos.d/fedora.repo", "etc/yum.repos.d/fedora-updates.repo", "etc/yum.repos.d/other.repo"),
    "opensuse": ("etc/zypp/repos.d/repo-oss.repo", "etc/zypp/repos.d/repo-update.repo", "etc/zypp/repos.d/other.repo"),
    "arch": ("etc/pacman.conf", "etc/pacman.d/mirrorlist", "etc/pacman.d/vmgen/other.conf"),
}
CACHES = ("var/cache/dnf/", "var/cache/zypp/", "var/cache/pacman/pkg/", "var/lib/pacman/sync/", "var/lib/vmgen/")
IDENTITIES = (
    "etc/ssh/ssh_host_",
    "etc/pacman.d/gnupg/",
    "var/lib/systemd/random-seed",
    "var/lib/NetworkManager/secret",
)


def test_the_image_has_its_own_repositories_and_nothing_of_the_build(lab: Lab, built: Path) -> None:
    listed = subprocess.run(["tar", "-tf", built], capture_output=True, text=True, check=True).stdout.splitlines()
    names = {name.removeprefix("rootfs/") for name in listed}
    assert set(LEFT_AS_IT_WAS[lab.distribution.name]) <= names
    assert {"usr/bin/local-tool", "usr/bin/elsewhere"} <= names
    left = [name for name in names if name.startswith((*CACHES, *IDENTITIES)) and not name.endswith("/")]
    assert left == []
    show = ["tar", "-xOf", built, *(f"rootfs/{name}" for name in LEFT_AS_IT_WAS[lab.distribution.name][:2])]
    own = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert lab.mirror.url not in own


def test_the_same_base_from_an_image_server(vmgen: Run, lab: Lab, built: Path, tmp_path: Path) -> None:
    """Where it comes from makes no other layer."""
    tarball, sha256 = tarball_of(lab.cache, lab.distribution)
    recipe = lab.whole(name="streamed")
    recipe.write_text(recipe.read_text().replace(f"base = {tarball}", "base = images:tests/base"))
    listed = item("root.tar.xz", tarball.name, tarball)
    assert listed["sha256"] == sha256
    write_lists(tmp_path / "server", {"tests": product("tests/base", {"root.tar.xz": listed})})
    with mirror({"/streams/": tmp_path / "server/streams", "/": tarball.parent}) as server:
        done = vmgen(recipe, "-o", tmp_path / "out", "--image-server", server.url)
        assert done.returncode == 0, done.stderr[-3000:]
        assert server.asked(f"/{tarball.name}") == 1
    assert "base system of" in done.stderr and "development tools: cached" in done.stderr
    assert "further packages: cached" in done.stderr


def test_another_user_needs_no_package_again(vmgen: Run, lab: Lab, built: Path) -> None:
    lab.mirror.requests.clear()
    done = vmgen(lab.whole(user="brutus"), "-o", lab.folder / "second")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "further packages: cached" in done.stderr
    assert "users and groups: done" in done.stderr
    assert lab.mirror.asked("*.rpm") + lab.mirror.asked("*.pkg.tar.zst") == 0


def test_the_same_for_openvz(vmgen: Run, lab: Lab, built: Path) -> None:
    """It takes the packages that the other image has made."""
    done = vmgen(lab.whole(name="4217"), "-b", "openvz", "-o", lab.folder / "openvz")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "further packages: cached" in done.stderr
    (bundle,) = (lab.folder / "openvz").glob("*.tar")
    outcomes(vmgen, bundle)


def test_a_whole_machine_is_refused_at_its_line(vmgen: Run, lab: Lab) -> None:
    """That of Fedora is made: test_fedora_machine."""
    if lab.distribution.name == "fedora":
        return
    done = vmgen(lab.whole(), "-b", "vmware", "-o", lab.folder / "vmware")
    assert done.returncode == 2
    assert re.search(rf"{lab.distribution.name}-lab\.ini:3:\d+: \[hardware\] os", done.stderr)


def failed(vmgen: Run, recipe: Path, code: int = 1) -> str:
    """What the build of a recipe that cannot be built says."""
    out = recipe.with_suffix(".out")
    shutil.rmtree(out, ignore_errors=True)
    done = vmgen(recipe, "-o", out)
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert not list(out.glob("*.tar*"))
    return done.stderr


UNKNOWN = {
    "fedora": "Unable to find a match: no-such",
    "opensuse": "'no-such' not found",
    "arch": "target not found: no-such",
}


def test_an_unknown_package(vmgen: Run, lab: Lab) -> None:
    errors = failed(vmgen, lab.plain("    packages = no-such\n"))
    assert "step 'packages-config' failed" in errors
    assert UNKNOWN[lab.distribution.name] in errors


def test_a_package_whose_script_fails(vmgen: Run, lab: Lab) -> None:
    errors = failed(vmgen, lab.plain("    packages = bad-post\n"))
    assert "step 'packages-config' failed" in errors
    assert "a package's own script failed" in errors
    recipe = lab.plain("    packages = bad-post\n    failed_scripts = ignore\n", name="tolerant")
    assert vmgen(recipe, "-o", lab.folder / "tolerant").returncode == 0


UNSIGNED = {
    "fedora": ("unsigned-1.0-1.fc42.noarch.rpm is not signed", "wrongly-signed-1.0-1.fc42.noarch.rpm is not installed"),
    "arch": ("unsigned-1.0-1-any.pkg.tar.zst.sig", "required key missing from keyring"),
}


def test_a_package_that_nobody_or_a_stranger_has_signed(vmgen: Run, lab: Lab) -> None:
    """zypper asks for the signature of the index alone, which names each package's digest."""
    for package, answer in zip(("unsigned", "wrongly-signed"), UNSIGNED.get(lab.distribution.name, ()), strict=False):
        errors = failed(vmgen, lab.plain(f"    packages = {package}\n"))
        assert "step 'packages-config' failed" in errors
        assert answer in errors


INDEX = {"fedora": "", "opensuse": "repodata/repomd.xml", "arch": "core.db"}


def test_an_index_that_a_stranger_has_signed(vmgen: Run, lab: Lab, cache: Path) -> None:
    """dnf looks at the packages' own signatures."""
    name = INDEX[lab.distribution.name]
    if not name:
        return
    (path,) = (path for path, repository in lab.distribution.layout.items() if repository == "main")
    folder = repositories(cache, lab.distribution) / "main"
    keys = signing_keys(cache)
    sign = ["gpg", "--homedir", keys["stranger"].home, "--batch", "--detach-sign", "--output", "-", folder / name]
    armour = ["--armor"] if lab.distribution.format == "rpm" else []
    signature = subprocess.run([*sign[:-3], *armour, *sign[-3:]], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["gpgconf", "--homedir", keys["stranger"].home, "--kill", "all"], check=True)
    where = f"/{lab.distribution.name}/{path}/{name}"
    ending = "asc" if armour else "sig"
    lab.mirror.faults[f"{where}.{ending}"] = Fault(content=signature)
    lab.mirror.faults[f"{where}.key"] = Fault(content=keys["stranger"].public.read_bytes())
    lab.mirror.faults[where] = Fault(content=(folder / name).read_bytes())
    for record in (cache / "downloads").glob("lists-*"):
        shutil.rmtree(record)
    errors = failed(vmgen, lab.plain("    packages = valgrind\n"))
    assert "ignature" in errors
    for record in (cache / "downloads").glob("lists-*"):
        shutil.rmtree(record)


def test_a_mirror_that_is_not_there(vmgen: Run, lab: Lab) -> None:
    url = dead_url()
    errors = failed(vmgen, lab.plain("    packages = git\n", mirror=url))
    assert url in errors
    assert "[config] mirror" in errors


def test_a_mirror_that_has_lost_a_package(vmgen: Run, lab: Lab) -> None:
    lab.mirror.faults["*/nmap-1.0-1*"] = Fault(status=404)
    errors = failed(vmgen, lab.plain("    packages = nmap\n"))
    assert "step 'packages-config' failed" in errors
    assert "nmap-1.0-1" in errors


REPOSITORY = """\
    packages = elsewhere
    [[repos]]
        [[[other]]]
            url = {url}
            key = {key}
"""


def test_the_key_of_a_repository(vmgen: Run, lab: Lab) -> None:
    """One that its fingerprint does not name is refused before anything is built; one that did not sign, by the
    package manager."""
    keys = signing_keys(lab.cache)
    config = REPOSITORY.format(url=lab.other, key=keys["distribution"].public)
    wrong = f"            fingerprint = {keys['stranger'].fingerprint}\n"
    errors = failed(vmgen, lab.plain(config + wrong), code=2)
    assert keys["distribution"].fingerprint in errors.replace(" ", "")
    assert re.search("not installed|ignature|not signed", failed(vmgen, lab.plain(config)))


def test_a_base_of_another_system(vmgen: Run, lab: Lab) -> None:
    text = lab.plain("").read_text().replace(f"os = {lab.distribution.system}", "os = debian-12")
    text = text.replace(f"    mirror = {lab.url}\n", "")
    recipe = lab.folder / "other.ini"
    recipe.write_text(text)
    errors = failed(vmgen, recipe, code=2)
    assert re.search(r"other\.ini:4:\d+: \[hardware\] base", errors)
