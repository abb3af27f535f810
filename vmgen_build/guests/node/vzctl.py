"""OpenVZ containers by vzctl(8), of OpenVZ 6 (vzctl 4.x) and its like.

What vzctl prints goes to standard output, so that it is called with --quiet where a command's own output counts. Its
exit codes are in guests.node.vzmessages; a command's own code is told apart by guests.node.guest.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from typing import ClassVar

from vmgen_build.artifacts.openvz.config import PAGE
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.node.clearing import FUNCTIONS
from vmgen_build.guests.node.driver import MARK, Driver, Setup, last_line
from vmgen_build.guests.node.vzmessages import LOCKED, MEANS, QUOTA_OFF, SYSTEM_ERROR, causes
from vmgen_build.guests.node.vzremoval import FREE, LOCATE, REMOVAL
from vmgen_build.guests.runners import Done, answers
from vmgen_build.host.undo import Undo

TRIES = 20
"""Calls of vzctl while another holds the container's lock, a second apart."""

UP = 90.0
"""Seconds that a container may take to boot."""

_IS_UP = """\
command -v systemctl >/dev/null || exit 0
state=$(systemctl is-system-running 2>&1)
echo "its system is $state" >&2
case $state in running | degraded | maintenance) exit 0 ;; *) exit 1 ;; esac
"""
"""systemd clears /tmp and more while it boots, under the feet of commands that come early."""

SIGNALLED = 128
"""Exit codes above are those of a vzctl that a signal ended on the node; a shell in the container is SYSTEM_ERROR."""

_KILLED = (
    "the step's shell in the container was killed: by the kernel, where the container's memory did not suffice (dmesg"
    " on the node names it; give a greater [hardware] ram), or by somebody's signal (build again)"
)

TOOLS = ("ifconfig", "route")
"""By which the stanzas that vzctl writes for a venet set its addresses and its route."""

_LACKING = f"""\
while read -r _ goal _; do [ "$goal" != 00000000 ] || exit 0; done </proc/net/route
for tool in {" ".join(TOOLS)}; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done
"""
"""Prints which of TOOLS are not there, in a container without a default route (proc(5), /proc/net/route)."""

OLDER_LIMITS, NO_SUCH_SAMPLE = "basic", 109
"""The sample that vzctl comes with for kernels without VSwap, and vzctl's exit code where it is not there."""

FIRST_ID = 9001
"""Containers of a build get numbers from here on where the recipe's own is taken."""

_LOCATED = f"""\
{LOCATE}
located "$1"
printf '%s\\n' "$root"
"""

_SETTINGS = ". /etc/vz/vz.conf && printf '%s\\n' \"${TEMPLATE:-/vz/template}\""


