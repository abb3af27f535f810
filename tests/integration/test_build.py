"""The whole way for real: recipe, containers, tarball, manifest, boot, probes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import sha512_crypt

from vmgen_build.store.cachedir import claim_cache

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).resolve().parents[2]
RECIPES = Path(__file__).parent / "recipes"
OUTSIDE = {"TEST_SECRET": "from 'outside' $(x)"}
CLEAR = ["a,b#c'd $(e) {{ f }} -g", "student, #1", OUTSIDE["TEST_SECRET"], "Gr8t secret from a file"]
"""Every clear password that recipes/everything.ini uses."""


LIMITS_HOLD = {"[hardware] ram": ("holds", "536870912"), "[hardware] num_cpu": ("holds", "100000 100000")}
NO_LIMIT = ("skipped", "this host sets no such limit under cgroup v2")


def controllers_of_cgroup2() -> set[str]:
    """Those that cgroup v2 has on this host; what cgroup v1 holds it lacks (cgroups(7))."""
    lines = "mount -t cgroup2 none /mnt && cat /mnt/cgroup.controllers"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", lines], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def everything(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("everything")
    done = vmgen(RECIPES / "everything.ini", "-o", out, "-v", env=OUTSIDE)
    assert done.returncode == 0, done.stderr[-4000:]
    (out / "said").write_text(done.stdout + done.stderr)
    return out


@pytest.fixture(scope="module")
def manifest(everything: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((everything / "everything-lxc-amd64.tar.zst.manifest.json").read_text())
    return data


@pytest.fixture(scope="module")
def unpacked(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("unpacked")
    archive = everything / "everything-lxc-amd64.tar.zst"
    subprocess.run(["tar", "--zstd", "--numeric-owner", "-C", folder, "-xf", archive], check=True)
    yield folder
    shutil.rmtree(folder)


def test_every_option_holds_in_the_booted_machine(vmgen: Run, everything: Path) -> None:
    done = vmgen("verify", everything / "everything-lxc-amd64.tar.zst", "--json")
    probes = [json.loads(line) for line in done.stdout.splitlines() if '"event": "probe"' in line]
    bad = [(p["probe"], p["outcome"], p["found"]) for p in probes if p["outcome"] == "fails"]
    assert bad == [] and done.returncode == 0, done.stderr[-3000:]
    limits = {"[hardware] ram": "memory", "[hardware] num_cpu": "cpu"}
    assert {p["setting"] for p in probes if p["outcome"] == "skipped"} <= set(limits)
    assert {p["setting"]: (p["outcome"], p["found"]) for p in probes if p["setting"] in limits} == {
        setting: LIMITS_HOLD[setting] if controller in controllers_of_cgroup2() else NO_LIMIT
        for setting, controller in limits.items()
    }
    greeter = {p["probe"]: p["outcome"] for p in probes if p["setting"] == "[services] salve"}
    assert greeter == {"program-greeter": "holds", "unit-greeter.service": "holds"}
    asked = {p["setting"].split("]")[0].strip("[") for p in probes}
    assert {"users", "network", "config", "devel", "services", "gui"} <= {a.split(".")[0] for a in asked}
    assert len(probes) > 50


def test_the_manifest_says_what_came_out(everything: Path, manifest: dict[str, Any]) -> None:
    (file,) = manifest["files"]
    artifact = everything / file["name"]
    assert file["size"] == artifact.stat().st_size
    assert file["sha256"] == hashlib.sha256(artifact.read_bytes()).hexdigest()
    assert file["sha256"] in (everything / "SHA256SUMS").read_text()
    names = {p["name"] for p in manifest["packages"]}
    assert {"vim", "git", "openssh-server", "apache2", "jq", "locales"} <= names
    assert all(p["version"] and p["arch"] for p in manifest["packages"])
    assert manifest["steps"][0]["name"] == "base"
    assert all(len(s["id"]) == 64 for s in manifest["steps"])
    assert [s["program"] for s in manifest["skipped"]] == ["lustrefs"]


def test_values_arrive_as_data(unpacked: Path) -> None:
    root = unpacked / "rootfs"
    hostile = (RECIPES / "hostile.bin").read_bytes()
    assert (root / "srv/deep/er/hostile.bin").read_bytes() == hostile
    assert (root / "opt/hostile.bin").read_bytes() == hostile
    assert (root / "srv/first").read_text() == "$(x) {{ y }}"
    assert (root / "srv/second").read_text() == "two {{ not rendered }}\n"
    assert not (root / "pwned").exists()
    passwd = (root / "etc/passwd").read_text()
    assert "Gaius `Julius` $(Caesar) {{ x }}" in passwd


def test_the_passwords_are_the_ones_asked_for(unpacked: Path) -> None:
    shadow = dict(line.split(":")[:2] for line in (unpacked / "rootfs/etc/shadow").read_text().splitlines())
    clear = {"caesar": CLEAR[0], "root": CLEAR[1], "outside": CLEAR[2], "infile": CLEAR[3]}
    for login, password in clear.items():
        assert sha512_crypt.verify(password, shadow[login]), login
    assert shadow["nologin"][0] in "!*"


def test_nothing_of_the_builder_is_in_the_image(unpacked: Path) -> None:
    root = unpacked / "rootfs"
    assert (root / "etc/machine-id").read_text() == ""
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert not (root / "usr/sbin/policy-rc.d").exists()
    assert [p for p in (root / "var/lib/apt/lists").rglob("*") if p.is_file()] == []
    assert [p for p in (root / "var/cache/apt").rglob("*") if p.is_file()] == []
    assert (root / "etc/resolv.conf").read_text().splitlines() == ["nameserver 192.168.77.254", "nameserver 9.9.9.9"]
    assert list((root / "etc").rglob("*mmdebstrap*")) == []
    settings = "".join(p.read_text() for p in (root / "etc/apt/apt.conf.d").iterdir())
    assert "Acquire::" not in settings and "Sandbox" not in settings
    assert not (root / "run/vmgen").exists()
    assert list((root / "tmp").iterdir()) == []
    sources = (root / "etc/apt/sources.list.d/debian.sources").read_text()
    assert "http://deb.debian.org/debian" in sources and "bookworm-security" in sources


def test_no_password_is_anywhere(everything: Path, unpacked: Path, cache: Path) -> None:
    """The canary: hashes in /etc/shadow aside, nothing that the build leaves holds a clear password. Each file is read
    once for all of them."""
    secret_hash = (unpacked / "rootfs/etc/shadow").read_text().split("caesar:")[1].split(":")[0]
    found = _holders([*CLEAR, secret_hash], everything, unpacked, cache)
    holders = found.pop(secret_hash)
    assert found == {secret: [] for secret in CLEAR}
    assert {path.name for path in holders} == {"shadow"}
    assert {path for path in holders if path.is_relative_to(cache)}, "the search finds what is there"


def _holders(needles: list[str], *folders: Path) -> dict[str, list[Path]]:
    """Needle -> the files that hold it; what was downloaded aside."""
    found: dict[str, list[Path]] = {needle: [] for needle in needles}
    for parent, below, names in chain.from_iterable(map(os.walk, folders)):
        below[:] = [name for name in below if name != "downloads"]
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                for needle in needles:
                    if needle.encode() in content:
                        found[needle].append(path)
    return found


def test_again_with_nothing_changed_runs_no_step(vmgen: Run, everything: Path) -> None:
    artifact = everything / "everything-lxc-amd64.tar.zst"
    before = artifact.stat()
    done = vmgen(RECIPES / "everything.ini", "-o", everything, "--json", env=OUTSIDE)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["outcome"] for e in events if e["event"] == "step-finished"} == {"cached"}
    assert artifact.stat() == before


def written(path: Path) -> tuple[int, int, int]:
    """What a write changes and a read does not."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def test_an_edit_that_changes_no_step_changes_the_manifest_alone(vmgen: Run, tmp_path: Path) -> None:
    """A comment, a default, a warning, a probe: the artifact stays, and its manifest is that of the recipe at hand."""
    recipe, out = tmp_path / "edited.ini", tmp_path / "out"
    artifact, path = out / "edited-lxc-amd64.tar.zst", out / "edited-lxc-amd64.tar.zst.manifest.json"
    login = "[users]\n[[users]]\n[[[ana]]]\nname = ana\npasswd = correct-horse\n"
    recipe.write_text(f"{login}[hardware]\nvm_id = edited\nos = debian-12\n")
    assert vmgen(recipe, "-o", out).returncode == 0
    before, first = written(artifact), json.loads(path.read_text())

    def again() -> dict[str, Any]:
        done = vmgen(recipe, "-o", out)
        assert done.returncode == 0 and "unchanged" in done.stdout, done.stdout + done.stderr
        assert written(artifact) == before
        subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=out, check=True, capture_output=True)
        assert path.name in (out / "SHA256SUMS").read_text()
        manifest: dict[str, Any] = json.loads(path.read_text())
        return manifest

    manifest_before = written(path)
    assert again() == first and written(path) == manifest_before

    recipe.write_text(recipe.read_text() + "# a comment\n")
    assert again() == first

    recipe.write_text(recipe.read_text() + "[config]\nrecommends = no\n")
    edited = again()
    assert edited["recipe"]["sha256"] != first["recipe"]["sha256"]
    assert edited | {"recipe": first["recipe"]} == first

    recipe.write_text(recipe.read_text() + "colour = red\n")
    warned = again()
    assert any("colour" in text for text in warned["warnings"]) and first["warnings"] == []

    probe = tmp_path / "templates/linux/probes/hostname.sh.j2"
    probe.parent.mkdir(parents=True)
    probe.write_text((ROOT / "templates/linux/probes/hostname.sh.j2").read_text() + "# of one's own\n")
    asked = again()
    (script,) = (p["script"] for p in asked["probes"] if p["name"] == "hostname")
    assert script.endswith("# of one's own\n")
    assert [(s["id"], s["seconds"], s["outcome"]) for s in asked["steps"]] == [
        (s["id"], s["seconds"], s["outcome"]) for s in first["steps"]
    ]


