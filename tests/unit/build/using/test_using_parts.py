"""What is read of an artifact's name and manifest, of ports and of steps, before anything is made."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.using.image import Image, find_image, is_artifact
from vmgen_build.build.using.layers import up_to
from vmgen_build.build.using.ports import Port, chosen, listening, parse_port
from vmgen_build.errors import HostError, UsageError
from vmgen_build.host.relay import Relay
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.load import load

RECIPE = """\
[hardware]
vm_id = lab
os = debian-12-amd64
[network]
    [[eths]]
        [[[eth0]]]
            address = 192.168.1.23/24, 2001:db8::23/64
            gateway = 192.168.1.1
    [[open_ports]]
        [[[ssh]]]
            port = 22
        [[[some]]]
            port = 8000-8002
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
            sudo = yes
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "lab.ini"
    path.write_text(RECIPE)
    return plan_for(load(path), "lxc", BuildOptions(cache=tmp_path / "cache", offline=True))


@pytest.fixture
def image(plan: Plan, tmp_path: Path) -> Image:
    backend = backend_named("lxc")
    manifest = {
        "name": plan.name,
        "arch": plan.arch,
        "files": [{"name": "lab-lxc-amd64.tar.zst"}],
        "build_recipe": dict(plan.build_recipe),
        "probes": [probe.as_dict() for probe in plan.all_probes()],
    }
    return Image(tmp_path / "lab-lxc-amd64.tar.zst", manifest, backend, backend.formats[0])


def test_the_manifest_says_who_and_where(image: Image) -> None:
    assert image.users == ("ana",)
    assert 22 in image.open_ports and 8000 in image.open_ports
    assert [(name, str(address)) for name, address in image.addresses] == [
        ("eth0", "192.168.1.23/24"),
        ("eth0", "2001:db8::23/64"),
    ]
    assert [(name, str(address)) for name, address in image.gateways] == [("eth0", "192.168.1.1")]


def test_what_no_recipe_makes_of_a_manifest_is_passed_over(image: Image) -> None:
    probe = {"name": "firewall-tcp-99999x", "kind": "guest", "script": "", "retry": 0}
    wrong = [
        {**probe, "setting": "[users] ; rm -rf /", "expected": ""},
        {**probe, "setting": "[network] eth0: address", "expected": "300.1.1.1/24"},
        {**probe, "setting": "x", "expected": "default via nobody dev eth0"},
    ]
    odd = Image(image.path, {**image.manifest, "probes": wrong}, image.backend, image.format)
    assert (odd.users, odd.open_ports, odd.addresses, odd.gateways) == ((), (), (), ())


def test_a_name_that_is_not_there_leads_to_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "lab-lxc-amd64.tar.zst.manifest.json").write_text(json.dumps({}))
    with pytest.raises(HostError, match=r"there is no file .*lab-lcx-.*; did you mean .*/lab-lxc-amd64\.tar\.zst\?"):
        find_image(tmp_path / "lab-lcx-amd64.tar.zst")
    with pytest.raises(HostError, match="name an artifact that vmgen-build made"):
        find_image(tmp_path / "quite-different")


@pytest.mark.parametrize("name", ["lab-lxc-amd64.tar.zst", "lab.ova", "lab-openvz-amd64.tar", "x.manifest.json"])
def test_artifacts_are_known_by_their_names(name: str) -> None:
    assert is_artifact(Path(name))


@pytest.mark.parametrize("name", ["lab.ini", "lab", "recipes/lab.conf"])
def test_recipes_are_no_artifacts(name: str) -> None:
    assert not is_artifact(Path(name))


@pytest.mark.parametrize(
    ("text", "port"), [("8080:80", Port(8080, 80)), ("80", Port(0, 80)), ("65535:1", Port(65535, 1))]
)
def test_a_port(text: str, port: Port) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "0", "8080:0", "0:80", "65536", "-1", "1:2:3", "http", "８０", "80/tcp"])
def test_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="write HOST:GUEST, as 8080:80, or GUEST alone"):
        parse_port(text)


def test_which_ports_are_chosen() -> None:
    assert chosen((), none=False) is None and chosen((), none=True) == ()
    assert chosen(("80", "8022:22"), none=False) == (Port(0, 80), Port(8022, 22))
    with pytest.raises(UsageError, match="leave one of them out"):
        chosen(("80",), none=True)


def test_a_connection_is_carried_both_ways_to_its_end() -> None:
    """Half closed, as clients do that send all they have and then read."""
    with listening([Port(0, 80)]) as (opened,), socket.create_server(("127.0.0.1", 0)) as machine:
        assert opened.ssh("ana") == f"ssh -p {opened.listener.getsockname()[1]} ana@127.0.0.1"
        Relay(opened.listener, lambda: socket.create_connection(machine.getsockname()))
        with socket.create_connection(opened.listener.getsockname()) as client:
            there, _ = machine.accept()
            with there:
                client.sendall(b"x" * 1_000_000)
                client.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: there.recv(1 << 16), b""))
                there.sendall(b"answer")
            assert received == b"x" * 1_000_000
            assert b"".join(iter(lambda: client.recv(100), b"")) == b"answer"


def test_a_connection_that_the_machine_refuses_is_closed() -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError

    with listening([Port(0, 80)]) as (opened,):
        Relay(opened.listener, refuse)
        with socket.create_connection(opened.listener.getsockname()) as client:
            assert client.recv(1) == b""


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_the_plan_up_to_a_step(plan: Plan) -> None:
    whole = names(plan)
    assert names(up_to(plan, "")) == whole and names(up_to(plan, "base")) == []
    assert names(up_to(plan, "users")) == names(up_to(plan, "users and groups")) == whole[: whole.index("users") + 1]
    assert up_to(plan, "users").steps[-1].id == plan.steps[whole.index("users")].id, "a build's own layers"
    with pytest.raises(
        UsageError, match=r"--step user: there is no such step; did you mean 'users'\? the steps are base"
    ):
        up_to(plan, "user")