class VzDriver(Driver):
    kind: ClassVar[str] = "OpenVZ"
    programs: ClassVar[tuple[str, ...]] = ("vzctl", "vzlist")
    guest_scripts: ClassVar[str] = "vzctl"
    needs_address: ClassVar[bool] = True
    foreign_os_templates: ClassVar[bool] = True
    removal: ClassVar[str] = REMOVAL

    @cached_property
    def cache(self) -> str:
        found = self.runner.run(["sh", "-c", _SETTINGS])
        if found.code != 0:
            raise HostError(f"{self.where}: {MEANS[10]}")
        return f"{answers.path(found.out, self.where, 'TEMPLATE of its vz.conf')}/cache"

    def free_id(self, wanted: str, taken: Collection[str]) -> str:
        own = [wanted] if wanted.isdigit() and int(wanted) > 100 else []
        for number in chain(own, map(str, range(FIRST_ID, FIRST_ID + 1000))):
            if number not in taken and self._free(number):
                return number
        raise BuildError(f"{self.where} has no free container number from {FIRST_ID} on; destroy containers there")

    def create(self, ct: str, os_template: str, setup: Setup) -> None:
        self._vzctl("create", ct, "--ostemplate", os_template, "--name", f"{MARK}-{self.tag}")
        self._vzctl("set", ct, "--stop-timeout", "15", "--onboot", "no", "--save")
        if setup.cpus:
            self._vzctl("set", ct, "--cpus", str(setup.cpus), "--save")
        if setup.ram:
            self._limit_memory(ct, setup.ram)
        if setup.disk:
            kilobytes = f"{-(-setup.disk // 1024)}:{-(-setup.disk // 1024)}"
            self._vzctl("set", ct, "--diskspace", kilobytes, "--save", fine=QUOTA_OFF)
        for address in setup.addresses:
            self._vzctl("set", ct, "--ipadd", address, "--save")
        self._vzctl("set", ct, "--nameserver", "inherit", "--save")

    def start(self, ct: str) -> None:
        self._vzctl("start", ct)
        end = time.monotonic() + UP
        while True:
            done = self.runner.run(self.exec_argv(ct, _IS_UP), timeout=20)
            if done.code == 0:
                return
            if time.monotonic() > end:
                raise BuildError(f"{self.where}: container {ct} is not up after {UP:.0f} s: {last_line(done)}")
            time.sleep(0.2)

    def resolv_conf(self, ct: str) -> bytes:
        return self.runner.run(self.exec_argv(ct, "head -c 65536 /etc/resolv.conf")).out[:65536].encode()

    def stop(self, ct: str) -> None:
        """At once: an orderly halt right after the start can hang for two minutes, and nothing of it is needed."""
        self.runner.run(self.exec_argv(ct, "sync"), timeout=30)
        self._vzctl("stop", ct, "--fast")

    def exec_argv(self, ct: str, command: str, *, network: bool = False) -> list[str]:
        return ["vzctl", "--quiet", "exec2", ct, command]

    @contextmanager
    def mounted(self, ct: str) -> Iterator[str]:
        self._vzctl("mount", ct)
        with Undo() as undo:
            undo.callback(self._vzctl, "umount", ct)
            located = self.runner.run(["sh", "-c", _LOCATED, "sh", ct]).out
            yield answers.path(located, self.where, f"the root of container {ct}")

    def explain(self, ct: str, done: Done) -> str:
        """A command may end with vzctl's own codes: the container is asked how it is."""
        status = answers.shown(self.runner.run(["vzctl", "--quiet", "status", ct]).out)
        meant = MEANS.get(done.code, last_line(done))
        if "running" in status.split() and (done.code == SYSTEM_ERROR or done.code > SIGNALLED):
            meant = _KILLED
        return f"{meant} ({status or f'container {ct}'}; vzctl exec2 ended with {done.code})"

    def no_way_out(self, ct: str, os_template: str) -> str:
        answer = self.runner.run(self.exec_argv(ct, _LACKING), timeout=30).out.split()
        if lacking := [tool for tool in TOOLS if tool in answer]:
            return (
                f"the container has no default route: the OS template {os_template} lacks {' and '.join(lacking)}, by"
                " which vzctl sets the addresses and the route of a venet; put net-tools into that OS template, or name"
                " another by --ostemplate"
            )
        return (
            "has the container no way out? its address is that of the recipe's venet adapter, or --build-address;"
            " the node must forward it (net.ipv4.ip_forward, and NAT for a private address)"
        )

    def how_to_enter(self, ct: str) -> str:
        return f"enter it with:\n  vzctl enter {ct}\nand remove it with: vzctl stop {ct} && vzctl destroy {ct}"

    def _free(self, ct: str) -> bool:
        """No configuration of it, no private area, no root, nothing mounted there, and no vzctl that makes it."""
        return self.runner.run(["sh", "-c", FUNCTIONS + LOCATE + FREE, "sh", ct]).code == 0

    def _limit_memory(self, ct: str, ram: int) -> None:
        """Kernels before 042stab04x have no --ram, and take the older measure in pages; they want all the older limits,
        which are those of a sample. What a sample brings wins over other options of its call."""
        done = self._call("set", ct, "--ram", str(ram), "--swap", "0", "--save")
        if done.code == SYSTEM_ERROR:
            self._vzctl("set", ct, "--applyconfig", OLDER_LIMITS, "--save", fine=(NO_SUCH_SAMPLE,))
            self._vzctl("set", ct, "--privvmpages", str(ram // PAGE), "--save")
        elif done.code != 0:
            raise self._failed("set", ct, done)

    def _vzctl(self, verb: str, ct: str, *words: str, fine: Sequence[int] = ()) -> Done:
        done = self._call(verb, ct, *words)
        if done.code != 0 and done.code not in fine:
            raise self._failed(verb, ct, done)
        return done

    def _call(self, verb: str, ct: str, *words: str) -> Done:
        for _ in range(TRIES):
            done = self.runner.run(["vzctl", verb, ct, *words])
            if done.code != LOCKED:
                break
            time.sleep(1.0)
        return done

    def _failed(self, verb: str, ct: str, done: Done) -> BuildError:
        meant = MEANS.get(done.code, "vzctl failed")
        return BuildError(f"{self.where}: vzctl {verb} {ct} ended with {done.code}: {meant}; it says: {causes(done)}")
