"""Which Windows a medium installs: media with UDF of genisoimage's, one made by hand, damaged ones, and none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgen_build.artifacts.media import WindowsImage, windows_images
from vmgen_build.artifacts.media.udf import Udf
from vmgen_build.host.bounds import bounded
from vmgen_build.limits import CHECK_MEMORY, Limit

pytestmark = pytest.mark.skipif(not shutil.which("genisoimage"), reason="needs genisoimage")

IMAGE = """<IMAGE INDEX="{number}"><NAME>{name}</NAME><WINDOWS><ARCH>{arch}</ARCH><VERSION><MAJOR>{major}</MAJOR>\
<MINOR>{minor}</MINOR><BUILD>19041</BUILD></VERSION></WINDOWS></IMAGE>"""

TWO = (
    WindowsImage(1, "Windows 10 Home", "amd64", (10, 0)),
    WindowsImage(6, "Windows 10 Pro & more", "amd64", (10, 0)),
)


def wim(*images: WindowsImage, before: int = 5000) -> bytes:
    """Its header, something, and its text behind that."""
    known = {"i386": "0", "amd64": "9"}
    rows = [
        IMAGE.format(
            number=one.number,
            name=one.name.replace("&", "&amp;"),
            arch=known[one.arch],
            major=(one.nt or (0, 0))[0],
            minor=(one.nt or (0, 0))[1],
        )
        for one in images
    ]
    text = b"\xff\xfe" + f"<WIM><TOTALBYTES>1</TOTALBYTES>{''.join(rows)}</WIM>".encode("utf-16-le")
    place = 208 + before
    head = b"MSWIM\0\0\0" + bytes(64) + len(text).to_bytes(7, "little") + b"\2" + place.to_bytes(8, "little")
    return head.ljust(208, b"\0") + bytes(before) + text


def medium(folder: Path, *words: str, name: str = "sources/install.wim", content: bytes = b"") -> Path:
    tree = folder / "tree"
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_bytes(content or wim(*TWO))
    for number in range(80):
        (tree / "sources" / f"another file {number}.txt").write_bytes(bytes(number))
    goal = folder / "medium.iso"
    command = ["genisoimage", "-quiet", "-J", *words, "-o", str(goal), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    return goal


@pytest.mark.parametrize("name", ["sources/install.wim", "SOURCES/Install.ESD"])
def test_the_images_of_a_medium(tmp_path: Path, name: str) -> None:
    (tmp_path / "tree" / name).parent.mkdir(parents=True)
    (tmp_path / "tree/sources").mkdir(exist_ok=True)
    assert windows_images(medium(tmp_path, "-udf", "-allow-lowercase", name=name)) == TWO


def test_a_text_far_behind(tmp_path: Path) -> None:
    assert windows_images(medium(tmp_path, "-udf", content=wim(*TWO, before=3 << 20))) == TWO


@pytest.mark.parametrize(
    "content", [b"MSWIM", b"something else", wim(*TWO)[:-50], b"MSWIM\0\0\0" + b"\xff" * 300, b"\0" * 5000]
)
def test_what_is_no_wim_says_nothing(tmp_path: Path, content: bytes) -> None:
    assert windows_images(medium(tmp_path, "-udf", content=content)) in (None, ())


def test_a_text_of_mere_beginnings(tmp_path: Path) -> None:
    """It is read once, and not once for each of them."""
    text = b"\xff\xfe" + (
        '<IMAGE INDEX="1">' * 400_000 + IMAGE.format(number=2, name="x", arch=9, major=10, minor=0)
    ).encode("utf-16-le")
    head = b"MSWIM\0\0\0" + bytes(64) + len(text).to_bytes(7, "little") + b"\2" + (208).to_bytes(8, "little")
    path = medium(tmp_path, "-udf", content=head.ljust(208, b"\0") + text)
    with bounded("a medium", Limit("medium-time", "time", 5, "s"), CHECK_MEMORY):
        assert windows_images(path) == (WindowsImage(2, "x", "amd64", (10, 0)),)


def test_without_udf_or_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    assert windows_images(medium(tmp_path)) is None
    (tmp_path / "tree/sources/install.wim").unlink()
    assert windows_images(medium(tmp_path, "-udf", name="sources/other.wim")) is None
    (tmp_path / "empty.iso").write_bytes(b"")
    assert windows_images(tmp_path / "empty.iso") is None


def test_an_image_of_32_bits(tmp_path: Path) -> None:
    one = WindowsImage(1, "Windows 7 PROFESSIONAL", "i386", (6, 1))
    assert windows_images(medium(tmp_path, "-udf", content=wim(one))) == (one,)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return medium(tmp_path_factory.mktemp("whole"), "-udf").read_bytes()


@given(places=st.lists(st.tuples(st.integers(256 * 2048, 300 * 2048), st.integers(0, 255)), min_size=1, max_size=40))
def test_a_damaged_medium_ends(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]]
) -> None:
    """With images, or without any; never with another error."""
    data = bytearray(whole)
    for place, value in places:
        if place < len(data):
            data[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.iso"
    path.write_bytes(data)
    windows_images(path)


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    path = medium(tmp_path, "-udf")
    with path.open("rb") as file:
        udf = Udf(file)
        for number in (0, 1, 79):
            found = udf.find(f"Sources/Another File {number}.txt")
            assert found is not None and udf.read(found, 0, 1000) == bytes(number)
        whole = udf.find("sources/install.wim")
        assert whole is not None and udf.read(whole, 0, 1 << 20) == wim(*TWO)
        assert udf.read(whole, 100, 50) == wim(*TWO)[100:150]
        assert udf.find("sources/install.wim/more") is None and udf.find("nothing") is None
