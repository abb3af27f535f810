"""Small files of an archive, by HTTP or from this host's own disk, each within its limit."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from vmgen_build.bases.within import within
from vmgen_build.errors import BuildError, HostError
from vmgen_build.limits import REDIRECTS, RELEASE_TIME, Limit
from vmgen_build.text import without_passwords

if TYPE_CHECKING:
    import httpx

TRIES = 3
_NO_PROXY = ("direct", "false")
"""Words of apt for no proxy: apt-transport-http(1)."""
_GONE = (401, 403, 404, 410)


def fetch(url: str, limit: Limit, settings: Sequence[str] = (), *, optional: bool = False) -> bytes | None:
    """What lies there; with `optional`, None where nothing does. settings: lines of apt.conf, for its proxy.

    Raises BuildError naming the address, and the limit where there is more.
    """
    if url.startswith(("file:", "copy:")):
        return _local(url, limit, optional=optional)
    if not url.startswith(("http://", "https://")):
        raise BuildError(f"cannot read {url}: an address begins with http://, https:// or file:")
    import httpx

    proxy = _proxy_of(settings)
    reason, end = "", time.monotonic() + RELEASE_TIME.amount
    with _client(proxy) as client:
        for attempt in range(TRIES):
            try:
                code, data = within(end - time.monotonic(), partial(_answer, client, url, limit))
                if code == 200:
                    return data
                reason = f"HTTP {code}"
                if code == 404 and optional:
                    return None
                if code in _GONE:
                    break
            except TimeoutError as error:
                raise _not_read(url, f"it takes longer than the limit '{RELEASE_TIME.name}' allows") from error
            except httpx.TooManyRedirects:
                reason = REDIRECTS.exceeded
                break
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
            time.sleep(0.5 * 2**attempt)
    raise _not_read(url, f"{reason} (by the proxy {without_passwords(proxy)})" if proxy else reason)


def _proxy_of(settings: Sequence[str]) -> str:
    """Empty for none."""
    found = re.findall(r'Acquire::https?::Proxy "([^"]+)"', "\n".join(settings))
    return next((proxy for proxy in found if proxy.lower() not in _NO_PROXY), "")


def _client(proxy: str) -> httpx.Client:
    import httpx

    try:
        return httpx.Client(follow_redirects=True, max_redirects=REDIRECTS.amount, timeout=20, proxy=proxy or None)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise HostError(
            f"cannot use the proxy '{without_passwords(proxy)}' of this host's apt: {error};"
            " look at Acquire::http::Proxy in /etc/apt, http_proxy and https_proxy"
        ) from error


def _answer(client: httpx.Client, url: str, limit: Limit) -> tuple[int, bytes]:
    """Its code and its body as it was sent."""
    data = bytearray()
    with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code != 200:
            return answer.status_code, b""
        for chunk in answer.iter_raw():
            data += chunk
            if len(data) > limit.amount:
                raise _not_read(url, limit.exceeded)
    return 200, bytes(data)


def _local(url: str, limit: Limit, *, optional: bool) -> bytes | None:
    path = re.sub(r"^\w+:(//)?", "", url)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _not_read(url, "it is no file")
            data = file.read(limit.amount + 1)
    except FileNotFoundError as error:
        if optional:
            return None
        raise _not_read(url, str(error.strerror)) from error
    except OSError as error:
        raise _not_read(url, str(error.strerror)) from error
    if len(data) > limit.amount:
        raise _not_read(url, limit.exceeded)
    return data


def _not_read(url: str, reason: str) -> BuildError:
    return BuildError(
        f"cannot read {without_passwords(url)}: {reason}; check the mirror ([config] mirror, or for Debian the host's"
        " apt sources) and the network, or build from what was downloaded with --offline"
    )
