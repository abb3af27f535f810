"""A lease on disks that go to a server or come from it (vSphere Web Services API Reference, HttpNfcLease).

The server drops one of which it is told nothing for some minutes, however fast bytes arrive. So a thread of its own
tells it, as long as the lease is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.vsphere.faults import LOST, kinds_of
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tasks import FIRST, LONGEST
from vmgen_build.host.undo import add_failure
from vmgen_build.limits import VSPHERE_TASK

BEAT = 15.0
"""Seconds between two signs of life. Servers wait for 300 by default, and may wait for less."""

OVER = ("done", "error")
"""States in which there is nothing to abort."""


class Lease:
    """One that is ready. percent: how far the transfer is, for the server's own display."""

    def __init__(self, session: Session, ref: Any, what: str, info: Any) -> None:
        self._session, self._ref, self._what, self.info = session, ref, what, info
        self.percent = 0
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def devices(self) -> Sequence[Any]:
        """vim.HttpNfcLease.DeviceUrl of each file."""
        return list(self.info.deviceUrl)

    def check(self) -> None:
        """Raises BuildError where the server does not take signs of life any more."""
        if self._failure is not None:
            raise self._session.failure(self._what, self._failure)

    def manifest(self) -> Sequence[Any]:
        """vim.HttpNfcLease.ManifestEntry of each file that was sent; none where the server makes none."""
        try:
            return list(self._session.order(self._what, self._ref.HttpNfcLeaseGetManifest) or ())
        except VmgenError:
            return ()

    def begin(self) -> None:
        self._beating.start()

    def stop(self) -> None:
        self._ended.set()
        self._beating.join()

    def complete(self) -> None:
        self._session.order(self._what, self._ref.HttpNfcLeaseComplete)

    def give_up(self, error: BaseException) -> VmgenError | None:
        """Abort it, where it is open. Where the server has ended it meanwhile: why, which is what error comes of. Where
        that fails too, the error of the transfer says so."""
        try:
            values = state_of(self._session, self._ref, self._what)
            if values["state"] not in OVER:
                self._session.order(self._what, self._ref.HttpNfcLeaseAbort)
            elif values.get("error") and self.info is not None and isinstance(error, VmgenError):
                return self._dropped(values["error"])
        except VmgenError as failure:
            add_failure(error, failure)
        return None

    def _dropped(self, fault: BaseException) -> VmgenError:
        """fault: with which the server has ended it."""
        cause = self._session.failure(self._what, fault)
        if "Timedout" not in kinds_of(fault):
            return type(cause)(f"{cause}; the server has ended the transfer with that: build again")
        return BuildError(
            f"{self._session.where}: {self._what}: the server has dropped the lease: no sign of life of this build came"
            f" there for {self.info.leaseTimeout} s; look at the network and at the load of both, then build again"
        )

    def _beat(self) -> None:
        """One that is lost is tried again; one that the server refuses is the last."""
        while not self._ended.wait(BEAT):
            try:
                self._ref.HttpNfcLeaseProgress(max(0, min(99, self.percent)))
            except LOST:
                continue
            except Exception as error:
                if not self._ended.is_set():
                    self._failure = error
                return


@contextmanager
def leased(session: Session, ref: Any, what: str) -> Iterator[Lease]:
    """The lease, once it is ready; completed after the body, aborted where that fails. what: is done, as the message's
    words. Raises HostError, BuildError; where the server has ended the lease, its reason and not what failed then."""
    lease = Lease(session, ref, what, None)
    try:
        lease.info = _ready(session, ref, what)
        lease.begin()
        try:
            yield lease
        finally:
            lease.stop()
        lease.check()
        lease.complete()
    except BaseException as error:
        cause = lease.give_up(error)
        if cause is None:
            raise
        raise cause from error


def state_of(session: Session, ref: Any, what: str) -> dict[str, Any]:
    """Its state as text, and what is set of the rest."""
    values = dict(values_of(session, what, ref, ["state", "error", "initializeProgress"]))
    values["state"] = str(values.get("state", ""))
    return values


def _ready(session: Session, ref: Any, what: str) -> Any:
    """vim.HttpNfcLease.Info."""
    pause, changed, seen = FIRST, time.monotonic(), ""
    while True:
        values = state_of(session, ref, what)
        if values["state"] == "ready":
            return values_of(session, what, ref, ["info"])["info"]
        if values["state"] in OVER:
            cause = values.get("error") or BuildError(f"{session.where}: {what}: the lease has ended; build again")
            raise session.failure(what, cause)
        if (new := str(values.get("initializeProgress"))) != seen:
            seen, changed = new, time.monotonic()
        if time.monotonic() - changed > VSPHERE_TASK.amount:
            raise BuildError(
                f"{session.where}: {what}: the server has prepared nothing for {VSPHERE_TASK.amount} s; look at its"
                " recent tasks"
            )
        time.sleep(pause)
        pause = min(LONGEST, pause * 1.5)
