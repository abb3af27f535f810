"""A plan's container on a node: each step goes there in one call, as a tar on standard input."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Sequence

from vmgen_build.bases.supply import Supply
from vmgen_build.errors import TIMED_OUT, BuildError, StepFailed
from vmgen_build.guests.delivery import Item, environment, items_of, packed, run_item
from vmgen_build.guests.model import Guest, Output, repositories_after
from vmgen_build.guests.node.driver import Setup
from vmgen_build.guests.node.guardian import Guardian
from vmgen_build.guests.runners import answers
from vmgen_build.plan.model import Plan, Step
from vmgen_build.systems.model import HOME

MOST_TAKEN = 100
"""Identifiers that other builds of the node may take while one looks for its own."""

LOADER = """\
umask 077
mkdir -p $dir
mount -t tmpfs -o nosuid,nodev,mode=0700 tmpfs $dir 2>/dev/null && mounted=1 || mounted=
tar -xpf - -C $dir && code=0 || code=$?
echo "$nonce loaded $code"
if [ $code -eq 0 ]; then
    servers=
    if [ -e $dir/resolv.conf ] && { [ -e /etc/resolv.conf ] || : >/etc/resolv.conf; }; then
        mount --bind $dir/resolv.conf /etc/resolv.conf 2>/dev/null && servers=1
    fi
    /bin/sh $dir/run </dev/null 2>&1 && code=0 || code=$?
    [ -z "$servers" ] || umount -l /etc/resolv.conf
fi
cd /
if [ -n "$mounted" ]; then umount -l $dir; else find $dir -type f -exec shred -u {} +; fi
rm -rf $dir
printf '\\n%s ended %d\\n' "$nonce" "$code"
"""
"""Run in the guest, with $nonce and $dir set. The step's folder, $dir, is in memory where the guest may mount. The
node's name servers serve while a step uses the network, whatever the image will have."""

Kept = Callable[["NodeGuest", Step], None]

_CLEAN = f"""\
#!/bin/sh
set -eu
rm -rf {HOME}
"""


class NodeGuest(Guest):
    """kept: called with each new state."""

    def __init__(self, guardian: Guardian, plan: Plan, supply: Supply, kept: Kept) -> None:
        self.driver, self.guardian, self.plan, self.supply, self._kept = guardian.driver, guardian, plan, supply, kept
        self.ct = self._os_template = ""
        self.after: tuple[str, ...] = ()
        self._folder = plan.system.family.step_folder
        self._indexes: str | None = None
        self._resolv_conf = b""

    def create(self, os_template: str, wanted: str, setup: Setup, after: Sequence[str]) -> None:
        """Start a container from the OS template of the last of `after`. wanted: its identifier if that is free."""
        taken: list[str] = []
        self.ct = self.driver.free_id(wanted, taken)
        while not self.guardian.own(self.ct):
            taken.append(self.ct)
            if len(taken) == MOST_TAKEN:
                raise BuildError(
                    f"{self.driver.where}: each of {MOST_TAKEN} free container numbers was taken meanwhile"
                )
            self.ct = self.driver.free_id(wanted, taken)
        self._os_template = os_template
        self.driver.create(self.ct, os_template, setup)
        self.driver.start(self.ct)
        self._resolv_conf = self.driver.resolv_conf(self.ct)
        self.after = tuple(after)

    def keep_layer(self, step: Step) -> None:
        self.after = (*self.after, step.id)
        self._kept(self, step)

    def keep_for_inspection(self, step: Step) -> str:
        self.guardian.keep()
        how = self.driver.how_to_enter(self.ct)
        return f"kept container {self.ct} on {self.driver.where}, where step '{step.name}' failed; there, {how}"

    def clean(self) -> None:
        """Remove what only the build needed, and stop."""
        self._execute(Step(name="clean", title="", script=_CLEAN), lambda _line: None)
        self._indexes = None
        self.driver.stop(self.ct)

    def _fetch_indexes(self, output: Output) -> None:
        """Once for a container, and again after its repositories became others."""
        repositories = repositories_after(self.plan, self.after)
        if self._indexes != repositories:
            try:
                self._run_fetching(self.supply.fetch_indexes(HOME), output)
            except StepFailed as error:
                raise error.with_log(error.log, self.driver.no_way_out(self.ct, self._os_template)) from error
            self._indexes = repositories

    def _restart(self) -> None:
        self.driver.stop(self.ct)
        self.driver.start(self.ct)

    def _execute(self, step: Step, output: Output) -> int | None:
        nonce = f"vmgen-{secrets.token_hex(8)}"
        listener = _Listener(nonce, output, self.driver.where)
        command = f"nonce={nonce}\ndir={shlex.quote(self._folder)}\n{LOADER}"
        argv = self.driver.exec_argv(self.ct, command, network=self.plan.reaches(step))
        with packed(self._items(step)) as data:
            done = self.driver.runner.run(argv, data=data, timeout=step.timeout, output=listener)
        if listener.ended is None and step.timeout is not None and done.code == TIMED_OUT:
            self.driver.end_all(self.ct)
            self.driver.start(self.ct)
            return None
        if listener.loaded is None or listener.ended is None:
            raise BuildError(
                f"step '{step.name}' was cut short on {self.driver.where}: {self.driver.explain(self.ct, done)}"
            )
        if listener.loaded != 0:
            raise BuildError(f"step '{step.name}': its files cannot be unpacked in the container; is its disk full?")
        return listener.ended

    def _items(self, step: Step) -> tuple[Item, ...]:
        settings = dict(self.supply.settings(self._folder, HOME)) if step.network else {}
        if self.plan.reaches(step) and self._resolv_conf:
            settings["resolv.conf"] = self._resolv_conf
        run = run_item(self._folder, environment(self.plan, self.supply))
        return run, *items_of(step, settings, self.plan.epoch)


class _Listener:
    """Takes the loader's own lines out of what a step prints."""

    def __init__(self, nonce: str, output: Callable[[str], None], where: str) -> None:
        self._nonce, self._output, self._where = nonce, output, where
        self.loaded: int | None = None
        self.ended: int | None = None
        self._blank = False

    def __call__(self, line: str) -> None:
        if line.startswith(self._nonce):
            self._note(line)
            return
        # The loader ends with an empty line, in case that the step's last one has no end.
        if self._blank:
            self._output("")
        self._blank = line == ""
        if line:
            self._output(line)

    def _note(self, line: str) -> None:
        """Raises HostError where the node, which knows the nonce, says another thing than the loader does."""
        match = re.fullmatch(rf"{self._nonce} (loaded|ended) ([0-9]{{1,3}})", line)
        if match is None:
            raise answers.refused(self._where, "the end of a step", line)
        if match[1] == "loaded":
            self.loaded = int(match[2])
        else:
            self.ended = int(match[2])
