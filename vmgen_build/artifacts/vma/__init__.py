"""Archives of virtual machines, as Proxmox VE restores them (vma_spec.txt of its QEMU)."""

from vmgen_build.artifacts.vma.format import CONFIG, VmaContent, VmaDisk
from vmgen_build.artifacts.vma.read import extract_vma
from vmgen_build.artifacts.vma.write import write_vma

__all__ = ["CONFIG", "VmaContent", "VmaDisk", "extract_vma", "write_vma"]
