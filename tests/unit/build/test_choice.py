"""Which base is chosen: what the recipe names, else packages, else an image server, else an OS template."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from vmgen_build.bases import ostemplate
from vmgen_build.build import choice
from vmgen_build.build.choice import Chosen, choose_base, os_template_choice
from vmgen_build.build.engine import plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.cli import main
from vmgen_build.errors import BuildError, RecipeError, UsageError
from vmgen_build.events import Event
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.bases import Tarball
from vmgen_build.plan.context import Facts
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe


@pytest.fixture(autouse=True)
def no_proxies_and_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ostemplate, "KEYRINGS", ())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server's folder and address."""
    folder = tmp_path / "server"
    folder.mkdir()
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{web.server_address[1]}"
    web.shutdown()
    web.server_close()
    thread.join()


def recipe(folder: Path, *lines: str, os: str = "debian-12-amd64") -> Recipe:
    path = folder / "lab.ini"
    path.write_text("\n".join(["[hardware]", "vm_id = lab", f"os = {os}", *lines, ""]))
    return load(path)


def root_tar(folder: Path, name: str) -> str:
    """A tar of a root, and its sha256."""
    import tarfile

    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / name, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("bin/sh"))
    return sha256_of(folder / name)


def chosen(asked: Recipe, options: BuildOptions, *, look: bool = False) -> Chosen:
    events: list[Event] = []
    return choose_base(asked, Facts("r", 5), options, None if look else events.append)


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    return BuildOptions(cache=tmp_path / "cache")


def put_image(folder: Path, alias: str = "fedora/37") -> str:
    """An image server's tree with this system, and the root's sha256."""
    digest = root_tar(folder / "images", "root.tar.gz")
    item = {"ftype": "root.tar.gz", "path": "images/root.tar.gz", "sha256": digest, "size": 1}
    product = {"aliases": alias, "arch": "amd64", "versions": {"1": {"items": {"root": item}}}}
    (folder / "streams/v1").mkdir(parents=True)
    listed = {"index": {"i": {"datatype": "image-downloads", "path": "streams/v1/i.json"}}}
    (folder / "streams/v1/index.json").write_text(json.dumps(listed))
    (folder / "streams/v1/i.json").write_text(json.dumps({"products": {"p": product}}))
    return digest


def test_packages_come_first_where_their_tool_is_there(tmp_path: Path, options: BuildOptions) -> None:
    assert chosen(recipe(tmp_path), options, look=True) == Chosen(Facts("r", 5))


def test_a_file_of_this_host(tmp_path: Path, options: BuildOptions) -> None:
    digest = root_tar(tmp_path, "root.tar.gz")
    found = chosen(recipe(tmp_path, "base = root.tar.gz", f"base_sha256 = {digest}"), options)
    assert found.facts.root == Tarball(tmp_path / "root.tar.gz", digest)
    assert (found.facts.source, found.facts.release) == ("root.tar.gz", "r")
    with pytest.raises(RecipeError, match=rf"lab.ini:5: \[hardware\] base_sha256: .* has the sha256 {digest}"):
        chosen(recipe(tmp_path, "base = root.tar.gz", f"base_sha256 = {'0' * 64}"), options)


def test_an_address(tmp_path: Path, options: BuildOptions, server: tuple[Path, str]) -> None:
    folder, url = server
    digest = root_tar(folder, "root.tar.gz")
    asked = recipe(tmp_path, f"base = {url}/root.tar.gz", f"base_sha256 = {digest}")
    before = chosen(asked, options, look=True)
    assert before.unknown == "" and not options.cache.exists(), "the sum says which it is; nothing is downloaded"
    found = chosen(asked, options)
    assert isinstance(found.facts.root, Tarball) and found.facts.root.sha256 == digest
    wrong = recipe(tmp_path, f"base = {url}/root.tar.gz", f"base_sha256 = {'0' * 64}")
    with pytest.raises(RecipeError, match=r"lab.ini:5: \[hardware\] base_sha256: .*it was not used"):
        chosen(wrong, options)


