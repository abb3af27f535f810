"""Recipe to plan: the order of the steps, what their ids depend on, and what never stands in a plan."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build import plugins
from vmgen_build.errors import RecipeError
from vmgen_build.plan.context import Facts, PlanContext
from vmgen_build.plan.firewall import Firewall
from vmgen_build.plan.model import Part, Plan, Probe, Step
from vmgen_build.plan.text.quote import Trusted, sh
from vmgen_build.plan.writers import Output, writer_named
from vmgen_build.systems import Distribution, redhat

Planner = Callable[..., Plan]
FEDORA = "[hardware]\nvm_id = lab\nos = fedora-42\n"
SSH = "[network]\n[[open_ports]]\n[[[ssh]]]\nport = 22\n"
SECRETS = ("canary-9d1f,#ana", "canary-77aa-root")


def step_of(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def test_the_order_of_steps_is_the_order_of_change(sink: Plan) -> None:
    assert [step.name for step in sink.steps] == [
        "repositories",
        "packages-network",
        "packages-devel",
        "packages-services",
        "packages-gui",
        "packages-config",
        "system",
        "users",
        "network",
        "firewall",
        "files",
        "script-first",
        "script-second",
        "kernel",
        "generalise",
    ]
    parents = [sink.base.id, *(step.id for step in sink.steps)]
    assert [step.parent for step in sink.steps] == parents[:-1]
    assert len(set(parents)) == len(parents)


def test_an_empty_recipe_has_no_step_without_work(planned: Planner) -> None:
    plan = planned()
    names = [step.name for step in plan.steps]
    assert names[0] == "system" and names[-1] == "generalise"
    assert not {"repositories", "packages-config", "users", "firewall", "files"} & set(names)
    assert plan.base.suite == "bookworm" and plan.base.arch == "amd64" and plan.base.release == "release"


def test_the_plan_is_the_same_each_time(
    planned: Planner, sink: Plan, sink_text: str, sink_files: dict[str, bytes]
) -> None:
    again = planned(sink_text, head="", files=sink_files)
    assert again.to_json() == sink.to_json()
    assert again.id == sink.id


CHANGES = [
    ("full_name = ", "full_name = Another ", "users"),
    ('passwd = "canary-9d1f', 'passwd = "other', "users"),
    ("hostname = HAL", "hostname = BOB", "system"),
    ("address = 192.168.1.2", "address = 192.168.1.3", "network"),
    ("port = 22\n", "port = 23\n", "firewall"),
    ("mode = 4750", "mode = 0750", "files"),
    ("/srv/ready", "/srv/done", "script-first"),
    ("firefox = 1", "firefox = 1\nvlc = 1", "packages-gui"),
    ("    vim = 1\n", "    vim = 1\n    gdb = 1\n", "packages-devel"),
    ("sshd = 1", "sshd = 0", "packages-services"),
    ("htop, jq", "htop", "packages-config"),
    ("    keyboard = de:nodeadkeys\n", "", "packages-config"),
    ("apt.example.org", "deb.example.org", "repositories"),
]


@pytest.mark.parametrize(("old", "new", "first"), CHANGES)
def test_a_change_touches_its_own_step_and_those_after_it(
    planned: Planner, sink: Plan, sink_text: str, sink_files: dict[str, bytes], old: str, new: str, first: str
) -> None:
    assert sink_text.count(old) == 1
    changed = planned(sink_text.replace(old, new), head="", files=sink_files)
    before = [(step.name, step.id) for step in sink.steps]
    after = [(step.name, step.id) for step in changed.steps]
    same = next(i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
    assert after[same][0] == first
    assert not {i for _, i in before[same:]} & {i for _, i in after[same:]}


def test_the_order_of_programs_in_a_section_changes_nothing(planned: Planner) -> None:
    one, other = planned("[devel]\nvim = 1\ngit = 1\n"), planned("[devel]\ngit = yes\nvim = on\n")
    assert step_of(one, "packages-devel").id == step_of(other, "packages-devel").id


def test_another_state_of_the_archive_is_another_base_and_repository(
    planned: Planner, sink: Plan, sink_text: str, sink_files: dict[str, bytes]
) -> None:
    facts = Facts("release", 1700000000, {"own": "abc"})
    repository = planned(sink_text, head="", files=sink_files, facts=facts)
    assert repository.base.id == sink.base.id
    assert repository.steps[0].id != sink.steps[0].id
    archive = planned(sink_text, head="", files=sink_files, facts=replace(facts, release="newer"))
    assert archive.base.id != sink.base.id


def test_changed_content_of_a_carried_file_changes_its_step(
    planned: Planner, sink: Plan, sink_text: str, sink_files: dict[str, bytes]
) -> None:
    changed = planned(sink_text, head="", files=sink_files | {"motd": b"welcomE\n"})
    assert step_of(changed, "firewall").id == step_of(sink, "firewall").id
    assert step_of(changed, "files").id != step_of(sink, "files").id


def test_no_secret_in_the_plan(sink: Plan) -> None:
    text = sink.to_json() + repr(sink)
    for secret in SECRETS:
        assert secret not in text
    users = step_of(sink, "users")
    hashes = [line.split(":", 1)[1] for line in users.secrets["passwords"].reveal().split()]
    assert len(hashes) == 2 and all(h.startswith("$6$") for h in hashes)
    assert not [h for h in hashes if h in text or h.rsplit("$", 1)[1] in text]


def test_programs_that_the_system_lacks_are_skipped(planned: Planner) -> None:
    plan = planned("[devel]\ngns3 = 1\nvim = 1\n[gui]\nfrobnicate = 1\n")
    assert [(section, name) for section, name, _ in plan.skipped] == [("devel", "gns3"), ("gui", "frobnicate")]
    assert "gns3" not in step_of(plan, "packages-devel").script
    assert "packages-gui" not in [step.name for step in plan.steps]


REFUSED = (
    r"lab.ini:3: \[hardware\] os: Windows XP Professional is a whole machine, and lxc makes containers; take -b vm"
)


def test_windows_is_no_container(planned: Planner) -> None:
    with pytest.raises(RecipeError, match=REFUSED):
        planned(head="[hardware]\nvm_id = lab\nos = winxppro\n")


DEBIANS_OWN = (
    *("netfilter-persistent", "iptables-persistent", "/etc/timezone", "127.0.1.1", "/etc/network/interfaces"),
    *("apt-get", "/etc/apt", "dpkg", "debconf", "mailname"),
)
"""What no plan for another family may hold."""


def all_text(plan: Plan) -> str:
    files = [(file.content or b"").decode(errors="replace") for step in plan.steps for file in step.files]
    return "\n".join([*(s.script for s in plan.steps), *files, *(p.script for p in plan.all_probes())])


@pytest.mark.parametrize("system", ["fedora-42", "fedora-14-x86", "opensuse-15.6", "arch"])
def test_a_linux_without_a_base_is_planned_to_be_read(
    planned: Planner, sink_text: str, sink_files: dict[str, bytes], system: str
) -> None:
    text = sink_text.replace("os = debian-12-amd64", f"os = {system}")
    text = text.replace("line = deb [trusted=yes] https://flat.example.org/ ./", "url = https://flat.example.org/")
    plan = planned(text, head="", files=sink_files)
    names = [step.name for step in plan.steps]
    installed = [name for name in names if name.startswith("packages-")]
    assert names[0] == "repositories"
    assert {"packages-devel", "packages-config"} <= set(installed)
    others = [name for name in names[1:] if name not in installed]
    daily = ["system", "users", "network", "firewall", "files", "script-first", "script-second"]
    assert others == [*daily, "kernel", "generalise"]
    assert [word for word in DEBIANS_OWN if word in all_text(plan)] == []
    assert [word for word in DEBIANS_OWN if word not in all_text(planned(sink_text, head="", files=sink_files))] == []
    assert not [what for _, what, reason in plan.skipped if "writer" in reason]


@pytest.fixture
def bare() -> Iterator[str]:
    """The first lines of a recipe for a family that names a firewall's writer alone, which comes from outside."""
    row = Distribution(name="bare", installer="dnf", known={"1": ""}, example="bare-1")
    family = replace(redhat.FAMILY, name="bare", rank=21, distributions=(row,), writers={"firewall": "outside"})
    plugins.register("vmgen_build.families", "bare", family)
    try:
        yield "[hardware]\nvm_id = lab\nos = bare-1\n"
    finally:
        plugins.unregister("vmgen_build.families", "bare")


