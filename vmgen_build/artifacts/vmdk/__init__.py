"""Stream-optimized VMDK: the form of a virtual disk that VMware's products and VirtualBox import from an OVA."""

from __future__ import annotations

from vmgen_build.artifacts.vmdk.format import VmdkError
from vmgen_build.artifacts.vmdk.read import VmdkInfo, check_vmdk, extract
from vmgen_build.artifacts.vmdk.write import write_vmdk

__all__ = ["VmdkError", "VmdkInfo", "check_vmdk", "extract", "write_vmdk"]
