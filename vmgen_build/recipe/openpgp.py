"""Which keys a file of OpenPGP keys holds. Format: RFC 4880 and RFC 9580, "Packet Syntax", "ASCII Armor"."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

_BEGIN, _FINISH = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----END PGP PUBLIC KEY BLOCK-----"
_SIGNATURE, _PUBLIC_KEY, _USER_ID, _SUBKEY, _ATTRIBUTE = 2, 6, 13, 14, 17
"""The packets that a key is made of."""

_HEADS = {4: (b"\x99", 2, hashlib.sha1), 5: (b"\x9a", 4, hashlib.sha256), 6: (b"\x9b", 4, hashlib.sha256)}
"""Version of a key -> what its fingerprint is made of: a first octet, the octets of the length, the digest."""


def fingerprints(data: bytes) -> list[str]:
    """Of the primary keys, in capital hexadecimal digits. data: binary or armoured, one or several blocks.

    Raises ValueError for what is no file of keys.
    """
    found = [_fingerprint(body) for tag, body in _packets(binary(data)) if tag == _PUBLIC_KEY]
    if not found:
        raise ValueError("it holds no OpenPGP key")
    return found


def only(data: bytes, wanted: str) -> bytes:
    """Of a file of keys, the one of that fingerprint with all that belongs to it, binary. Raises ValueError."""
    keys = {fingerprints(key)[0]: key for key in _certificates(binary(data))}
    if wanted not in keys:
        raise ValueError(f"it holds {', '.join(keys) or 'no key'}, and {wanted} is asked for")
    return keys[wanted]


def sound(data: bytes, judged: Mapping[str, Collection[str]], wanted: Sequence[str] = ()) -> bytes:
    """Of a file of keys those that stand in `judged`, each with the subkeys alone that stand there under it.

    judged: fingerprint of a primary key -> those of its subkeys. wanted: of those that are taken, as `only`; all by
    default. Where there is nothing to leave out it is the data itself; else it is armoured.
    Raises ValueError where nothing is left, or one that is wanted is not.
    """
    whole = binary(data)
    keys = [only(whole, one) for one in wanted] if wanted else list(_certificates(whole))
    found = {_primary(key): _sound(key, judged) for key in keys}
    lost = [one or "one of a version that is not known" for one, key in found.items() if not key]
    left = b"".join(found.values())
    if not left or (wanted and lost):
        raise ValueError(f"gpg takes no such key, or it is revoked: {', '.join(lost) or 'it holds none'}")
    return data if left == whole and not wanted else armoured(left)


def armoured(data: bytes) -> bytes:
    """A binary file of keys as text; with the checksum, which rpm wants."""
    text = base64.b64encode(data)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    check = b"=" + base64.b64encode(_crc24(data).to_bytes(3, "big"))
    return b"\n".join([_BEGIN, b"", *lines, check, _FINISH, b""])


def _crc24(data: bytes) -> int:
    """RFC 4880, 6.1."""
    value = 0xB704CE
    for octet in data:
        value ^= octet << 16
        for _ in range(8):
            value <<= 1
            value ^= 0x1864CFB if value & 0x1000000 else 0
    return value & 0xFFFFFF


def wrong_keys(data: bytes, wanted: Sequence[str]) -> str:
    """What is wrong with a file of keys that is to hold those of some fingerprints alone; "" where nothing is."""
    try:
        found = fingerprints(data)
    except ValueError as error:
        return f"the file of the key cannot be read: {error}"
    if odd := [one for one in found if one not in wanted]:
        return f"the file of the key holds the key {odd[0]}, and {', '.join(wanted)} is asked for"
    return ""


def binary(data: bytes) -> bytes:
    """A file of keys without its armour: the lines before the first empty one are headers, one that begins with = is a
    checksum. Raises ValueError."""
    blocks = list(_blocks(data.replace(b"\r\n", b"\n")))
    if not blocks:
        return data
    found = b""
    for block in blocks:
        _, _, body = block.partition(b"\n\n")
        lines = [line.strip() for line in body.splitlines()]
        text = b"".join(line for line in lines if not line.startswith(b"="))
        try:
            found += base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"its armour is damaged ({error})") from error
    return found


def _blocks(data: bytes) -> Iterator[bytes]:
    """What stands between the marks, from the end of the first one's line on."""
    at = 0
    while (begin := data.find(_BEGIN, at)) >= 0 and (end := data.find(_FINISH, begin)) >= 0:
        yield data[begin + len(_BEGIN) : end].lstrip(b" \t")
        at = end + len(_FINISH)


def _certificates(data: bytes) -> Iterator[bytes]:
    """Each primary key with all that belongs to it."""
    starts = [start for start, tag, _ in _located(data) if tag == _PUBLIC_KEY]
    for start, end in pairwise([*starts, len(data)]):
        yield data[start:end]


def _primary(key: bytes) -> str:
    """Its fingerprint, "" where its version is not known."""
    with suppress(ValueError):
        return fingerprints(key)[0]
    return ""


def _sound(key: bytes, judged: Mapping[str, Collection[str]]) -> bytes:
    """A key without what does not belong to it; empty where it is not in `judged`."""
    primary, left, takes = _primary(key), bytearray(), True
    if primary not in judged:
        return b""
    packets = [*_located(key), (len(key), 0, b"")]
    for (at, tag, body), (end, _, _) in pairwise(packets):
        if tag == _SUBKEY:
            takes = _known_fingerprint(body) in judged[primary]
        elif tag != _SIGNATURE:
            takes = tag in (_PUBLIC_KEY, _USER_ID, _ATTRIBUTE)
        left += key[at:end] if takes else b""
    return bytes(left)


def _known_fingerprint(body: bytes) -> str:
    with suppress(ValueError):
        return _fingerprint(body)
    return ""


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet. Raises ValueError where one is cut off."""
    return ((tag, body) for _, tag, body in _located(data))


def _located(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each packet begins, its tag and its body."""
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise ValueError("it is no file of OpenPGP keys")
        new = bool(head & 0x40)
        tag = head & 0x3F if new else (head >> 2) & 0xF
        start, length = _length(data, at + 1, new, head & 3)
        if start + length > len(data):
            raise ValueError("it is cut off")
        yield at, tag, data[start : start + length]
        at = start + length


def _length(data: bytes, at: int, new: bool, kind: int) -> tuple[int, int]:
    """Where the body begins, and how long it is. Bodies in parts hold no keys, and are refused."""
    with suppress(IndexError):
        if not new:
            octets = (1, 2, 4)[kind]
            return at + octets, int.from_bytes(data[at : at + octets], "big")
        first = data[at]
        if first < 192:
            return at + 1, first
        if first < 224:
            return at + 2, ((first - 192) << 8) + data[at + 1] + 192
        if first == 255:
            return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise ValueError("it is no file of OpenPGP keys")


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version not in _HEADS:
        raise ValueError(f"it holds a key of version {version}, which is not known")
    first, octets, digest = _HEADS[version]
    return digest(first + len(body).to_bytes(octets, "big") + body).hexdigest().upper()
