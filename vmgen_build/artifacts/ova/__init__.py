"""OVA: a machine as one tar file, which holds its OVF descriptor, a manifest of checksums, and its disks, in this order
(DMTF DSP0243, chapter 5.3; USTAR of IEEE 1003.1)."""

from __future__ import annotations

from vmgen_build.artifacts.ova.check import OvaContent, check_ova
from vmgen_build.artifacts.ova.tar import Member, opened_member
from vmgen_build.artifacts.ova.write import write_ova
from vmgen_build.artifacts.ovf.read import Ovf, Reference, read_descriptor

__all__ = [
    "Member",
    "OvaContent",
    "Ovf",
    "Reference",
    "check_ova",
    "opened_member",
    "read_descriptor",
    "write_ova",
]