def test_what_is_left_out_names_the_writer_that_lacks(planned: Planner, bare: str) -> None:
    plan = planned(SSH, head=bare)
    reasons = {what: reason for _, what, reason in plan.skipped}
    assert reasons["firewall"] == "this version has no writer 'outside' for the firewall of bare-1"
    assert reasons["interfaces and name servers"].startswith("this version has no writer for the net")


def test_what_the_recipe_does_not_ask_for_is_not_listed_as_left_out(planned: Planner, bare: str) -> None:
    left = [what for _, what, _ in planned(head=bare).skipped]
    assert left == ["hostname", "interfaces and name servers", "clean-up of the image"]


def test_the_host_name_of_any_linux(planned: Planner) -> None:
    plan = planned("[config]\nhostname = hal.example.org\n", head=FEDORA)
    files = {file.name: (file.content or b"").decode() for file in step_of(plan, "system").files}
    assert files["hostname"] == "hal\n"
    assert files["hosts"].splitlines()[0] == "127.0.0.1\thal.example.org hal"
    assert {probe.name for probe in step_of(plan, "system").probes} == {"hostname", "hostname-full"}


class Firewalld:
    """A writer that comes from outside the package."""

    def write(self, wanted: Firewall, ctx: PlanContext) -> Output:
        ports = [f"--add-port={opening.ports}/{opening.proto}" for opening in wanted.openings]
        script = Trusted(sh(["firewall-offline-cmd", *ports]))
        return Output(script, packages=("firewalld",), probes=(Probe("firewalld", "[network] open_ports", "true"),))


