"""One made-up thing of each kind from a package outside (tests/extending), all in one real build."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ROOT / "tests/extending"
RECIPE = """
[hardware]
    vm_id = tiny
    os = tinydeb-1-amd64
[config]
    timezone = Europe/Bucharest
[devel]
    greeter = 1
[greeting]
    text = Salve, magister!
    times = 2
"""


@dataclass(frozen=True)
class Lab:
    """A folder with tiny.ini, and the tool with the package of others on its path."""

    folder: Path
    run: Run

    def __call__(self, *words: object) -> Ran:
        return self.run(*words, cwd=self.folder, env={"PYTHONPATH": f"{OUTSIDE}:{ROOT}"})


@pytest.fixture(scope="module")
def lab(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("extending")
    (folder / "tiny.ini").write_text(RECIPE)
    return Lab(folder, vmgen)


@pytest.fixture(scope="module")
def image(lab: Lab) -> Path:
    done = lab("tiny.ini", "-b", "plain", "--host", "nearby:visits", "-o", "out")
    assert done.returncode == 0, done.stderr[-4000:]
    return lab.folder / "out/tiny-plain-amd64.tar"


def test_the_recipe_is_known_to_be_right(lab: Lab) -> None:
    done = lab("check", "--strict", "-b", "plain", "tiny.ini")
    assert done.returncode == 0 and [line for line in done.stderr.splitlines() if "nobody can log in" not in line] == []
    assert done.stdout == "tiny.ini: ok: 'tiny' on tinydeb-1-amd64, 1 warning\n"
    wrong = lab("check", "tiny.ini", "--set", "greeting.times=ten")
    assert wrong.returncode == 2 and "[greeting] times: 'ten' is not a whole number" in wrong.stderr


def test_without_the_package_nothing_of_it_is_known(lab: Lab) -> None:
    done = lab.run("check", "tiny.ini", cwd=lab.folder, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and "'tinydeb-1-amd64' is not a known system" in done.stderr


def test_the_tool_lists_what_others_bring(lab: Lab) -> None:
    listed = [line.split(maxsplit=2) for line in lab("doctor", "-v").stdout.splitlines()]
    assert ["ok", "backends", "kvm, lxc, openvz, plain, vmware"] in listed
    assert ["ok", "places", "local, nearby, qemu, ssh, vsphere"] in listed
    assert "backend plain makes tar or names" in lab("tiny.ini", "-b", "plain", "--format", "zip").stderr
    assert "What it says." in lab("options", "greeting.text").stdout
    assert "hello-world" in lab("programs", "greeter", "--os", "tinydeb-1").stdout


def test_doctor_looks_at_the_place(lab: Lab) -> None:
    good = lab("doctor", "--host", "nearby:visits")
    assert good.returncode == 0 and "nearby" in good.stdout and "Everything is there." in good.stdout
    bad = lab("doctor", "--host", "nearby:nowhere/visits")
    assert bad.returncode == 1 and "Make the folder of nowhere/visits." in bad.stdout


def test_the_image_shows_each_of_them(lab: Lab, image: Path) -> None:
    with tarfile.open(image) as archive:
        names = set(archive.getnames())

        def text(name: str) -> str:
            file = archive.extractfile(f"./{name}")
            assert file is not None
            return file.read().decode()

        assert text("etc/zone.conf") == "ZONE=Europe/Bucharest\n", "the writer"
        assert text("etc/greeting") == "Salve, magister!\n" * 2, "section and step"
        assert text("etc/timezone") == "Etc/UTC\n", "tzdata's own, not that of Debian's writer"
        assert text("etc/apt/sources.list.d/tinydeb.sources").startswith("Types: deb\n"), "the distribution"
    assert "./var/lib/madeup-installed" in names, "the installer"
    assert "./usr/bin/hello" in names, "the program"
    assert "./rootfs" not in names, "the backend"
    assert (lab.folder / "visits").read_text() == "tiny for plain\n", "the place"
    manifest = json.loads((lab.folder / "out/tiny-plain-amd64.tar.manifest.json").read_text())
    assert (manifest["os"], manifest["backend"]) == ("tinydeb-1", "plain")
    assert "hello" in {package["name"] for package in manifest["packages"]}


def test_the_image_boots_and_holds_what_was_asked_for(lab: Lab, image: Path) -> None:
    done = lab("verify", image, "--json")
    probes = [json.loads(line) for line in done.stdout.splitlines() if '"event": "probe"' in line]
    assert done.returncode == 0, [p for p in probes if p["outcome"] != "holds"] or done.stderr[-3000:]
    found = {p["setting"]: (p["outcome"], p["found"]) for p in probes}
    assert found["[greeting] text"] == ("holds", "Salve, magister!")
    assert found["[config] timezone"] == ("holds", "Europe/Bucharest")
    assert found["[devel] greeter"][0] == "holds"


def test_a_dry_run_finds_the_layers_and_uses_no_guest(lab: Lab, image: Path) -> None:
    done = lab("tiny.ini", "-b", "plain", "--host", "nearby:visits", "-o", "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert {row[0] for row in rows} == {"cached"} and {"base", "greeting", "pack"} <= {row[2] for row in rows}
    assert "it is near: visits" in done.stderr
    assert (lab.folder / "visits").read_text() == "tiny for plain\n"


def test_its_other_format_is_packed_from_the_same_layers(lab: Lab, image: Path) -> None:
    done = lab("tiny.ini", "-b", "plain", "--host", "nearby:visits", "-o", "names", "--format", "names", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    built = [e["step"] for e in events if e["event"] == "step-finished" and e["outcome"] == "built"]
    assert built == ["pack"]
    names = (lab.folder / "names/tiny-plain-amd64.names").read_text().splitlines()
    assert {"etc/zone.conf", "usr/bin/hello"} <= set(names) and names == sorted(names)
