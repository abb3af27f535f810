"""Builds on the stand-in of tests/node, behind a real sshd on loopback."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.onnode.onnode import RECORDS, Build, OsTemplateServer
from tests.integration.sshd import Sshd, sshd
from tests.integration.test_install import command
from tests.node.node import Node


@pytest.fixture(autouse=True)
def healthy(node: Node) -> Iterator[None]:
    """Every test leaves the node as it was: no fault, no container, nothing of a build's."""
    node.begin()
    yield
    node.clear()
    assert node.left_over() == []
    assert list(RECORDS.glob("*")) == []


@pytest.fixture(scope="module")
def server(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, prefix=node.inside([]), environment={"HOME": str(folder)}) as running:
        yield running


@pytest.fixture()
def over_ssh(cache: Path, server: Sshd, tmp_path: Path) -> Build:
    def run(recipe: Path, *words: object, backend: str = "openvz") -> subprocess.CompletedProcess[str]:
        line = command(cache, recipe, tmp_path / "out", "-b", backend, "--host", server.url, *words)
        return subprocess.run(
            line, capture_output=True, text=True, env=os.environ | server.environ, stdin=subprocess.DEVNULL
        )

    return run


@pytest.fixture()
def aside(node: Node) -> Iterator[Path]:
    """The node's template, taken out of its cache."""
    template = node.cache / "debian-12-x86_64.tar.gz"
    moved = template.rename(node.seen / "aside.tar.gz")
    node.begin()
    yield moved
    moved.rename(template)
    node.begin()


@pytest.fixture()
def served(aside: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a server of OS templates that has it among the contributed ones."""
    folder = tmp_path / "template/precreated/contrib"
    folder.mkdir(parents=True)
    (folder / "debian-12-x86_64.tar.gz").symlink_to(aside)
    OsTemplateServer.requests.clear()
    handler = functools.partial(OsTemplateServer, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/template"
        server.shutdown()
