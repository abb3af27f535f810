"""The files that every box of Vagrant holds (artifacts.box)."""

from __future__ import annotations

METADATA, VAGRANTFILE = "metadata.json", "Vagrantfile"
