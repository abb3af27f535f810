"""Media that Setup of Windows reads its answers from: floppies and CDs, written without root. The same files give the
same bytes."""

from vmgen_build.artifacts.media.floppy import FLOPPY_REQUIREMENTS, write_floppy
from vmgen_build.artifacts.media.iso import ISO_REQUIREMENTS, write_iso

__all__ = ["FLOPPY_REQUIREMENTS", "ISO_REQUIREMENTS", "write_floppy", "write_iso"]
