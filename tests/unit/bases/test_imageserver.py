"""simplestreams on the loopback: the right image, and each thing that can be wrong with a server."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.bases.download import Patience
from vmgen_build.bases.fetched import WantedFile
from vmgen_build.bases.imageserver import ImageServer, aliases_of, find_image
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.systems.parse import parse_system

QUICK = Patience(connect=5, stall=5, tries=2, pause=0.01)
SUM = "ab" * 32
LIST = "streams/v1/images.json"
INDEX = {"format": "index:1.0", "index": {"images": {"datatype": "image-downloads", "path": LIST, "products": []}}}


def item(kind: str, name: str, digest: str = SUM) -> dict[str, Any]:
    return {"ftype": kind, "path": f"images/{name}", "sha256": digest, "size": 3}


def product(aliases: str, versions: dict[str, dict[str, Any]], arch: str = "amd64") -> dict[str, Any]:
    return {"aliases": aliases, "arch": arch, "versions": {name: {"items": one} for name, one in versions.items()}}


PRODUCTS = {
    "debian:bookworm:amd64:default": product(
        "debian/bookworm/default,debian/bookworm,debian/12",
        {
            "20261101_05:24": {"a": item("root.tar.xz", "old")},
            "20261128_05:24": {
                "incus.tar.xz": item("incus.tar.xz", "meta", "00" * 32),
                "root.squashfs": item("squashfs", "new.squashfs", "cd" * 32),
                "root.tar.xz": item("root.tar.xz", "20261128_05:24/root.tar.xz"),
            },
            "20261129_05:24": {"incus.tar.xz": item("incus.tar.xz", "meta")},
        },
    ),
    "debian:bookworm:arm64:default": product("debian/12", {"1": {"a": item("squashfs", "arm")}}, "arm64"),
    "debian:bookworm:amd64:cloud": product("debian/12/cloud", {"1": {"a": item("lxd_combined.tar.gz", "cloud")}}),
}


def put(web: Any, served: Any, products: Any = PRODUCTS, index: Any = INDEX) -> None:
    listed = products if isinstance(products, bytes) else {"products": products}
    for path, data in (("streams/v1/index.json", index), (LIST, listed)):
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        web.files[f"/{path}"] = served(data=text, kind="application/json")


def found(web: Any, alias: str = "debian/12", arch: str = "amd64", **more: Any) -> WantedFile:
    key = more.pop("key", None)
    return find_image(ImageServer(web.url, key), [alias], arch, patience=QUICK, **{"summed": key is None, **more})


@pytest.mark.parametrize(
    ("alias", "arch", "path", "digest"),
    [
        ("debian/12", "amd64", "20261128_05:24/root.tar.xz", SUM),
        ("debian/bookworm", "amd64", "20261128_05:24/root.tar.xz", SUM),
        ("debian/12", "arm64", "arm", SUM),
        ("debian/12/cloud", "amd64", "cloud", SUM),
    ],
)
def test_the_newest_version_with_a_root_is_taken(
    web: Any, served: Any, alias: str, arch: str, path: str, digest: str
) -> None:
    put(web, served)
    assert found(web, alias, arch) == WantedFile(f"{web.url}/images/{path}", digest)


@pytest.mark.parametrize(
    ("system", "aliases"),
    [
        ("fedora-42", ["fedora/42"]),
        ("debian-12", ["debian/12", "debian/bookworm"]),
        ("rocky-9", ["rocky/9", "rockylinux/9"]),
        ("centos-9", ["centos/9-Stream"]),
        ("arch", ["archlinux", "archlinux/current"]),
        ("opensuse-tumbleweed", ["opensuse/tumbleweed"]),
    ],
)
def test_a_system_goes_by_these_aliases(system: str, aliases: list[str]) -> None:
    assert set(aliases) <= set(aliases_of(parse_system(system)))


@pytest.mark.parametrize(
    ("alias", "arch", "text"),
    [
        ("debian/11", "amd64", "has no image debian/11 for amd64; near ones there: debian/12"),
        ("debian/12/cloud", "i386", "has no image debian/12/cloud for i386; it has it for amd64"),
        ("fedora/42", "amd64", "has no image fedora/42 for amd64"),
    ],
)
def test_what_it_lacks_is_named_with_what_it_has(web: Any, served: Any, alias: str, arch: str, text: str) -> None:
    put(web, served)
    with pytest.raises(BuildError, match=text):
        found(web, alias, arch)


def with_item(**changed: Any) -> dict[str, Any]:
    return {"p": product("debian/12", {"1": {"a": item("root.tar.xz", "x") | changed}})}


@pytest.mark.parametrize(
    ("products", "index", "text"),
    [
        (PRODUCTS, b'{"index": {"images"', "cannot be read"),
        (PRODUCTS, {"no": "index"}, "it lacks index"),
        (PRODUCTS, {"index": {"x": {"datatype": "image-downloads", "path": "../../etc"}}}, "a path below"),
        (PRODUCTS, {"index": {str(n): {} for n in range(40)}}, "the limit 'image-streams'"),
        (b"[" * 1000, INDEX, "the limit 'json-depth'"),
        ({"p": {"aliases": "debian/12", "arch": "amd64"}}, INDEX, "it lacks"),
        (with_item(path="http://elsewhere/x"), INDEX, "is not a path below the server's address"),
        (with_item(path="a/../../x"), INDEX, "is not a path below the server's address"),
        (with_item(sha256="zz"), INDEX, "is not a sha256"),
        (with_item(ftype=3), INDEX, "ftype is not text"),
    ],
)
def test_lists_that_cannot_be_right(web: Any, served: Any, products: Any, index: Any, text: str) -> None:
    put(web, served, products, index)
    with pytest.raises(BuildError, match=text):
        found(web)


def test_a_list_that_is_too_large_or_cut_or_missing(web: Any, served: Any) -> None:
    put(web, served)
    web.files[f"/{LIST}"] = served(zeros=65_000_000)
    with pytest.raises(BuildError, match="more than 64 MB; is it an image server"):
        found(web)
    web.files[f"/{LIST}"] = served(data=b"{" * 5000, cuts=[100, 100])
    with pytest.raises(BuildError, match="tried 2 times"):
        found(web)
    del web.files[f"/{LIST}"]
    with pytest.raises(BuildError, match="HTTP 404; is it an image server"):
        found(web)


def test_http_needs_a_key_or_a_sum(web: Any, served: Any) -> None:
    put(web, served)
    with pytest.raises(BuildError, match=r"speaks http, and nothing says who made its lists; .*base_key.*base_sha256"):
        found(web, summed=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gpg") / "home")
    yield made
    made.end()


def sign(web: Any, served: Any, keys: Keys, form: str) -> None:
    for path in ("/streams/v1/index.json", f"/{LIST}"):
        data = web.files[path].data
        if form == ".sjson":
            web.files[path.replace(".json", ".sjson")] = served(data=keys.signed(data.decode()).encode())
        else:
            web.files[path + form] = served(data=keys.sign(data))


@pytest.mark.parametrize("form", [".sjson", ".asc", ".gpg"])
def test_signed_lists(web: Any, served: Any, keys: Keys, form: str) -> None:
    put(web, served)
    with pytest.raises(BuildError, match=r"is not signed: there is neither .sjson"):
        found(web, key=keys.armoured)
    sign(web, served, keys, form)
    assert found(web, key=keys.armoured).sha256 == SUM


@pytest.mark.parametrize("form", [".sjson", ".asc"])
def test_a_list_that_another_signed_is_refused(web: Any, served: Any, keys: Keys, form: str, tmp_path: Path) -> None:
    put(web, served)
    other = Keys(tmp_path / "other")
    sign(web, served, other, form)
    other.end()
    with pytest.raises(BuildError, match=r"is not signed by a key of .*armoured.asc"):
        found(web, key=keys.armoured)


def test_what_stands_beside_the_signed_text_counts_for_nothing(web: Any, served: Any, keys: Keys) -> None:
    put(web, served)
    sign(web, served, keys, ".sjson")
    path = f"/{LIST}".replace(".json", ".sjson")
    evil = json.dumps({"products": with_item(sha256="ee" * 32)})
    web.files[path].data = evil.encode() + b"\n" + web.files[path].data
    try:
        assert found(web, key=keys.armoured).sha256 == SUM
    except BuildError as error:
        assert "is not signed" in str(error)


@pytest.mark.parametrize("url", ["ftp://x", "nowhere", "http://me:canary@x", "https://x/?a"])
def test_no_address_of_a_server(url: str) -> None:
    with pytest.raises(UsageError, match="--image-server") as caught:
        ImageServer(url)
    assert "canary" not in str(caught.value)


@pytest.fixture
def secure(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same server with TLS, whose certificate this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
    ]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run([*words, names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    other = type(web)()
    other.socket = context.wrap_socket(other.socket, server_side=True)
    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    yield other
    other.shutdown()
    other.server_close()
    thread.join()


def test_https_is_trusted_by_its_certificate_alone(secure: Any, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(secure, served)
    server = ImageServer(secure.url.replace("http:", "https:"))
    assert find_image(server, ["debian/12"], "amd64", patience=QUICK).sha256 == SUM
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(BuildError, match="CERTIFICATE_VERIFY_FAILED"):
        find_image(server, ["debian/12"], "amd64", patience=QUICK)


def test_https_sends_nobody_on_to_http(secure: Any, web: Any, served: Any) -> None:
    put(secure, served)
    put(web, served)
    secure.files["/streams/v1/index.json"] = served(codes=[302], to=f"{web.url}/streams/v1/index.json")
    with pytest.raises(BuildError, match="to an address that is not https"):
        find_image(ImageServer(secure.url.replace("http:", "https:")), ["debian/12"], "amd64", patience=QUICK)
    assert web.asked == []
