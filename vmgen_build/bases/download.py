"""Large files by HTTP: resumed, retried, in constant memory.

NAME.part beside its goal is what came so far; NAME.part.json says of which version of which file that is (its url,
validator and size).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from vmgen_build.bases.within import within
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import is_full
from vmgen_build.limits import DOWNLOAD, REDIRECTS, Limit
from vmgen_build.text import size as in_words
from vmgen_build.text import without_passwords

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Bytes there, bytes in all (0: unknown)."""

_GAIN = 1 << 20
"""Bytes beyond the furthest point so far that make the count of tries begin anew."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a connection and for the next bytes; how often in a row to try, and the first pause between.

    A server that sends less than `rate` bytes a second for `window` seconds counts as one that stalls.
    """

    connect: float = 20
    stall: float = 30
    tries: int = 5
    pause: float = 0.5
    window: float = 60
    rate: int = 1000


class NotThere(Exception):
    """The server has no such file, or does not give it: "HTTP 404"."""


class _Again(Exception):
    """An attempt failed in a way that another may not."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a part file is a part of. url: without a password; validator: for If-Range, "" where the server gave none;
    size: 0 if unknown."""

    url: str
    validator: str
    size: int


@contextmanager
def open_client(patience: Patience, *, secure: bool = False) -> Iterator[httpx.Client]:
    """Takes the environment's proxies (http_proxy, no_proxy ...) and the host's own certificate authorities.

    secure: nothing is asked for but by https, after a redirect either.
    """
    import ssl

    import httpx

    timeout = httpx.Timeout(patience.stall, connect=patience.connect)
    try:
        client = httpx.Client(
            follow_redirects=True,
            max_redirects=REDIRECTS.amount,
            timeout=timeout,
            verify=ssl.create_default_context(),
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise HostError(
            f"cannot use the proxy or certificate settings of the environment: {error};"
            " look at http_proxy, https_proxy, all_proxy, SSL_CERT_FILE and SSL_CERT_DIR"
        ) from error
    with client:
        if secure:
            client.event_hooks = {"request": [_require_https]}
        yield client


def _require_https(request: httpx.Request) -> None:
    """Raises NotThere."""
    if request.url.scheme != "https":
        raise NotThere("the server sends on to an address that is not https")


def download(
    client: httpx.Client, url: str, part: Path, progress: Progress, patience: Patience, limit: Limit = DOWNLOAD
) -> bool:
    """Make `part` the whole file. True if it was put together from more than one answer of the server.

    Raises NotThere, also for a file larger than the limit, of which no more is taken; BuildError when the server cannot
    be reached or does not get further; HostError on a full disk. `part` outlives all of these but a limit and a full
    disk, and any signal, to be taken up by the next call.
    """
    continued: list[bool] = []

    def attempt() -> None:
        continued.append(_start(part, url) > 0)
        _receive(client, url, part, progress, patience, limit)

    try:
        _persist(url, attempt, patience, lambda: _length(part))
    except OSError as error:
        raise _not_written(error, part) from error
    return any(continued)


def small_file(client: httpx.Client, url: str, limit: int, patience: Patience) -> bytes:
    """A file of at most `limit` bytes, which must come within the patience's window.

    Raises NotThere, also for a larger one, and BuildError.
    """

    def attempt() -> bytes:
        data = bytearray()
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
            _judge(answer)
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > limit:
                    raise NotThere(f"more than {in_words(limit)}")
        return bytes(data)

    return _persist(url, lambda: _in_time(attempt, patience), patience, lambda: 0)


def _in_time(work: Callable[[], T], patience: Patience) -> T:
    try:
        return within(patience.window, work)
    except TimeoutError as error:
        raise _Again(f"the server's answer did not come within {patience.window:g} s") from error


def forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _persist(url: str, attempt: Callable[[], T], patience: Patience, reached: Callable[[], int]) -> T:
    """The result of the first attempt that succeeds; `reached` says how far they came."""
    import httpx

    failures, furthest = 0, reached()
    while True:
        try:
            return attempt()
        except (httpx.RequestError, _Again) as error:
            reason = str(error) or type(error).__name__
        if reached() >= furthest + _GAIN:
            failures, furthest = 0, reached()
        failures += 1
        if failures >= patience.tries or "CERTIFICATE_VERIFY_FAILED" in reason:
            kept = f"; {in_words(reached())} are kept, and the next try goes on from there" if reached() else ""
            tried = "once" if failures == 1 else f"{failures} times in a row"
            raise BuildError(
                f"cannot download {without_passwords(url)}: {reason} (tried {tried}){kept};"
                " check the address and the network (http_proxy and https_proxy are respected)"
            )
        time.sleep(patience.pause * 2 ** (failures - 1))


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _source(part: Path) -> _Origin | None:
    try:
        data = json.loads(_note(part).read_text())
        return _Origin(str(data["url"]), str(data["validator"]), int(data["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _start(part: Path, url: str) -> int:
    """The byte from which the download of `url` can go on."""
    source = _source(part)
    if source is None or source.url != without_passwords(url):
        return 0
    have = _length(part)
    return have if source.validator or have == source.size else 0


def _receive(client: httpx.Client, url: str, part: Path, progress: Progress, patience: Patience, limit: Limit) -> None:
    start, source = _start(part, url), _source(part)
    if start > limit.amount:
        forget(part)
        raise NotThere(limit.exceeded)
    headers = {"Accept-Encoding": "identity"}
    if start and source is not None:
        if start == source.size:
            return
        headers |= {"Range": f"bytes={start}-", "If-Range": source.validator}
    with ExitStack() as close:
        asked = client.stream("GET", url, headers=headers)
        answer = _in_time(lambda: close.enter_context(asked), patience)
        if answer.status_code == 416:
            forget(part)
            raise _Again("the server's file is shorter than what came before")
        _judge(answer)
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise NotThere("a web page, not a file")
        begin, total = _extent(answer, start, part)
        if total > limit.amount:
            raise NotThere(limit.exceeded)
        _check_room(part, total - begin)
        _note(part).write_text(json.dumps(asdict(_Origin(without_passwords(url), _validator(answer), total))) + "\n")
        with part.open("r+b" if begin else "wb", buffering=0) as file:
            file.seek(begin)
            _copy(answer, file, lambda done: progress(done, total), patience, limit)


def _judge(answer: httpx.Response) -> None:
    """Raises NotThere or _Again for an answer that is not the file."""
    code = answer.status_code
    if code in (408, 425, 429) or code >= 500:
        raise _Again(f"HTTP {code}")
    if code not in (200, 206):
        raise NotThere(f"HTTP {code}")


def _extent(answer: httpx.Response, start: int, part: Path) -> tuple[int, int]:
    """The byte that the answer begins with, and the file's size, 0 if unknown.

    A server may ignore Range (RFC 9110, 14.2), and does where If-Range does not hold.
    """
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else 0
    match = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        forget(part)
        raise _Again("the server sent another part of the file than was asked for")
    return start, 0 if match[2] == "*" else int(match[2])


def _validator(answer: httpx.Response) -> str:
    """What If-Range may hold: a strong ETag, else a date (RFC 9110, 13.1.5)."""
    etag: str = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise HostError(
            f"the disk of {part.parent} has {in_words(free)} free, and the download needs {in_words(needed)};"
            " make room there (vmgen-build cache prune), or choose another cache with --cache"
        )


def _copy(
    answer: httpx.Response, file: BinaryIO, progress: Callable[[int], None], patience: Patience, limit: Limit
) -> None:
    """The body as it was sent: a server may call a .tar.gz a tar with the encoding gzip."""
    since = shown = time.monotonic()
    counted = 0
    for chunk in answer.iter_raw():
        file.write(chunk)
        counted += len(chunk)
        if file.tell() > limit.amount:
            forget(Path(file.name))
            raise NotThere(limit.exceeded)
        now = time.monotonic()
        if now - shown >= 0.2:
            progress(file.tell())
            shown = now
        if now - since >= patience.window:
            if counted < patience.rate * patience.window:
                raise _Again(f"the server sends less than {in_words(patience.rate)} a second")
            since, counted = now, 0
    progress(file.tell())
    os.fsync(file.fileno())


def _not_written(error: OSError, part: Path) -> Exception:
    if is_full(error):
        came = _length(part)
        forget(part)
        return HostError(
            f"the disk of {part.parent} is full after {in_words(came)} of the download, which were removed;"
            " make room there (vmgen-build cache prune), or choose another cache with --cache"
        )
    return HostError(f"cannot write {part}: {error.strerror}; choose another cache with --cache")
