"""How much of a disk its partitions take, and what each file system asks of its partition.

Everything lies on whole MiB: the first partition begins at 1 MiB, behind the partition table and, on a BIOS machine,
the boot loader. On a "dos" table each logical partition stands 1 MiB behind its own table (EBR), and these tables come
on top of the extended partition's size, which is what its logical ones may take together. A "gpt" table keeps a copy
of itself in the last MiB.
"""

from __future__ import annotations

from collections.abc import Sequence

MIB = 1 << 20

ESP_SIZE = 64 * MIB
"""Bytes of the EFI system partition that an EFI machine's boot disk begins with, where the recipe names none."""

DOS_LIMIT = 2 << 40
"""Bytes that a dos table reaches: 2^32 sectors."""

SMALLEST = {
    "ext2": 4 * MIB,
    "ext3": 16 * MIB,
    "ext4": 16 * MIB,
    "xfs": 300 * MIB,
    "btrfs": 128 * MIB,
    "swap": MIB,
    "vfat": 2 * MIB,
    "ntfs": 8 * MIB,
}
"""The smallest partition of each file system, as its mkfs takes it: ext3 and ext4 need room for a journal, xfsprogs
refuses less than 300 MiB, btrfs-progs less than 109."""

LONGEST_LABEL = {"ext2": 16, "ext3": 16, "ext4": 16, "xfs": 12, "btrfs": 255, "swap": 15, "vfat": 11, "ntfs": 32}
"""Bytes of UTF-8; vfat: characters of DOS_LABEL; ntfs: UTF-16 units."""

NO_OWNERS = frozenset({"vfat", "ntfs"})
"""File systems that know no owners and modes: no system lives on them."""

EMPTY_ONLY = frozenset({"xfs", "ntfs"})
"""File systems that no program of a usual host fills from a folder with owners, times and extended attributes whole."""


def whole_mib(size: int) -> int:
    """Rounded up."""
    return -(-size // MIB) * MIB


def tables(kinds: Sequence[str], table: str) -> int:
    """Bytes beside the partitions of these kinds: the table, and its copy or the logical partitions' tables.

    table: "dos" or "gpt".
    """
    return MIB * (1 + (kinds.count("logical") if table == "dos" else 1))


def label_fits(label: str, fs: str) -> bool:
    """Whether a file system can have this label."""
    if fs == "ntfs":
        return len(label.encode("utf-16-le")) // 2 <= LONGEST_LABEL[fs]
    if fs == "vfat":
        return len(label) <= LONGEST_LABEL[fs] and all(" " <= c <= "~" and c not in '*?.,;:/\\|+=<>[]"' for c in label)
    return len(label.encode()) <= LONGEST_LABEL[fs]
