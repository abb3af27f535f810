"""Issue 8, item 3: what is read of a disk image's root is the image's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.artifacts.disk.volumes import Mount
from vmgen_build.bases.diskimage import _mounts

TABLE = "UUID=1 / ext4\n# UUID=2 /x ext4\nUUID=3 /home ext4\n/dev/sdb /y ext4\n"


@pytest.mark.parametrize("link", ["etc", "etc/fstab"])
def test_issue_8_3_an_fstab_of_the_host_is_not_taken_for_the_image_s(tmp_path: Path, link: str) -> None:
    for folder in ("outside/etc", "root/etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outside/etc/fstab").write_text(TABLE)
    if link == "etc":
        (tmp_path / "root/etc").rmdir()
    (tmp_path / "root" / link).symlink_to(tmp_path / "outside" / link)
    assert _mounts(tmp_path / "root") == []


def test_issue_8_3_an_fstab_may_be_a_link_within_the_image(tmp_path: Path) -> None:
    (tmp_path / "root/usr/etc").mkdir(parents=True)
    (tmp_path / "root/etc").symlink_to("/usr/etc")
    (tmp_path / "root/usr/etc/fstab").write_text(TABLE)
    assert _mounts(tmp_path / "root") == [Mount("UUID=3", "/home", False)]
