"""Packages and repositories for pacman, made by makepkg and repo-add in a root that has them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.distros.content import Package
from tests.distros.inside import Root
from tests.distros.keys import SigningKey

BUILD = """
groupadd bld
useradd -g bld -M -d /build bld
chown -R bld:bld /build
cd /build
setpriv --reuid=bld --regid=bld --clear-groups env HOME=/build PKGEXT=.pkg.tar.zst SOURCE_DATE_EPOCH=1700000000 \\
    makepkg --nodeps --force --nocheck >makepkg.log 2>&1 || { cat makepkg.log; exit 1; }
chown -R root:root /build
mkdir made
mv *.pkg.tar.zst made/
"""
"""makepkg refuses to run as root."""

SIGN = """
home=$1 key=$2; shift 2
for file; do gpg --homedir "$home" --batch --yes --local-user "$key" --detach-sign "$file"; done
gpgconf --homedir "$home" --kill all
"""

INDEX = """
cd /repository
db=$2; set -- "$1" *.pkg.tar.zst
key=$1; shift; [ -e "$1" ] || shift
GNUPGHOME=/keys repo-add --quiet --sign --key "$key" "$db.db.tar.gz" "$@"
gpgconf --homedir /keys --kill all
"""
"""Packages are signed before: their signatures stand in the index, too."""


def build_packages(tools: Root, scratch: Path, packages: Sequence[Package]) -> Path:
    """A folder of unsigned packages. scratch: a folder for this alone. All are of one version."""
    scratch.mkdir(parents=True)
    _lay_out(packages, scratch)
    for package in packages:
        if _install(package):
            (scratch / f"{package.name}.install").write_text(_install(package))
    (scratch / "PKGBUILD").write_text(_pkgbuild(packages))
    tools.bound({scratch: "/build"}).sh(BUILD)
    return scratch / "made"


def sign_packages(tools: Root, key: SigningKey, files: Sequence[Path]) -> None:
    """They lie in one folder."""
    if not files:
        return
    bound = tools.bound({key.home: "/keys", files[0].parent: "/packages"})
    bound.sh(SIGN, "/keys", key.fingerprint, *(f"/packages/{file.name}" for file in files))


def index_packages(tools: Root, repository: Path, name: str, key: SigningKey) -> None:
    """name.db and name.files, and their signatures."""
    tools.bound({repository: "/repository", key.home: "/keys"}).sh(INDEX, key.fingerprint, name)


def _install(package: Package) -> str:
    """The .install file; pacman(8) gives its functions no preset of their own."""
    functions: Mapping[str, str] = {"pre_install": package.pre, "post_install": package.post}
    return "".join(f"{name}() {{\n{lines}\n}}\n" for name, lines in functions.items() if lines)


def _pkgbuild(packages: Sequence[Package]) -> str:
    """PKGBUILD(5); a split package."""
    (version,) = {package.version for package in packages}
    names = " ".join(package.name for package in packages)
    head = ["pkgbase=tests-own", f"pkgname=({names})", f"pkgver={version}", "pkgrel=1", "arch=(any)"]
    head += ["pkgdesc='A package of the tests'", "license=(MIT)", "options=('!strip')"]
    return "\n".join([*head, *(_function(package) for package in packages)]) + "\n"


def _function(package: Package) -> str:
    lists = {
        "depends": package.requires,
        "provides": package.provides,
        "optdepends": package.recommends,
        "conflicts": package.conflicts,
        "groups": package.groups,
        "backup": tuple(path.lstrip("/") for path in package.config),
    }
    lines = [f"    {name}=({shlex.join(values)})" for name, values in lists.items() if values]
    if _install(package):
        lines.append(f"    install={package.name}.install")
    copied = f'    cp -r "$startdir/content/{package.name}/." "$pkgdir/"' if package.files else "    :"
    return "\n".join([f"package_{package.name}() {{", *lines, copied, "}"])


def plain_packages(tools: Root, scratch: Path, packages: Sequence[Package]) -> Path:
    """A folder of unsigned packages, each a tar of its files and .PKGINFO (alpm's form): makepkg takes a second for
    one. They have no scripts. scratch: a folder for this alone."""
    made = scratch / "made"
    made.mkdir(parents=True)
    _lay_out(packages, scratch)
    for package in packages:
        (scratch / "content" / package.name).mkdir(parents=True, exist_ok=True)
        (scratch / "content" / package.name / ".PKGINFO").write_text(_pkginfo(package))
    pairs = (f"{package.name}={package.name}-{package.version}-1-any" for package in packages)
    tools.bound({scratch: "/build"}).sh(PACK, *pairs)
    return made


PACK = """
cd /build/content
for pair; do
    ls -A "${pair%%=*}" >/tmp/names
    bsdtar -cf - -C "${pair%%=*}" -T /tmp/names | zstd -q -1 -o "/build/made/${pair#*=}.pkg.tar.zst"
done
"""


def _lay_out(packages: Sequence[Package], scratch: Path) -> None:
    for package in packages:
        for path, text in package.files.items():
            file = scratch / "content" / package.name / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if "bin/" in path else 0o644)


def _pkginfo(package: Package) -> str:
    lines = [f"pkgname = {package.name}", "pkgbase = tests-own", f"pkgver = {package.version}-1", "arch = any"]
    size = sum(map(len, package.files.values()))
    lines += [f"pkgdesc = {package.summary}", "builddate = 1700000000", "packager = tests", f"size = {size}"]
    lines += [f"group = {one}" for one in package.groups]
    lines += [f"depend = {one}" for one in package.requires]
    lines += [f"conflict = {one}" for one in package.conflicts]
    lines += [f"provides = {one}" for one in package.provides]
    return "\n".join(lines) + "\n"