def test_lxc_start_runs_the_unpacked_container(everything: Path, tmp_path: Path) -> None:
    """As its user does: a folder under lxc's path, here one in namespaces of the test's own."""
    lines = f"""
        set -e
        mount --make-rprivate /
        mount -t sysfs sysfs /sys
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir -p /var/lib/lxc
        mount -t tmpfs -o size=3G tmpfs /var/lib/lxc
        mkdir /var/lib/lxc/everything
        tar --zstd --numeric-owner --xattrs --xattrs-include='*' -C /var/lib/lxc/everything \\
            -xf {everything}/everything-lxc-amd64.tar.zst
        ip link add lxcbr0 type bridge
        ip link set lxcbr0 up
        grep -qw memory /sys/fs/cgroup/cgroup.controllers || sed -i '/^lxc.cgroup/d' /var/lib/lxc/everything/config
        lxc-start -n everything
        lxc-wait -n everything -s RUNNING -t 30
        lxc-attach -n everything -- sh -c 'until [ "$(cat /proc/1/comm)" = systemd ]; do sleep 0.1; done; hostname'
        lxc-stop -n everything -k
    """
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", lines],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "Every-Thing", done.stderr


ARCHITECTURES = ("i686", "x86_64", "armv7l", "aarch64", "ppc64le", "s390x", "riscv64")
"""Of the names that incus takes (shared/osarch), those of architectures that Debian has."""

