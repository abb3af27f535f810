"""[config]: the system's own settings, repositories, files and scripts."""

from __future__ import annotations

# ruff: noqa: RUF009 - option, named and free make dataclass fields
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, named, option, recipe_section
from vmgen_build.recipe.sections.sources import SourceTree
from vmgen_build.recipe.types import archives
from vmgen_build.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Repository(Section):
    """One of `url` (with suite and components), a whole `line` of apt's, or a `file` in the package manager's form."""

    url: str | None = option(
        t.url, default=None, doc="Address of the repository.", example="https://apt.example.org/debian"
    )
    suite: str | None = option(
        t.text,
        default=None,
        doc="Suite of apt's, the code name by default; ends in / for a flat repository. Elsewhere a path below url.",
    )
    components: tuple[str, ...] = option(t.words, default=(), doc="Components, of apt alone; main by default.")
    line: str | None = option(
        t.repo_line,
        default=None,
        doc="A whole source line of apt's instead.",
        example="deb https://apt.example.org/debian bookworm main",
    )
    file: Path | None = option(
        t.host_file,
        default=None,
        doc="A file of the package manager's own form instead: .list, .sources, .repo, or a piece of pacman.conf.",
        example="example.repo",
    )
    key: Path | None = option(
        t.host_file,
        default=None,
        doc="File of the key that signs it (ASCII or binary), beside the recipe.",
        example="example.asc",
    )
    fingerprint: tuple[str, ...] = option(
        t.fingerprints,
        default=(),
        doc="Fingerprints of the keys that `key` may hold; another one is refused.",
    )
    priority: int = option(
        t.integer(0, 99), default=0, doc="1 to 99, the lower, the sooner its packages are taken; 0 leaves it open."
    )


@dataclass(frozen=True, kw_only=True)
class CopiedFile(Section):
    source: Path = option(t.host_file, doc="File of the host, relative to the recipe.", example="motd.txt")
    dest: str = option(t.guest_path, doc="Path in the guest; ends in / to keep the file's name.", example="/etc/motd")
    owner: str = option(t.owner, default="root:root", doc="Owner as user[:group].")
    mode: int = option(t.file_mode, default=0o644, doc="Permissions, octal.", example="0644")


@dataclass(frozen=True, kw_only=True)
class Script(Section):
    """Either `file` or `run`. Runs as root in the guest, never rendered as a template."""

    file: Path | None = option(
        t.host_file,
        default=None,
        doc="Script of the host, relative to the recipe; run by its #! line, else by /bin/sh.",
    )
    run: str | None = option(
        t.text_lines, default=None, doc="The script's lines, run by /bin/sh -eu.", example="'''touch /srv/ready'''"
    )


@recipe_section("config")
@dataclass(frozen=True, kw_only=True)
class Config(Section):
    hostname: str | None = option(
        t.hostname,
        default=None,
        doc="Host name; made from vm_id by default.",
        example="HAL-9000",
        also="host name, name",
    )
    root_passwd: Secret | None = option(
        t.secret,
        default=None,
        doc="Password of root, or env:NAME or file:PATH. Without one root's password is locked.",
        also="password, root password",
    )
    root_passwd_hash: Secret | None = option(t.crypt_hash, default=None, doc="Password of root as a crypt(5) hash.")
    timezone: str | None = option(
        t.timezone,
        default=None,
        doc="Time zone; UTC by default.",
        example="Europe/Bucharest",
        also="time zone, tz, clock, time",
    )
    locale: str | None = option(
        t.locale,
        default=None,
        doc="Locale of the system; C.UTF-8 by default.",
        example="en_US.UTF-8",
        also="language, lang",
    )
    keyboard: str | None = option(
        t.keyboard,
        default=None,
        doc="Keyboard layout, with a variant after a colon.",
        example="us",
        also="keymap, layout, xkb",
    )
    product_key: Secret | None = option(
        t.product_key,
        default=None,
        doc="Product key of Windows, or env:NAME or file:PATH. It is put in, and never activated.",
        example="env:WINDOWS_KEY",
    )
    updates: str = option(
        t.choice("on", "off", "now"),
        default="on",
        doc="Updates of Windows: on (it gets them by itself), off, or now (the build puts them in, and they stay on).",
    )
    remote_desktop: bool = option(
        t.boolean,
        default=False,
        doc="Whether Windows takes remote desktop connections, and its firewall lets them in.",
        also="rdp",
    )
    power: str | None = option(
        t.choice("balanced", "high", "never-sleep"),
        default=None,
        doc="Power policy of Windows: its scheme balanced or high (performance), or never-sleep, which is high without"
        " any sleep, hibernation or dark screen. By default it stays as it is.",
    )
    generalise: bool = option(
        t.boolean,
        default=True,
        doc="Whether sysprep takes what makes a Windows this very one out of it at the end, as its identifiers.",
    )
    packages: tuple[str, ...] = option(
        t.packages,
        default=(),
        doc="Packages under the distribution's own names, as NAME or NAME=VERSION; files beside the recipe, as ./NAME."
        " On Windows Chocolatey's, or winget:ID.",
        example="htop, nginx=1.22*",
        also="package, apt, install, software",
    )
    packages_remove: tuple[str, ...] = option(
        t.package_names, default=(), doc="Packages to remove, with what nothing else wants then.", example="nano"
    )
    packages_hold: tuple[str, ...] = option(
        t.package_names, default=(), doc="Packages that no upgrade in the guest changes.", example="nginx"
    )
    recommends: bool = option(t.boolean, default=False, doc="Install recommended packages too.")
    failed_scripts: str = option(
        t.choice("error", "ignore"),
        default="error",
        doc="What a package's own script that fails means, where its package manager goes on: dnf, zypper, pacman.",
    )
    mirror: str | None = option(
        t.url, default=None, doc="Mirror that the build takes packages from; the host's own by default."
    )
    profiles: tuple[str, ...] = option(
        t.paths,
        default=(),
        doc="Profiles that the recipe takes in: names, or paths of own ones, which end in .ini.",
        example="development, networking",
    )
    catalogue: tuple[str, ...] = option(
        t.paths,
        default=(),
        doc="Files of programs of your own, relative to the recipe; their names end in .ini.",
        example="my-programs.ini",
    )
    repos: dict[str, Repository] = named(
        Repository,
        names=t.section_name,
        doc="Further repositories; they stay configured in the image.",
        also="repository, ppa",
    )
    sources: dict[str, SourceTree] = named(
        SourceTree, names=archives.program, doc="Programs to build from their source in the guest, in order."
    )
    files: dict[str, CopiedFile] = named(
        CopiedFile, names=t.section_name, doc="Files to copy into the guest.", also="file, copy"
    )
    scripts: dict[str, Script] = named(
        Script, names=t.section_name, doc="Scripts to run in the guest, in order.", also="script, command, commands"
    )
