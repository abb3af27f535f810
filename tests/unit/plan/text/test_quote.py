"""What is quoted arrives in a real shell byte for byte, or is refused."""

import shutil
import subprocess
from ipaddress import ip_address, ip_interface
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmgen_build.plan.text.quote import SH, Trusted, sh, shown
from vmgen_build.secret import Secret

SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]

NASTY = "'\"\\`$(){}[]<>|&;!*?~#=%^ \t\n\r-\x01\x7f\x81\x82\x88éß中😀\u202eab01"
sayable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
words = st.lists(st.one_of(sayable, st.text(NASTY)), min_size=1, max_size=12)


def arrive(shell: str, line: str, locale: str) -> list[bytes]:
    """The arguments that the shell makes of a line, each followed by NUL, as the C library's printf sees them."""
    script = f"exec env printf '%s\\0' {line}\n".encode()
    ran = subprocess.run(
        [shell], input=script, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": locale}
    )
    assert ran.stderr == b""
    return ran.stdout.split(b"\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
@settings(max_examples=60, deadline=None)
@example(["-n", "", "a\nb", "$(id)", "`id`", "'", '"', "\\", "\\n", "!!", "{{ x }}", "\r\n", "~root", "a=b", "*"])
@example(["".join(chr(c) for c in range(1, 256))])
@given(values=words)
def test_texts_arrive_byte_for_byte(shell: str, locale: str, values: list[str]) -> None:
    assert arrive(shell, sh(values), locale) == [value.encode() for value in values]


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=30, deadline=None)
@given(value=st.one_of(sayable, st.text(NASTY)))
def test_a_value_is_never_a_command_or_a_second_word(shell: str, value: str) -> None:
    line = f"set -- {sh(value)}; env printf '%s' \"$#\"; x={sh(value)}; env printf '%s' \"$x\"\n"
    ran = subprocess.run([shell], input=line.encode(), capture_output=True, check=True)
    assert ran.stdout == b"1" + value.encode()


@pytest.mark.parametrize("bad", ["\0", "a\0b", "\udcff", "\ud800 x"])
def test_what_no_argument_can_hold_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"holds a NUL character|is not valid Unicode text"):
        sh(bad)
    with pytest.raises(ValueError, match=r"holds a NUL character|is not valid Unicode text"):
        sh(["fine", bad])


@pytest.mark.parametrize("bad", [None, Secret("hunter2"), b"bytes", 1.5, {"a": 1}, [["nested"]], [None], object()])
def test_what_is_no_value_is_refused(bad: object) -> None:
    with pytest.raises(TypeError) as caught:
        sh(bad)
    assert "hunter2" not in str(caught.value)


def test_other_values() -> None:
    assert sh(["a b", 7, True, PurePosixPath("/x y")]) == "'a b' 7 1 '/x y'"
    assert sh(()) == ""
    assert sh(ip_address("::1")) == "::1"
    assert sh(ip_interface("10.0.0.1/8")) == "10.0.0.1/8"
    assert SH.quote(Trusted("a b; c")) == "a b; c"
    assert sh(Trusted("a b") + " c") == "'a b c'"


def test_a_message_stays_short_and_printable() -> None:
    assert shown("é\n" * 100) == ascii("é\n" * 30 + "...")
