"""Packages and repositories for dnf, yum and zypper, made in a root that has their tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.distros.content import Package
from tests.distros.inside import Root
from tests.distros.keys import SigningKey

HEAD = """\
Name: tests-own
Version: 1
Release: 1
Summary: The tests' packages
License: MIT
BuildArch: noarch
AutoReqProv: no
%description
It has no files.
%prep
%build
%install
mkdir -p %{buildroot}
cp -a /build/content/. %{buildroot}/
"""

BUILD = """
tag=$1; shift
for locale; do
    mkdir -p /build/content/usr/lib/locale
    localedef --no-archive -i "$locale" -f UTF-8 "/build/content/usr/lib/locale/$locale.utf8"
done
rpmbuild --quiet -bb -D '_topdir /build' -D "dist $tag" -D '_binary_payload w1.gzdio' -D '__spec_install_post %{nil}' \\
    -D '_build_id_links none' -D 'debug_package %{nil}' /build/tests.spec
mkdir /build/made
mv /build/RPMS/*/*.rpm /build/made/
"""

SIGN = """
home=$1 key=$2; shift 2
rpmsign --addsign -D '__gpg /usr/bin/gpg' -D "_gpg_path $home" -D "_gpg_name $key" "$@" >/dev/null
gpgconf --homedir "$home" --kill all
"""

INDEX = """
cd /build/repository
if [ -e /build/comps.xml ]; then createrepo_c --quiet -g /build/comps.xml .; else createrepo_c --quiet .; fi
if [ -e /build/patterns.xml ]; then modifyrepo_c --mdtype patterns /build/patterns.xml repodata >/dev/null; fi
gpg --homedir "$1" --batch --yes --armor --local-user "$2" --detach-sign repodata/repomd.xml
gpgconf --homedir "$1" --kill all
"""


def build_rpms(tools: Root, scratch: Path, packages: Sequence[Package], tag: str) -> Path:
    """A folder of unsigned packages. scratch: a folder for this alone; tag: of the releases, as ".fc42".

    Names are unique: two versions of one are two calls.
    """
    content = scratch / "content"
    content.mkdir(parents=True)
    for package in packages:
        _lay_out(package, content)
    (scratch / "tests.spec").write_text(HEAD + "".join(_spec(package) for package in packages))
    locales = {locale for package in packages for locale in package.locales}
    tools.bound({scratch: "/build"}).sh(BUILD, tag, *sorted(locales))
    return scratch / "made"


def sign_rpms(tools: Root, key: SigningKey, files: Iterable[Path]) -> None:
    """They lie in one folder."""
    files = list(files)
    if not files:
        return
    bound = tools.bound({key.home: "/keys", files[0].parent: "/packages"})
    bound.sh(SIGN, "/keys", key.fingerprint, *(f"/packages/{file.name}" for file in files))


def index_rpms(
    tools: Root, scratch: Path, repository: Path, key: SigningKey, groups: Mapping[str, Sequence[str]]
) -> None:
    """Indexes, groups (id -> packages), and who signed them: repodata/repomd.xml.asc and .key."""
    scratch.mkdir(parents=True, exist_ok=True)
    if groups:
        (scratch / "comps.xml").write_text(_comps(groups))
        (scratch / "patterns.xml").write_text(_patterns(groups))
    bound = tools.bound({scratch: "/build", repository: "/build/repository", key.home: "/keys"})
    bound.sh(INDEX, "/keys", key.fingerprint)
    shutil.copy(key.public, repository / "repodata/repomd.xml.key")


def _lay_out(package: Package, content: Path) -> None:
    for path, text in package.files.items():
        file = content / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if "bin/" in path or "/init.d/" in path else 0o644)


def _spec(package: Package) -> str:
    name = package.name
    lines = [
        f"%package -n {name}",
        f"Summary: {package.summary}",
        f"Version: {package.version}",
        "Release: 1%{?dist}",
        "AutoReqProv: no",
    ]
    lines += [f"Requires: {one}" for one in package.requires]
    lines += [f"Provides: {one}" for one in package.provides]
    lines += [f"Recommends: {one}" for one in package.recommends]
    lines += [f"Conflicts: {one}" for one in package.conflicts]
    lines += [f"%description -n {name}", f"{package.summary}."]
    if package.pre:
        lines += [f"%pre -n {name}", package.pre]
    preset = f"systemctl --no-reload preset {package.unit} || :" if package.unit else ""
    if preset or package.post:
        lines += [f"%post -n {name}", *filter(None, (preset, package.post))]
    lines += [f"%files -n {name}"]
    for path in package.files:
        lines.append(f"%config(noreplace) {path}" if path in package.config else path)
    lines += [f"/usr/lib/locale/{locale}.utf8" for locale in package.locales]
    return "\n".join(lines) + "\n"


def _comps(groups: Mapping[str, Sequence[str]]) -> str:
    """https://rpm-software-management.github.io/createrepo_c takes it as it is; the format is Fedora's comps."""
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<comps>\n'
    for name, members in groups.items():
        title = escape(name.replace("-", " ").title())
        listed = "".join(f'<packagereq type="mandatory">{escape(member)}</packagereq>' for member in members)
        text += f"<group><id>{escape(name)}</id><name>{title}</name><description>{title}</description>"
        text += f"<default>true</default><uservisible>true</uservisible><packagelist>{listed}</packagelist></group>\n"
    return f"{text}</comps>\n"


def names_in(tools: Root, folder: Path) -> list[str]:
    """What rpm says of the files in a folder: name-version-release.arch, sorted."""
    ran = tools.bound({folder: "/packages"}).sh("rpm -qp --nosignature /packages/*.rpm")
    return sorted(ran.stdout.split())


def _patterns(groups: Mapping[str, Sequence[str]]) -> str:
    """Patterns in the form that stands beside packages in an index. Those of packages that provide "pattern()" are
    beyond Debian's libsolv."""
    space = 'xmlns="http://novell.com/package/metadata/suse/pattern" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<patterns count="{len(groups)}" {space}>\n'
    for name, members in groups.items():
        listed = "".join(f'<rpm:entry name="{escape(member)}"/>' for member in members)
        text += f'<pattern><name>{escape(name)}</name><version epoch="0" ver="1" rel="1"/><arch>noarch</arch>'
        text += f"<summary>{escape(name)}</summary><description>{escape(name)}</description><uservisible/>"
        text += f'<category lang="en">Development</category><rpm:requires>{listed}</rpm:requires></pattern>\n'
    return f"{text}</patterns>\n"
