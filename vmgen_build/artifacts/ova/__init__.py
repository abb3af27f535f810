"""OVA: a machine as one tar file, which holds its OVF descriptor, a manifest of checksums, and its disks, in this order
(DMTF DSP0243, chapter 5.3; USTAR of IEEE 1003.1)."""

from __future__ import annotations

from vmgen_build.artifacts.ova.check import OvaContent, check_ova
from vmgen_build.artifacts.ova.tar import Member, opened_member
from vmgen_build.artifacts.ova.write import write_ova

__all__ = ["Member", "OvaContent", "check_ova", "opened_member", "write_ova"]