def test_an_image_server_comes_before_an_os_template(
    tmp_path: Path, options: BuildOptions, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = server
    digest = put_image(folder)
    options = replace(options, image_server=url)
    trusting = partial(choice.find_image, summed=True)
    monkeypatch.setattr(choice, "find_image", lambda *words, summed, patience: trusting(*words, patience=patience))
    found = chosen(recipe(tmp_path, os="fedora-37-amd64"), options)
    assert isinstance(found.facts.root, Tarball) and found.facts.root.sha256 == digest
    assert found.note == f"the base system comes from images:fedora/37 of {url}"
    assert chosen(recipe(tmp_path, os="fedora-37-amd64"), replace(options, offline=True)).facts == found.facts


def test_a_file_that_is_not_what_the_servers_list_says(
    tmp_path: Path, options: BuildOptions, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = server
    digest = put_image(folder)
    (folder / "images/root.tar.gz").write_bytes(b"other")
    trusting = partial(choice.find_image, summed=True)
    monkeypatch.setattr(choice, "find_image", lambda *words, summed, patience: trusting(*words, patience=patience))
    asked = recipe(tmp_path, "base = images:fedora/37", os="fedora-37-amd64")
    with pytest.raises(RecipeError, match=rf"lab.ini:4: \[hardware\] base: .* and {digest} is asked for"):
        chosen(asked, replace(options, image_server=url))


def test_an_os_template_comes_last_and_what_was_tried_is_named(
    tmp_path: Path, options: BuildOptions, server: tuple[Path, str]
) -> None:
    folder, url = server
    fedora = recipe(tmp_path, os="fedora-36-amd64")
    options = replace(options, image_server=url)
    with pytest.raises(BuildError) as caught:
        chosen(fedora, options)
    text = str(caught.value)
    assert "no base system of fedora-36 for amd64 was found:\n  - the image server" in text
    assert "  - OS template fedora-36-x86_64 would be downloaded" in text
    assert "[hardware] base = FILE, URL, images:ALIAS or template:NAME" in text
    digest = root_tar(folder / "contrib", "fedora-36-x86_64.tar.gz")
    named = replace(options, ostemplate=ostemplate.OsTemplateChoice(url=url, sha256=digest))
    found = chosen(fedora, named)
    assert isinstance(found.facts.root, Tarball) and found.facts.root.sha256 == digest
    assert found.facts.source == "template:fedora-36-x86_64"


def test_what_the_recipe_names_is_the_os_template(tmp_path: Path, options: BuildOptions) -> None:
    named = recipe(tmp_path, "base = template:mine", f"base_sha256 = {'ab' * 32}")
    found = os_template_choice(named, options)
    assert (found.name, found.sha256) == ("mine", "ab" * 32)
    mine = replace(options, ostemplate=ostemplate.OsTemplateChoice(name="other"))
    root_tar(tmp_path, "root.tar.gz")
    for lines in (["base = template:mine"], ["base = root.tar.gz"]):
        with pytest.raises(UsageError, match=r"names its base itself \(.*lab.ini:4\); leave one of both out"):
            os_template_choice(recipe(tmp_path, *lines), mine)


def test_a_look_takes_no_answer_for_unknown(tmp_path: Path, options: BuildOptions) -> None:
    options = replace(options, image_server="http://127.0.0.1:9")
    found = chosen(recipe(tmp_path, "base = images:debian/12", f"base_sha256 = {'ab' * 32}"), options, look=True)
    assert "cannot download http://127.0.0.1:9/streams/v1/index.json" in found.unknown
    offline = chosen(recipe(tmp_path, os="fedora-37-amd64"), replace(options, offline=True), look=True)
    assert offline.facts.source == "images:fedora/37 of http://127.0.0.1:9"


def test_a_look_says_what_it_cannot_know(tmp_path: Path, options: BuildOptions) -> None:
    (tmp_path / "key.asc").write_text("x")
    found = chosen(recipe(tmp_path, "base = http://127.0.0.1:9/r.tar", "base_key = key.asc"), options, look=True)
    assert found.unknown == "http://127.0.0.1:9/r.tar is not downloaded yet"


def test_a_look_chooses_as_a_build_does(
    tmp_path: Path, options: BuildOptions, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the program is not there that makes a base of packages."""
    monkeypatch.setattr(choice, "find_program", lambda name: None)
    folder, url = server
    digest, asked = put_image(folder, "fedora/42"), recipe(tmp_path, os="fedora-42-amd64")
    options = replace(options, image_server=url)
    trusting = partial(choice.find_image, summed=True)
    monkeypatch.setattr(choice, "find_image", lambda *words, summed, patience: trusting(*words, patience=patience))
    unasked = chosen(asked, replace(options, offline=True), look=True)
    assert unasked.unknown == "the image server was not asked for this system yet; a build without --offline asks it"
    assert unasked.facts.root is not None and unasked.facts.source == f"images:fedora/42 of {url}"
    look = chosen(asked, options, look=True)
    assert look.facts.root is not None and look.facts.root.sha256 == digest and look.unknown == ""
    assert look.note == f"the base system comes from images:fedora/42 of {url}"
    built = chosen(asked, options)
    assert (built.note, built.facts.root and built.facts.root.sha256) == (look.note, digest)
    assert chosen(asked, replace(options, offline=True), look=True).facts == built.facts


def test_compile_says_where_a_base_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = recipe(tmp_path, os="debian-12-amd64")
    words = ["compile", str(asked.path), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--offline"]
    words += ["--backend", "lxc", "--backend", "kvm"]
    methods = []
    for there in (True, False):
        monkeypatch.setattr(choice, "find_program", lambda name, there=there: name if there else None)
        assert main.run(words) == 0
        methods.append(json.loads((tmp_path / "out/lxc/plan.json").read_text())["base"]["method"])
        shown, wanted = capsys.readouterr().err, 0 if there else 1
        assert shown.count("the base system comes from images:debian/12 of https://") == wanted
        assert shown.count("which base it is, a build alone knows: the image server was not asked") == wanted
    assert methods == ["mmdebstrap", "foreign"]


@pytest.mark.parametrize(
    ("base", "title", "method"),
    [
        ("base = vm:golden@clean", "machine of vm:golden@clean", "disk-machine"),
        ("", "Setup from a medium of yours", "setup"),
    ],
)
def test_a_windows_that_is_there_is_not_called_setup(tmp_path: Path, base: str, title: str, method: str) -> None:
    login = ("login = Administrator", "login_password = x") if base else ()
    read = recipe(tmp_path, base, *login, os="win10")
    found = plan_for(read, "vmware", BuildOptions(cache=tmp_path / "cache")).base
    assert (found.title, found.as_dict()["method"]) == (title, method)