MAGIC = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz"}
"""By the first bytes of a file incus tells how it is compressed, never by its name."""


def scalars_of(text: str) -> dict[str, Any]:
    """metadata.yaml as data. Only the part of YAML that it is written in: two levels of keys; values that are JSON."""
    top: dict[str, Any] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(?P<indent>(?:  )?)(?P<key>[\w.]+):(?: (?P<value>\S.*))?", line)
        assert match is not None, line
        if match["value"] is None:
            assert not match["indent"], line
            inner = top[match["key"]] = {}
            continue
        (inner if match["indent"] else top)[match["key"]] = json.loads(match["value"])
    return top


def test_the_tarball_has_the_form_and_the_metadata_that_incus_demands(everything: Path, tmp_path: Path) -> None:
    """By the documented rules of a unified tarball; what LXD is given is in test_instances.py.

    https://linuxcontainers.org/incus/docs/main/reference/image_format/
    """
    archive = everything / "everything-lxc-amd64.tar.zst"
    head = archive.read_bytes()[:6]
    assert [name for magic, name in MAGIC.items() if head.startswith(magic)] == ["zstd"]
    plain = tmp_path / "image.tar"
    subprocess.run(["zstd", "-dq", archive, "-o", plain], check=True)
    with tarfile.open(plain, "r:") as tar:
        members = {member.name: member for member in tar}
        metadata = tar.extractfile("metadata.yaml")
        assert metadata is not None and next(iter(members)) == "metadata.yaml"
        text, mark, rendered = metadata.read().decode().partition("templates:\n")
        data = scalars_of(text)
    assert {name.partition("/")[0] for name in members} == {"metadata.yaml", "config", "templates", "rootfs"}
    named = [line.split(": ")[1] for line in rendered.splitlines() if line.startswith("    template: ")]
    assert mark and named and all(f"templates/{name}" in members for name in named)
    assert members["rootfs"].isdir() and members["rootfs/sbin"].name in members
    assert not [m.name for m in members.values() if m.isdev()], "an unprivileged container cannot unpack them"
    assert not [n for n in members if n.startswith("/") or ".." in n.split("/")]

    assert data["architecture"] in ARCHITECTURES
    assert isinstance(data["creation_date"], int) and data["creation_date"] > 0, "incus refuses 0"
    properties = data["properties"]
    assert properties and all(isinstance(value, str) and value for value in properties.values())
    assert (properties["os"], properties["release"], properties["name"]) == ("Debian", "bookworm", "everything")
    assert properties["architecture"] == data["architecture"] == "x86_64"


