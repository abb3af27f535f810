"""[config] [[sources]]: programs that are built from their source in the guest."""

from __future__ import annotations

# ruff: noqa: RUF009 - option, named and free make dataclass fields
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.catalogue.building import BUILD_SYSTEMS
from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, option
from vmgen_build.recipe.types import archives


@dataclass(frozen=True, kw_only=True)
class SourceTree(Section):
    """Either `url` or `file`: an archive (tar of any compression, or zip) of a program's source."""

    url: tuple[str, ...] = option(
        archives.web_addresses,
        default=(),
        doc="Address of the archive, or several of the same file, tried in order. Needs sha256.",
        example="https://ftp.gnu.org/gnu/hello/hello-2.12.1.tar.gz",
    )
    file: Path | None = option(t.host_file, default=None, doc="Archive of the host, relative to the recipe.")
    sha256: str | None = option(t.sha256, default=None, doc="Checksum of the archive, as sha256sum prints it.")
    patches: tuple[Path, ...] = option(
        archives.host_files,
        default=(),
        doc="Patches of the host to apply in order, as git diff writes them (patch -p1).",
    )
    build: str | None = option(
        t.choice(*BUILD_SYSTEMS),
        default=None,
        doc="Build system; what the archive shows, where it is a file; script where there is a script.",
        example="autotools",
    )
    options: tuple[str, ...] = option(
        archives.arguments,
        default=(),
        doc="Words for the build system: of configure, cmake, meson setup, make, pip install, cargo install.",
        example="--disable-nls",
    )
    script: str | None = option(
        t.text_lines,
        default=None,
        doc="Lines that build and install it, instead of a build system; run by /bin/sh -eu in its folder; PREFIX is"
        " set.",
        example="'''make PREFIX=\"$PREFIX\" install'''",
    )
    prefix: str = option(archives.prefix, default="/usr/local", doc="Folder that it is installed into.")
    build_needs: tuple[str, ...] = option(
        t.words,
        default=(),
        doc="Tools and libraries that it is built with, by names that hold on every system; the build system's own are"
        " there without it.",
        example="zlib, openssl",
    )
    build_packages: tuple[str, ...] = option(
        t.package_names,
        default=(),
        doc="The same under the distribution's own names. All of these are removed again.",
        example="libpcap-dev",
    )
    packages: tuple[str, ...] = option(
        t.package_names,
        default=(),
        doc="Packages that it needs to run, beside the libraries that its files are linked with.",
        example="ca-certificates",
    )
    network: bool = option(t.boolean, default=False, doc="Whether its build may use the network.")
    strip: bool = option(t.boolean, default=True, doc="Whether debugging symbols are taken out of what it installs.")
    units: tuple[str, ...] = option(
        archives.units, default=(), doc="systemd units that it installs, to be enabled.", example="hello.service"
    )
    commands: tuple[str, ...] = option(
        archives.commands, default=(), doc="Commands that it installs; verify looks for each.", example="hello"
    )
    check: str | None = option(
        t.text,
        default=None,
        doc="A command line that verify runs in the booted image; it must end with 0.",
        example="hello --version",
    )
