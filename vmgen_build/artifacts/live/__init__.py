"""Live images: a root file system that starts from a CD or a stick and writes to memory alone."""

from vmgen_build.artifacts.live.image import LiveContent, write_live

__all__ = ["LiveContent", "write_live"]
