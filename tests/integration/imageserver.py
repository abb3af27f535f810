"""Image servers of the tests: a folder in the form of simplestreams, given out by a web server on the loopback."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.foreign import ran
from tests.unit.gpgkeys import Keys
from vmgen_build.host.files import sha256_of

Entry = dict[str, Any]


def item(kind: str, path: str | Path, file: Path) -> Entry:
    """A file of an image as a list names it. path: below the server's address."""
    return {"ftype": kind, "path": str(path), "size": file.stat().st_size, "sha256": sha256_of(file)}


def product(aliases: str, items: Mapping[str, Entry], version: str = "20261128_05:24") -> Entry:
    """An image for amd64 with one version. aliases: with commas between."""
    release = aliases.partition(",")[0].rpartition("/")[2]
    words: Entry = {"aliases": aliases, "arch": "amd64", "os": "Debian", "release": release, "release_title": release}
    return words | {"variant": "default", "versions": {version: {"items": dict(items)}}}


def write_lists(folder: Path, products: Mapping[str, Entry], keys: Keys | None = None) -> None:
    """The index and one list of these products below the folder, signed too where keys are given."""
    kind: Entry = {"datatype": "image-downloads", "format": "products:1.0"}
    stream = kind | {"path": "streams/v1/images.json", "products": list(products)}
    texts: dict[str, Entry] = {
        "index": {"format": "index:1.0", "index": {"images": stream}},
        "images": kind | {"content_id": "images", "products": dict(products)},
    }
    (folder / "streams/v1").mkdir(parents=True)
    for name, data in texts.items():
        (folder / f"streams/v1/{name}.json").write_text(json.dumps(data))
        if keys is not None:
            (folder / f"streams/v1/{name}.sjson").write_text(keys.signed(json.dumps(data)))


class Tree(http.server.ThreadingHTTPServer):
    """A web server on the loopback of one folder. asked: the paths, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: Tree

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def secure(server: Tree, folder: Path) -> Path:
    """Make it speak https from now on, as localhost; its certificate, made in this folder with its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    ran(*request, "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return certificate


@contextmanager
def serving(server: Tree) -> Iterator[Tree]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
