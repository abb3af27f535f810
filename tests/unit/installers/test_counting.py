"""Packages counted in what package managers print."""

from __future__ import annotations

import pytest

from vmgen_build.installers.counting import PackageCount

APT = """\
Reading package lists...
The following NEW packages will be installed:
  libgpm2 vim
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Need to get 0 B/1 MB of archives.
Selecting previously unselected package libgpm2:amd64.
Preparing to unpack .../libgpm2_1.20.7-10+b1_amd64.deb ...
Unpacking libgpm2:amd64 (1.20.7-10+b1) ...
Selecting previously unselected package vim.
Unpacking vim (2:9.0.1378-2+deb12u2) ...
Setting up libgpm2:amd64 (1.20.7-10+b1) ...
Setting up vim (2:9.0.1378-2+deb12u2) ...
update-alternatives: using /usr/bin/vim.basic to provide /usr/bin/vi (vi) in auto mode
Processing triggers for libc-bin (2.36-9+deb12u9) ...
"""

DNF4 = """\
Running transaction
  Preparing        :                                                        1/1
  Installing       : gpm-libs-1.20.7-46.fc41.x86_64                         1/2
  Running scriptlet: gpm-libs-1.20.7-46.fc41.x86_64                         1/2
  Installing       : vim-enhanced-2:9.1.825-1.fc41.x86_64                   2/2
  Verifying        : gpm-libs-1.20.7-46.fc41.x86_64                         1/2
"""

DNF5 = """\
[1/4] Verify package files              100% | 500.0   B/s |   2.0   B |  00m00s
[2/4] Prepare transaction               100% |  14.0   B/s |   2.0   B |  00m00s
[3/4] Installing gpm-libs-0:1.20.7-46.f 100% |   1.0 MiB/s |  29.0 KiB |  00m00s
[4/4] Installing vim-enhanced-2:9.1.825 100% |  10.0 MiB/s |   4.0 MiB |  00m00s
"""

ZYPPER = """\
Retrieving: libgpm2-1.20.7-1.x86_64 (openSUSE-Leap-15.6-1) (1/2),  28.1 KiB
(1/2) Installing: libgpm2-1.20.7-1.x86_64 [..done]
(2/2) Installing: vim-9.0.1443-1.x86_64 [..done]
"""

PACMAN = """\
( 1/12) checking keys in keyring
( 1/ 2) installing gpm
( 2/ 2) installing vim
"""


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (APT, [(0, 2), (1, 2), (2, 2)]),
        (DNF4, [(1, 2), (2, 2)]),
        (DNF5, [(3, 4), (4, 4)]),
        (ZYPPER, [(1, 2), (2, 2)]),
        (PACMAN, [(1, 2), (2, 2)]),
        ("[3/4] of all tests pass\nUnpacking x (1) ...\n", []),
    ],
)
def test_what_each_prints(text: str, seen: list[tuple[int, int]]) -> None:
    count = PackageCount()
    assert [(count.done, count.total) for line in text.splitlines() if count.line(line)] == seen


def test_a_second_run_begins_anew() -> None:
    count = PackageCount()
    for line in (APT + APT).splitlines()[: len(APT.splitlines()) + 4]:
        count.line(line)
    assert (count.done, count.total) == (0, 2)
