"""The test distributions are what they stand for: their package managers answer as the real ones do, and they boot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distros.inside import Root
from tests.distros.machine import booted
from tests.distros.repositories import repositories, routes
from tests.distros.roots import DISTRIBUTIONS, old_fedora, root_of, tarball_of
from tests.distros.server import Fault, Mirror, dead_url, mirror
from vmgen_build.installers import installer_for
from vmgen_build.systems.parse import parse_system

Ran = subprocess.CompletedProcess[str]

NAMES = tuple(DISTRIBUTIONS)

YUM = """
rm -f /etc/yum.repos.d/*
cat >/etc/yum.repos.d/tests.repo <<EOF
[tests]
name=tests
baseurl=$1
gpgcheck=1
repo_gpgcheck=1
gpgkey=file://$(ls /etc/pki/rpm-gpg/*-x86_64)
skip_if_unavailable=0
EOF
"""
"""The id "main" would be dnf's own section."""

ZYPPER = """
rm -f /etc/zypp/repos.d/*
zypper() { command zypper --non-interactive --quiet "$@"; }
zypper addrepo "$1" tests
zypper --gpg-auto-import-keys refresh
"""

PACMAN = """
echo "Server = $1" >/etc/pacman.d/mirrorlist
sed -i '/^.extra.$/,$d' /etc/pacman.conf
pacman-key --init >/dev/null 2>&1
pacman-key --populate archlinux >/dev/null 2>&1
pacman() { command pacman --noconfirm "$@"; }
pacman -Sy
"""


@pytest.fixture(scope="module")
def served(cache: Path) -> Iterator[Mirror]:
    with mirror(routes(cache, *DISTRIBUTIONS.values(), old_fedora(cache))) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_fault_stays(served: Mirror) -> Iterator[None]:
    yield
    served.forget()


def root(cache: Path, name: str) -> Root:
    return root_of(cache, DISTRIBUTIONS[name])


def ask(cache: Path, served: Mirror, name: str, script: str, url: str = "") -> Ran:
    """Run a script in a fresh copy of the root, which knows the repository main of its mirror, or another one."""
    known = {"fedora": YUM, "opensuse": ZYPPER, "arch": PACMAN}[name]
    return root(cache, name).sh(known + script, url or f"{served.url}/{name}/all/main", check=False)


INSTALLED = {
    "fedora": """
dnf -q -y install greeter @development-tools
rpm -q greeter greeter-common greeter-songs gcc git make
""",
    "opensuse": """
zypper install greeter
zypper install -t pattern devel_basis
rpm -q greeter greeter-common greeter-songs gcc git make
""",
    "arch": """
pacman -S greeter base-devel
pacman -Q greeter greeter-common gcc git make
""",
}


@pytest.mark.parametrize("name", NAMES)
def test_packages_and_groups_are_installed(cache: Path, served: Mirror, name: str) -> None:
    """With what they recommend, but for pacman; a service is not enabled by that."""
    more = 'git --version; greeter x || :; [ "$(systemctl is-enabled greeter || :)" = disabled ]'
    ran = ask(cache, served, name, INSTALLED[name] + more)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith("git 1.0\ngreeter version: greeter/1.0\n")


def test_the_old_fedora_has_yum(cache: Path, served: Mirror) -> None:
    """It has no units: chkconfig says what runs."""
    script = """
yum -q -y install greeter vim-enhanced
yum -q -y groupinstall "Development Tools"
rpm -q greeter vim-enhanced gcc git make
chkconfig --list sshd
! yum -q -y install nope
"""
    ran = root_of(cache, old_fedora(cache)).sh(YUM + script, f"{served.url}/fedora14/all/main", check=False)
    assert ran.returncode == 0, ran.stdout
    assert "sshd\t3:on\n" in ran.stdout
    assert ran.stdout.endswith("Unable to find a match: nope\n")


REFUSED = {
    "fedora": (
        ("nope", 1, "Unable to find a match: nope"),
        ("@nope", 1, "Module or Group 'nope' is not available"),
        ("lacking", 1, "nothing provides nobody-has-this"),
        ("bad-pre", 1, "Error in PREIN scriptlet in rpm package bad-pre"),
        ("unsigned", 1, "Package unsigned-1.0-1.fc42.noarch.rpm is not signed"),
        ("wrongly-signed", 1, "they are not correct for this package"),
        ("left right", 1, "conflicts with"),
    ),
    "opensuse": (
        ("nope", 104, "No provider of 'nope' found"),
        ("-t pattern nope", 104, "No provider of 'nope' found"),
        ("lacking", 4, "nothing provides nobody-has-this"),
        ("bad-pre", 8, "%prein(bad-pre-1.0-1.156.noarch) scriptlet failed, exit status 4"),
        ("left right", 4, "conflicts with"),
    ),
    "arch": (
        ("nope", 1, "target not found: nope"),
        ("lacking", 1, "unable to satisfy dependency 'nobody-has-this'"),
        ("unsigned", 1, "failed retrieving file 'unsigned-1.0-1-any.pkg.tar.zst.sig'"),
        ("wrongly-signed", 1, "required key missing from keyring"),
        ("left right", 1, "unresolvable package conflicts"),
    ),
}
INSTALL = {"fedora": "dnf -q -y install", "opensuse": "zypper install", "arch": "pacman -S"}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(cache: Path, served: Mirror, name: str) -> None:
    words = [f'r=0; {INSTALL[name]} {asked} || r=$?; echo "== $r"\n' for asked, _, _ in REFUSED[name]]
    parts = ask(cache, served, name, "echo ==\n" + "".join(words)).stdout.split("== ")
    kept = parts[-len(words) - 1 :]
    answers = [text.partition("\n")[2] for text in kept[:-1]]
    codes = [int(text.partition("\n")[0]) for text in kept[1:]]
    assert codes == [code for _, code, _ in REFUSED[name]]
    assert [text in got for got, (_, _, text) in zip(answers, REFUSED[name], strict=True)] == [True] * len(words), (
        answers
    )


FAILING = {
    "fedora": ("dnf -q -y install bad-post; rpm -q bad-post", 0, "Error in POSTIN scriptlet in rpm package bad-post"),
    "opensuse": ("r=0; zypper install bad-post || r=$?; rpm -q bad-post; exit $r", 107, "bad-post-1.0-1.156"),
    "arch": ("pacman -S bad-post bad-pre; pacman -Q bad-post bad-pre", 0, "command failed to execute correctly"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_fails_and_is_installed_all_the_same(cache: Path, served: Mirror, name: str) -> None:
    script, code, answer = FAILING[name]
    ran = ask(cache, served, name, script)
    assert ran.returncode == code, ran.stdout
    assert answer in ran.stdout


def test_zypper_takes_packages_unseen_once_the_index_is_signed(cache: Path, served: Mirror) -> None:
    ran = ask(cache, served, "opensuse", "zypper install unsigned wrongly-signed; rpm -q unsigned wrongly-signed")
    assert ran.returncode == 0, ran.stdout


BAD_INDEX = {
    "fedora": ("repodata/repomd.xml.asc", "dnf -y makecache", 1, "Bad GPG signature"),
    "opensuse": ("repodata/repomd.xml.asc", "", 4, "Signature verification failed"),
    "arch": ("core.db.sig", "", 1, "signature"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_signature_of_an_index(cache: Path, served: Mirror, name: str) -> None:
    file, script, code, answer = BAD_INDEX[name]
    other = repositories(cache, DISTRIBUTIONS[name]) / "updates" / file
    served.faults[f"/{name}/all/main/{file}"] = Fault(content=other.read_bytes())
    ran = ask(cache, served, name, script)
    assert ran.returncode == code, ran.stdout
    assert answer in ran.stdout


UNREACHED = {
    "fedora": ("dnf -y makecache", 1, "Curl error (7)"),
    "opensuse": ("", 4, "Valid metadata not found"),
    "arch": ("", 1, "failed retrieving file 'core.db'"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mirror_that_is_not_there(cache: Path, served: Mirror, name: str) -> None:
    script, code, answer = UNREACHED[name]
    ran = ask(cache, served, name, script, url=dead_url())
    assert ran.returncode == code, ran.stdout
    assert answer in ran.stdout


HALF_BROKEN = {
    "fedora": (Fault(cut=200), 1, "Error downloading packages"),
    "opensuse": (Fault(status=404), 8, "git-1.0-1.156.noarch.rpm"),
    "arch": (Fault(cut=200), 1, "failed to commit transaction"),
}
"""zypper waits for two minutes for the rest of a file."""


@pytest.mark.parametrize("name", NAMES)
def test_a_mirror_that_has_lost_a_package(cache: Path, served: Mirror, name: str) -> None:
    served.faults[f"/{name}/all/main/git-1.0-*"], code, answer = HALF_BROKEN[name]
    ran = ask(cache, served, name, f"{INSTALL[name]} git")
    assert ran.returncode == code, ran.stdout
    assert answer in ran.stdout
    assert served.asked(f"/{name}/all/main/git-1.0-*") > 0


UP = {
    "fedora": "firewall-cmd --state; systemctl is-active NetworkManager sshd; nmcli -g DEVICE device",
    "opensuse": "firewall-cmd --state; systemctl is-active NetworkManager; nmcli -g DEVICE device",
    "arch": "systemctl start systemd-networkd systemd-resolved sshd; networkctl --no-pager list; resolvectl --no-pager",
}


@pytest.mark.parametrize("name", NAMES)
def test_it_boots(cache: Path, name: str, tmp_path: Path) -> None:
    with booted(root(cache, name), tmp_path / "machine") as machine:
        assert machine.sh("systemctl is-system-running").stdout == "running\n"
        assert "eth0" in machine.sh(UP[name]).stdout
        system = machine.sh('. /etc/os-release; hostnamectl | grep -F "$PRETTY_NAME"; localectl').stdout
        assert "LANG=C.UTF-8" in system


def test_the_old_fedora_boots(cache: Path, tmp_path: Path) -> None:
    with booted(root_of(cache, old_fedora(cache)), tmp_path / "machine") as machine:
        assert machine.sh("runlevel").stdout == "N 3\n"
        listening = "until ss -Hltnp sport = 22 | grep sshd; do sleep 0.2; done"
        assert "sshd" in machine.sh(f"timeout 30 sh -c '{listening}'").stdout
        assert machine.sh("getconf LONG_BIT").stdout == "32\n"


def test_a_tarball_is_made_once(cache: Path) -> None:
    first, digest = tarball_of(cache, DISTRIBUTIONS["fedora"])
    made = first.stat().st_mtime_ns
    again, same = tarball_of(cache, DISTRIBUTIONS["fedora"])
    assert (again, same, again.stat().st_mtime_ns) == (first, digest, made)


UNNEEDED = """
printf '%s\\n' greeter-common | {{
{wanted}}}
printf '%s\\n' gcc git greeter-common | {{
{remove}}}
printf '%s\\n' /no/such /usr/share/greeter/common | {{
{owners}}}
{query} greeter-common
{cleaned_up}
{query} greeter-common
if {query} greeter; then exit 8; fi
if {query} gcc || {query} git; then exit 9; fi
"""


CLEANED_UP = {
    "fedora": "dnf -q -y remove greeter; dnf -q -y autoremove",
    "opensuse": "zypper remove --clean-deps greeter",
    "arch": "pacman -Rs greeter",
}
"""What is marked as wanted stays, whoever cleans up."""


@pytest.mark.parametrize("name", NAMES)
def test_what_nothing_needs_is_removed_and_files_have_owners(cache: Path, served: Mirror, name: str) -> None:
    """greeter needs greeter-common; gcc and git are needed by nothing."""
    installer = installer_for(parse_system({"fedora": "fedora-42", "opensuse": "opensuse-15.6", "arch": "arch"}[name]))
    lines = UNNEEDED.format(
        remove=installer.remove_unneeded(),
        wanted=installer.mark_wanted(),
        owners=installer.owners(),
        query="pacman -Q" if name == "arch" else "rpm -q",
        cleaned_up=CLEANED_UP[name],
    )
    ran = ask(cache, served, name, f"{INSTALL[name]} greeter gcc git\n{lines}")
    assert ran.returncode == 0, ran.stdout
    assert "\ngreeter-common\n" in ran.stdout