def test_a_writer_from_outside_sets_what_it_is_for(planned: Planner, bare: str) -> None:
    plugins.register("vmgen_build.writers", "outside", Firewalld())
    try:
        plan = planned(SSH, head=bare)
    finally:
        plugins.unregister("vmgen_build.writers", "outside")
    step = step_of(plan, "firewall")
    assert step.script == "#!/bin/sh\nset -eu\nfirewall-offline-cmd '--add-port=22/tcp'\n"
    assert [probe.name for probe in step.probes] == ["firewalld"]
    assert "firewall" not in [what for _, what, _ in plan.skipped]
    assert " firewalld" in step_of(plan, "packages-config").script
    assert [step.name for step in planned(SSH, head=bare).steps] == ["kernel"]


def test_a_writer_is_found_by_its_name_alone() -> None:
    assert writer_named("model") is None and writer_named("../x") is None and writer_named("no_such") is None


def test_a_backend_takes_out_probes_that_do_not_hold_in_it(planned: Planner) -> None:
    text = "[network]\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.2/24\ngateway = 10.0.0.1\n"
    whole = planned(text, part=Part())
    less = planned(text, part=Part(without=frozenset({"eth0-10.0.0.2"})))
    before, after = ([p.name for p in plan.all_probes()] for plan in (whole, less))
    assert [name for name in before if name != "eth0-10.0.0.2"] == after and len(before) == len(after) + 1
    assert [step.id for step in whole.steps] == [step.id for step in less.steps], "probes change no layer"


def test_the_plan_as_data(sink: Plan) -> None:
    data = json.loads(sink.to_json())
    assert data["name"] == "kitchen" and data["backend"] == "lxc" and data["epoch"] == 1700000000
    assert [probe["name"] for probe in data["probes"]] == ["memory"]
    assert data["build_recipe"] == {"config": "lxc.uts.name = lab\n"}
    names = [probe.name for probe in sink.all_probes()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["step", "probe"])
def test_every_script_is_clean_shell(sink: Plan, tmp_path: Path, kind: str) -> None:
    if kind == "step":
        scripts = {step.name: step.script for step in sink.steps}
    else:
        scripts = {probe.name: probe.script for probe in sink.all_probes() if probe.kind == "guest"}
    paths = []
    for name, script in scripts.items():
        assert script.startswith("#!/bin/sh\n"), name
        assert "set -eu" in script.splitlines()[1:4], name
        path = tmp_path / f"{name}.sh"
        path.write_text(script)
        paths.append(path)
        subprocess.run(["dash", "-n", path], check=True)
    ran = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
