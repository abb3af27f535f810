"""Machines of bases of others, from files and from servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.foreign import image, packed, ran
from tests.integration.imageserver import Tree, item, product, secure, serving, write_lists
from tests.unit.gpgkeys import Keys
from vmgen_build.host.files import sha256_of

Run = Callable[..., "subprocess.CompletedProcess[str]"]

LACKING = "systemd-sysv ifupdown isc-dhcp-client netbase iputils-ping dbus"
"""What a container's image of Debian has not, and a machine needs."""

RECIPE = """
[hardware]
    vm_id = founded
    os = debian-12-amd64
    base = {base}
    {more}
[network]
    [[eths]]
        [[[eth0]]]
            type = dhcp
[users]
    [[users]]
        [[[user0]]]
            name = ana
[config]
    hostname = founded
    packages = hello
"""


@pytest.fixture(scope="module")
def bare(vmgen: Run, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of a Debian without what makes it a machine, from the layer that all tests' Debian 12 stands on."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "plain.ini").write_text("[hardware]\nvm_id = plain\nos = debian-12-amd64\n")
    done = vmgen(folder / "plain.ini", "-o", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    manifest = json.loads((folder / "plain-lxc-amd64.tar.zst.manifest.json").read_text())
    root = folder / "root"
    ran("cp", "-a", cache / "layers" / manifest["steps"][0]["id"][:32] / "data/fs", root)
    purge = f"export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin; dpkg --purge --force-depends {LACKING}"
    ran("chroot", root, "/bin/sh", "-c", purge)
    assert not (root / "sbin/init").exists()
    (root / "etc/apt/apt.conf.d/docker-clean").write_text('DPkg::Post-Invoke { "echo docker was here >/docker"; };\n')
    (root / ".dockerenv").touch()
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    shutil.rmtree(root / "proc")
    packed(root, folder / "bare.tar")
    return folder / "bare.tar"


def recipe(folder: Path, base: object, *more: str) -> Path:
    path = folder / "founded.ini"
    path.write_text(RECIPE.format(base=base, more="\n    ".join(more)))
    return path


def holds(vmgen: Run, artifact: Path) -> None:
    done = vmgen("verify", artifact, "--json", "--timeout", 60)
    probes = [event for line in done.stdout.splitlines() if (event := json.loads(line))["event"] == "probe"]
    assert done.returncode == 0 and len(probes) > 8, (done.stderr, [p for p in probes if p["outcome"] == "fails"])


def test_a_machine_of_an_image_without_an_init(vmgen: Run, bare: Path, tmp_path: Path) -> None:
    """Built of an OCI layout of two layers, and booted."""
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/of-the-image").write_text("kept")
    layout = image(tmp_path / "layout", [bare, packed(top, tmp_path / "top.tar")])
    done = vmgen(recipe(tmp_path, "layout"), "-o", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    artifact = tmp_path / "founded-lxc-amd64.tar.zst"
    manifest = json.loads((tmp_path / "founded-lxc-amd64.tar.zst.manifest.json").read_text())
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].partition(":")[2]
    assert manifest["base"] == {"method": "oci", "source": "layout", "sha256": digest}
    assert {"systemd-sysv", "ifupdown", "hello"} <= {package["name"] for package in manifest["packages"]}
    names = set(ran("tar", "-tf", artifact).split())
    assert "./rootfs/etc/of-the-image" in names or "rootfs/etc/of-the-image" in names
    assert not {name for name in names if name.endswith(("/.dockerenv", "/docker", "docker-clean"))}
    holds(vmgen, artifact)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    found = Keys(tmp_path_factory.mktemp("gpg") / "home")
    yield found
    found.end()


@pytest.fixture(scope="module")
def streams(bare: Path, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """An image server with a signed list, and the tree that lxc's download template reads."""
    folder = tmp_path_factory.mktemp("streams")
    where = folder / "images/debian/bookworm/amd64/default/20261128_05:24"
    where.mkdir(parents=True)
    ran("sh", "-c", f"xz -0 -T2 -c {bare} >{where}/rootfs.tar.xz")
    root = where / "rootfs.tar.xz"
    items = {"root.tar.xz": item("root.tar.xz", root.relative_to(folder), root)}
    write_lists(folder, {"debian:bookworm:amd64:default": product("debian/12,debian/bookworm", items)}, keys)
    with serving(Tree(folder)) as server:
        yield server


def test_a_machine_from_an_image_server(vmgen: Run, streams: Tree, keys: Keys, tmp_path: Path, cache: Path) -> None:
    """Looked for by its alias, checked by the key; a second build downloads nothing; offline it is still known."""
    server = ["--image-server", f"http://127.0.0.1:{streams.port}"]
    path = recipe(tmp_path, "images:debian/12", f"base_key = {keys.armoured}")
    done = vmgen(path, "-o", tmp_path, *server, "--json")
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert any('"unit": "bytes"' in line and "downloading" in line for line in done.stdout.splitlines())
    manifest = json.loads((tmp_path / "founded-lxc-amd64.tar.zst.manifest.json").read_text())
    assert manifest["base"]["source"] == f"images:debian/12 of http://127.0.0.1:{streams.port}"
    streams.asked.clear()
    for extra in ([], ["--offline"]):
        again = vmgen(path, "-o", tmp_path, *server, *extra)
        assert again.returncode == 0 and "packing for lxc: cached" in again.stderr, again.stderr
    assert all(asked.startswith("/streams/") for asked in streams.asked)
    for path in (cache / "downloads/bases").iterdir():
        path.unlink()


def test_a_wrong_file_is_never_used(vmgen: Run, streams: Tree, keys: Keys, tmp_path: Path, cache: Path) -> None:
    path = recipe(tmp_path, "images:debian/12", f"base_key = {keys.armoured}", f"base_sha256 = {'0' * 64}")
    done = vmgen(path, "-o", tmp_path, "--image-server", f"http://127.0.0.1:{streams.port}")
    assert done.returncode == 2
    assert f"{path}:7:19: [hardware] base_sha256: " in done.stderr and "; it was not used" in done.stderr
    assert not list(tmp_path.glob("*.tar.zst")) and not list((cache / "downloads/bases").glob("*.part"))


@pytest.mark.parametrize(
    ("os", "base", "text"),
    [
        (
            "debian-13-amd64",
            "bare.tar",
            "is of Debian GNU/Linux 12 (bookworm), and [hardware] os says debian-13",
        ),
        ("debian-12-amd64", "notes.txt", "holds no root: it is no tar"),
        ("debian-12-amd64", "disk.img", "begins as qcow2; name it disk.qcow2"),
        ("debian-12-amd64", "folder", "is a folder, and neither an OCI layout nor an lxc image"),
    ],
)
def test_what_is_no_base_of_the_system_is_named_at_its_line(
    vmgen: Run, bare: Path, tmp_path: Path, os: str, base: str, text: str
) -> None:
    (tmp_path / "bare.tar").symlink_to(bare)
    (tmp_path / "notes.txt").write_text("notes\n" * 500)
    ran("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk.img", "8M")
    (tmp_path / "folder").mkdir()
    done = vmgen(recipe(tmp_path, base), "-o", tmp_path, "--set", f"hardware.os={os}")
    assert done.returncode == 2
    assert f"{tmp_path}/founded.ini:5:12: [hardware] base: " in done.stderr and text in done.stderr


def test_lxc_takes_the_same_tree(streams: Tree, tmp_path: Path) -> None:
    """lxc's own download template reads the older form of the server's index, and starts what it finds there."""
    folder = streams.folder
    path = "images/debian/bookworm/amd64/default/20261128_05:24"
    meta = tmp_path / "meta"
    meta.mkdir()
    for name, text in {"config": "", "expiry": "9999999999\n", "create-message": "made\n", "templates": ""}.items():
        (meta / name).write_text(text)
    (meta / "excludes-user").write_text("")
    ran("tar", "-cJf", folder / path / "meta.tar.xz", "-C", meta, *sorted(one.name for one in meta.iterdir()))
    (folder / "meta/1.0").mkdir(parents=True, exist_ok=True)
    for name in ("index-system", "index-system.7"):
        (folder / "meta/1.0" / name).write_text(f"debian;bookworm;amd64;default;20261128_05:24;/{path}/\n")
    server = Tree(folder)
    certificate = secure(server, tmp_path)
    (tmp_path / "wgetrc").write_text(f"ca_certificate = {certificate}\n")
    environ = os.environ | {"WGETRC": str(tmp_path / "wgetrc"), "LXC_CACHE_PATH": str(tmp_path / "cache")}
    with serving(server) as running:
        words = ["lxc-create", "-P", tmp_path / "lxc", "-n", "one", "-t", "download", "--"]
        words += ["--server", f"localhost:{running.port}", "-d", "debian", "-r", "bookworm", "-a", "amd64"]
        (tmp_path / "lxc").mkdir()
        done = subprocess.run([str(word) for word in words], env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "lxc/one/rootfs/usr/bin/dpkg").exists()
    assert f"/{path}/rootfs.tar.xz" in {asked.replace("//", "/") for asked in server.asked}


def test_an_os_template_serves_here_too(vmgen: Run, bare: Path, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "server/contrib"
    folder.mkdir(parents=True)
    ran("sh", "-c", f"gzip -1 -c {bare} >{folder}/plain-12-x86_64.tar.gz")
    digest = sha256_of(folder / "plain-12-x86_64.tar.gz")
    with serving(Tree(folder.parent)) as server:
        url = ["--ostemplate-url", f"http://127.0.0.1:{server.port}"]
        path = recipe(tmp_path, "template:plain-12-x86_64", f"base_sha256 = {digest}")
        looked = vmgen(path, "-o", tmp_path, *url, "--dry-run")
        assert looked.returncode == 0 and server.asked == [], looked.stderr
        done = vmgen(path, "-o", tmp_path, *url)
        assert done.returncode == 0, done.stderr[-3000:]
        again = vmgen(path, "-o", tmp_path, *url, "--offline")
        assert again.returncode == 0 and "packing for lxc: cached" in again.stderr
    manifest = json.loads((tmp_path / "founded-lxc-amd64.tar.zst.manifest.json").read_text())
    assert manifest["base"] == {"method": "tarball", "source": "template:plain-12-x86_64", "sha256": digest}
    (cache / "downloads/ostemplates/plain-12-x86_64.tar.gz").unlink()
