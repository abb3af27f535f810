"""Media that Setup of Windows reads its answers from: floppies and CDs, written without root. The same files give the
same bytes. And what a medium itself says: how it starts a machine,
and which Windows it installs."""

from vmgen_build.artifacts.media.eltorito import BootCatalog, boot_catalog
from vmgen_build.artifacts.media.floppy import FLOPPY_REQUIREMENTS, write_floppy
from vmgen_build.artifacts.media.iso import ISO_REQUIREMENTS, write_iso
from vmgen_build.artifacts.media.wim import WindowsImage, windows_images

__all__ = [
    "FLOPPY_REQUIREMENTS",
    "ISO_REQUIREMENTS",
    "BootCatalog",
    "WindowsImage",
    "boot_catalog",
    "windows_images",
    "write_floppy",
    "write_iso",
]
