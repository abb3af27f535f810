"""Disks that come home from a vSphere server beside a plain HTTPS download of the same bytes, on loopback, from the
tests' stand-in (tests/integration/vsphere): medians of N, their ratio, and the memory that the export takes at most.

The download writes what comes to a file and does no more: no digest, no sign of life to the lease. Run as root on an
otherwise idle machine:

    .venv/bin/python bench/export.py [--runs 3] [--size 512] [--work DIR]
"""

from __future__ import annotations

import argparse
import os
import resource
import ssl
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.served import with_places, working
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import There, authority_of, session_on, trusted_stand_in
from vmgen_build.artifacts.vmdk import write_vmdk

MB = 1 << 20


def disk_of(size: int, folder: Path) -> Path:
    """A VMDK of so many bytes that cannot be compressed, of a disk of twice as many."""
    raw = folder / "raw"
    with raw.open("wb") as file:
        for _ in range(size // MB):
            file.write(os.urandom(MB))
        file.truncate(2 * size)
    made = write_vmdk(raw, folder / "disk.vmdk").path
    raw.unlink()
    return made


@contextmanager
def ready(there: There) -> Iterator[str]:
    """The address of the disk, as long as a lease is open."""
    lease = there.made.ExportVm()
    while str(lease.state) != "ready":
        time.sleep(0.05)
    yield lease.info.deviceUrl[0].url
    lease.HttpNfcLeaseComplete()


def downloaded(made: StandIn, url: str, goal: Path) -> float:
    """Seconds."""
    began = time.monotonic()
    context = ssl.create_default_context(cafile=str(authority_of(made)))
    connection = HTTPSConnection(made.server.host, made.server.port, context=context)
    connection.request("GET", urlsplit(url).path)
    answer = connection.getresponse()
    with goal.open("wb") as file:
        while data := answer.read(MB):
            file.write(data)
    connection.close()
    return time.monotonic() - began


def exported(made: StandIn, there: There, home: Path) -> float:
    """Seconds. In a session of its own: a process shares no connection with another."""
    with session_on(made) as session:
        machine: Any = type(there.made)(there.made._moId, session.stub)
        there.session, there.made, there.folder = session, machine, home
        began = time.monotonic()
        there.exported()
        return time.monotonic() - began


def apart(work: Callable[[], float]) -> tuple[float, int]:
    """What it gives in a process of its own, and that one's memory at most, in bytes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, code, used = os.wait4(child, 0)
    assert code == 0, "the export has failed"
    return float(text), used.ru_maxrss << 10


def measured(made: StandIn, disk: Path, work: Path, runs: int) -> None:
    plain, own, memory = [], [], []
    with session_on(made) as session:
        there = There(session, disk, f"{disk.stat().st_size // MB * 2}M", work)
        for number in range(runs):
            with ready(there) as url:
                plain.append(apart(partial(downloaded, made, url, work / "plain"))[0])
            seconds, most = apart(partial(exported, made, there, work / f"home-{number}"))
            own.append(seconds)
            memory.append(most)
        there.maker.clear()
    size = disk.stat().st_size
    for name, times in (("plain download", plain), ("export", own)):
        print(f"{name:16} {statistics.median(times):7.2f} s  {size / MB / statistics.median(times):7.0f} MB/s")
    print(f"ratio            {statistics.median(plain) / statistics.median(own):7.2f}  (at least 0.7)")
    print(f"memory at most   {max(memory) / MB:7.0f} MB  (under 300; this process before it: {before() / MB:.0f} MB)")


def before() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=512, help="MB")
    given = with_places(parser).parse_args()
    with working(given) as (program, work):
        disk = disk_of(given.size * MB, work)
        with trusted_stand_in(program, work, work, None) as made:
            measured(made, disk, work, given.runs)


if __name__ == "__main__":
    main()