def test_the_thesis_sample_builds(vmgen: Run, tmp_path: Path) -> None:
    """Without its largest programs, which test_catalogue_archive.py asks the archive for."""
    recipe = tmp_path / "sample.ini"
    shutil.copy(ROOT / "recipes/samples/thesis-openvz.ini", recipe)
    large = ("gui.chrome", "gui.wireshark", "devel.valgrind")
    light = [word for program in large for word in ("--set", f"{program}=0")]
    done = vmgen(recipe, "-o", tmp_path, "--set", "hardware.os=debian-12", *light)
    assert done.returncode == 0, done.stderr[-3000:]
    verified = vmgen("verify", tmp_path / "123-lxc-amd64.tar.zst")
    assert verified.returncode == 0, verified.stdout[-5000:] + verified.stderr[-2000:]


def test_a_build_from_empty_layers_gives_the_same_bytes(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    """As one with the layers of another time: only what was downloaded is shared."""
    own = cache.parent / f"{cache.name}-again-{os.getpid()}"
    claim_cache(own)
    for name in ("downloads", "facts"):
        subprocess.run(["cp", "-al", cache / name, own / name], check=True)
    try:
        sums = [_sum_of_repeat(vmgen, folder, tmp_path / f"out{n}") for n, folder in enumerate((cache, own))]
    finally:
        shutil.rmtree(own)
    if sums[0] != sums[1]:
        pytest.fail("the tarballs differ:\n" + "\n".join(_differences(tmp_path)))


def _sum_of_repeat(vmgen: Run, cache: Path, out: Path) -> str:
    done = vmgen(RECIPES / "repeat.ini", "-o", out, env={"VMGEN_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (text for text in (out / "SHA256SUMS").read_text().splitlines() if text.endswith(".tar.zst"))
    return line


def _differences(tmp_path: Path) -> list[str]:
    contents = []
    for number in range(2):
        (archive,) = (tmp_path / f"out{number}").glob("*.tar.zst")
        plain = tmp_path / f"{number}.tar"
        subprocess.run(["zstd", "-dqf", archive, "-o", plain], check=True)
        with tarfile.open(plain) as tar:
            entries = {}
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                data = hashlib.sha256(file.read()).hexdigest() if file else member.linkname
                entries[member.name] = (member.mode, member.uid, member.gid, member.mtime, member.pax_headers, data)
        contents.append(entries)
    names = sorted(set(contents[0]) | set(contents[1]))
    return [name for name in names if contents[0].get(name) != contents[1].get(name)][:50]
