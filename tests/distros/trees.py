"""A whole system as one package, for the tools that put packages into an empty root.

The package "the-tree" holds a test distribution's root, but for the database of its package manager, and provides the
names of all packages that the root has.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.distros import pacmans, rpms
from tests.distros.debian import debian_root
from tests.distros.family import Distribution
from tests.distros.kept import kept
from tests.distros.keys import signing_keys
from tests.distros.roots import tarball_of

HERE = Path(__file__).resolve().parent

ACCOUNTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")
"""They come first: rpm gives files to owners by their names."""

TOOLS = ("usr/lib/sysimage/rpm/*", "var/lib/pacman/*", "var/lib/rpm", "var/log/pacman.log")
LEFT_OUT = ("dev/*", "run/*", "tmp/*", *TOOLS)
"""What no package holds, and what the tool that installs it writes."""

SPEC = """\
Name: the-tree
Version: 1
Release: 1
Summary: A whole system
License: MIT
BuildArch: noarch
AutoReqProv: no
Requires(pre): the-accounts
{provides}
%description
All of it.
%package -n the-accounts
Summary: Its users and groups
AutoReqProv: no
%description -n the-accounts
They come first.
%install
mkdir -p %{{buildroot}}
cp -a /build/root/. %{{buildroot}}/
%files -n the-accounts
{accounts}
%files
%defattr(-,-,-,-)
{files}
"""
"""Without defattr every file would be root's."""

BUILD = """
rpmbuild --quiet -bb -D '_topdir /build' -D '_binary_payload w1.zstdio' -D '__spec_install_post %{nil}' \\
    -D '_build_id_links none' -D 'debug_package %{nil}' -D '_binaries_in_noarch_packages_terminate_build 0' \\
    /build/tree.spec >/build/log 2>&1 || { tail /build/log; exit 1; }
mkdir /build/made
mv /build/RPMS/noarch/*.rpm /build/made/
"""


def tree_repository(cache: Path, distribution: Distribution, wanted: Sequence[str]) -> Path:
    """A folder with a repository, in "main", of one package that is the distribution's root: of pacman's, it is both
    "core" and "extra". wanted: names that it provides beside those of the distribution's packages."""
    debian, keys = debian_root(cache), signing_keys(cache)
    tarball, digest = tarball_of(cache, distribution)
    made_of = [(HERE / "trees.py").read_text(), digest, list(wanted), keys["distribution"].fingerprint]

    def make(folder: Path) -> None:
        scratch, key = folder / "scratch", keys["distribution"]
        (scratch / "root").mkdir(parents=True)
        subprocess.run(["tar", "-C", scratch / "root", "--zstd", "-xpf", tarball, "--numeric-owner"], check=True)
        _strip(scratch / "root")
        names = sorted({*wanted, *distribution.present, *(p for many in distribution.present.values() for p in many)})
        if distribution.format == "rpm":
            (scratch / "tree.spec").write_text(_spec(scratch / "root", names))
            debian.bound({scratch: "/build"}).sh(BUILD)
            repository = (scratch / "made").rename(folder / "main")
            rpms.sign_rpms(debian, key, list(repository.iterdir()))
            rpms.index_rpms(debian, scratch / "index", repository, key, {})
        else:
            (scratch / "root/.PKGINFO").write_text(PKGINFO + "".join(f"provides = {name}\n" for name in names))
            debian.bound({scratch: "/build"}).sh(PACK)
            repository = (scratch / "made").rename(folder / "main")
            pacmans.sign_packages(debian, key, list(repository.iterdir()))
            for database in ("core", "extra"):
                pacmans.index_packages(debian, repository, database, key)
        shutil.rmtree(scratch)

    return kept(cache, f"{distribution.name}-tree", made_of, make)


PKGINFO = """\
pkgname = the-tree
pkgver = 1-1
arch = any
pkgdesc = A whole system
builddate = 1700000000
packager = tests
size = 1
"""

PACK = """
cd /build/root
mkdir /build/made
ls -A | grep -v PKGINFO >/build/names
bsdtar -cf - .PKGINFO $(cat /build/names) | zstd -q -1 -T0 -o /build/made/the-tree-1-1-any.pkg.tar.zst
"""


def _strip(root: Path) -> None:
    for path in (path for pattern in LEFT_OUT for path in root.glob(pattern)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _spec(root: Path, names: Sequence[str]) -> str:
    own = [name for name in ACCOUNTS if (root / name).exists()]
    top = [path for path in sorted(root.iterdir()) if path.name != "etc"]
    etc = [path for path in sorted((root / "etc").iterdir()) if f"etc/{path.name}" not in own]
    files = [f'"/{path.relative_to(root)}"' for path in (*top, *etc)]
    return SPEC.format(
        provides="\n".join(f"Provides: {name}" for name in names),
        accounts="\n".join(f"/{name}" for name in own),
        files="\n".join(files),
    )
