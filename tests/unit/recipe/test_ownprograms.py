"""[config] catalogue: programs of a recipe's own, and every mistake in them at its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from vmgen_build.catalogue.programs import Program, VendorRepository
from vmgen_build.errors import RecipeError
from vmgen_build.host.bounds import bounded
from vmgen_build.limits import MB, RECIPE, Limit
from vmgen_build.plan.model import Part
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

PASSWORD = "[users]\n[[users]]\n[[[ana]]]\nname = ana\npasswd = correct-horse\n"
RECIPE_TEXT = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n[devel]\ngreeter = 1\n[config]\ncatalogue = {}\n"
GREETER = "[greeter]\naliases = hallo\npackages = hello\ncommands = hello\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(programs: str, more: str = "", named: str = "mine.ini") -> Path:
    Path("mine.ini").write_text(programs)
    Path("r.ini").write_text(RECIPE_TEXT.format(named) + more + PASSWORD)
    return Path("r.ini")


def warnings(programs: str, more: str = "") -> list[str]:
    return [str(warning) for warning in load(written(programs, more)).warnings]


def test_a_program_of_ones_own_is_planned_and_is_in_the_steps_id() -> None:
    def step_id(programs: str) -> str:
        recipe = load(written(programs), strict=True)
        assert recipe.warnings == ()
        (step,) = (s for s in make_plan(recipe, "lxc", Part()).steps if s.name == "packages-devel")
        assert step.packages == ("hello",) and "program-greeter" in {probe.name for probe in step.probes}
        return step.id

    first = step_id(GREETER)
    assert step_id(GREETER) == first
    assert step_id(GREETER + "# a comment\nnotes = says hello\n") == first
    assert step_id(GREETER + "setup = touch /srv/greeted\n") != first


def test_it_has_all_that_one_of_the_tool_has() -> None:
    text = (
        "[greeter]\nsection = services\npackages.debian-11..12 = hello, hello-traditional\npackages = other\n"
        "units = hello.service, hello.socket\nports = 80/tcp, 81/udp\nidle = it waits, and waits\n"
        "debconf = '''hello hello/a string x, y\nhello hello/b boolean false'''\n"
        "repository.debian = https://repo.example.org/deb\nsuite.debian = stable\ncomponents.debian = main extra\n"
        "key = https://repo.example.org/key.asc\nfingerprint = 9DC8 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88\n"
    )
    recipe = load(written(text))
    found = recipe.catalogue.resolve("greeter", None, recipe.hardware.os)
    assert isinstance(found, Program)
    assert (found.category, found.packages) == ("services", ("hello", "hello-traditional"))
    assert (found.units, len(found.ports)) == (("hello.service", "hello.socket"), 2)
    assert found.debconf == ("hello hello/a string x, y", "hello hello/b boolean false")
    assert found.idle == "it waits, and waits"
    assert found.repository == VendorRepository(
        name="greeter",
        url="https://repo.example.org/deb",
        suite="stable",
        components=("main", "extra"),
        key="https://repo.example.org/key.asc",
        fingerprint="9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
    )


def test_several_files_and_a_known_program_changed() -> None:
    Path("other.ini").write_text("[vim]\npackages.debian-12 = vim-tiny\n")
    recipe = load(written(GREETER, "[gui]\nhallo = 1\nvim = 1\n", "mine.ini, other.ini"), strict=True)
    names = [recipe.catalogue.resolve(wish.name, None, recipe.hardware.os) for wish in recipe.wishes]
    assert [p.packages for p in names if isinstance(p, Program)] == [("hello",), ("hello",), ("vim-tiny",)]
    assert load(written(GREETER), strict=True).catalogue.entries["vim"].options.get("packages.debian-12") is None


def test_a_file_beside_the_profile_that_names_it() -> None:
    Path("sub").mkdir()
    Path("sub/mine.ini").write_text(GREETER)
    Path("sub/p.ini").write_text("[config]\ncatalogue = mine.ini\n")
    recipe = Path("r.ini")
    recipe.write_text("[hardware]\nvm_id = lab\nos = debian-12\n[devel]\nhallo = 1\n[config]\nprofiles = sub/p.ini\n")
    assert load(recipe, strict=True).catalogue.is_known("hallo")


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ("[greeter]\npackages = -y\n", "mine.ini:2: [greeter] packages: '-y' is no package's name; write letters"),
        ("[greeter]\npackages =\n", "mine.ini:2: [greeter] packages: is empty; write packages = -"),
        (
            "[greeter]\npackages.debain = hello\n",
            "mine.ini:2: [greeter] packages.debain: 'debain' is no system; write one of debian, ubuntu",
        ),
        (
            "[greeter]\npackages.debian-13..11 = hello\n",
            "mine.ini:2: [greeter] packages.debian-13..11: '13..11' ends before it begins; write 11..13",
        ),
        (f"[greeter]\npackages.\x1b[2J{'x' * 999} = a\n", "…' is no system; write one of debian, ubuntu, fedora"),
        ("[greeter]\naliases.debian = x\n", "mine.ini:2: [greeter] aliases.debian: is for all systems; write aliases"),
        (GREETER + "ports = 80\n", "mine.ini:5: [greeter] ports: '80' is no port; write number/tcp or number/udp"),
        (GREETER + "ports = 70000/tcp\n", "mine.ini:5: [greeter] ports: '70000/tcp' is no port"),
        (GREETER + "units = nginx\n", "mine.ini:5: [greeter] units: 'nginx' is no unit; write its whole name"),
        (GREETER + "section = tools\n", "mine.ini:5: [greeter] section: 'tools' is none of network, devel"),
        (GREETER + "needs = desktp\n", "mine.ini:5: [greeter] needs: there is no program 'desktp'; did you mean 'desk"),
        (
            "[greeter]\nchoices = grete\n",
            "mine.ini:2: [greeter] choices: there is no program 'grete'; did you mean 'gre",
        ),
        (GREETER + "debconf = yes\n", "mine.ini:5: [greeter] debconf: holds a line that is no answer"),
        (GREETER + "checked = soon\n", "mine.ini:5: [greeter] checked: 'soon' is no month; write one such as 2026-11"),
        (
            GREETER + "repository.debian = https://x.org/\n",
            "mine.ini:5: [greeter] repository.debian: has no key; write key.debian = … for what signs it",
        ),
        (
            GREETER + "repository.debian = https://x.org/\nkey = https://x.org/key\n",
            "mine.ini:5: [greeter] repository.debian: has no fingerprint; write fingerprint.debian = …",
        ),
        (
            GREETER + "repository.debian = deb file:/srv/x ./\n",
            "mine.ini:5: [greeter] repository.debian: has no key; write key.debian = … for what signs it",
        ),
        (GREETER + "repository = deb x.org\n", "mine.ini:5: [greeter] repository: is no source line; write deb URL"),
        (GREETER + "repository = eppel\n", "mine.ini:5: [greeter] repository: there is no program 'eppel'; did you"),
        (GREETER + "repository = deb x.org\nkey = x\n", "mine.ini:6: [greeter] key: 'x' is no address; write one such"),
        (
            "[greeter]\nsource = https://x.org/x.tgz\nsource_build = make\n",
            "mine.ini:2: [greeter] source: has no source_sha256; write source_sha256 = … beside it",
        ),
        (
            GREETER + "source_sha256 = 12\n",
            "mine.ini:5: [greeter] source_sha256: is no SHA-256; write its 64 hex digits",
        ),
        (
            GREETER + "source_build = ninja\n",
            "mine.ini:5: [greeter] source_build: 'ninja' is none of autotools, cmake,",
        ),
        (
            GREETER + "source_build = script\n",
            "cargo, make; lines of a script are source_script",
        ),
        (
            GREETER + "source = https://x.org/x.tgz\nsource_sha256 = " + "0" * 64 + "\n",
            "mine.ini:5: [greeter] source: has no source_build; write source_build = … beside it",
        ),
        (
            GREETER + "source_wants = libdac\n",
            "[greeter] source_wants: there is no program 'libdac'; did you mean 'lib",
        ),
        (
            GREETER + "source.debian-12 = https://x.org/x.tgz\nsource_build.debian = make\n",
            "mine.ini:5: [greeter] source.debian-12: has no source_sha256; write source_sha256.debian-12 = … beside it",
        ),
        (GREETER + "source_packages = a;b\n", "mine.ini:5: [greeter] source_packages: 'a;b' is no package's name"),
        (GREETER + "source_needs = opensl\n", "mine.ini:5: [greeter] source_needs: 'opensl' is no tool or library"),
        (
            GREETER + "source = x.tgz\n",
            "mine.ini:5: [greeter] source: 'x.tgz' is no address; write one such as https://repo.example.org/stable",
        ),
        (GREETER + "fingerprint = 12\n", "mine.ini:5: [greeter] fingerprint: is no fingerprint; write its 40 hex"),
        ("[greeter]\nnotes = x\n", "mine.ini:1: [greeter]: names no packages; write packages = NAME"),
        ("[apache2]\npackages = x\n", "mine.ini:1: [apache2]: is another name of 'httpd'; write [httpd] to change it"),
        ("[a b]\npackages = x\n", "mine.ini:1: [a b]: 'a b' is no program's name; write letters, digits"),
        ("[greeter]\naliases = vi\npackages = x\n", "mine.ini:2: [greeter] aliases: 'vi' means 'vim' already"),
        ("[greeter\npackages = x\n", "mine.ini:1: the bracket of a section is never closed; write [greeter]"),
        (GREETER + "commands = x\n", "mine.ini:5: [greeter] commands: stands already at line 4; keep one of them"),
    ],
)
def test_mistakes(programs: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(written(programs))
    assert message in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_program_that_needs_another() -> None:
    programs = GREETER + "needs = editor\n"
    text = "wants 'editor' beside it, which the recipe does not ask for; write editor = 1 in [devel]"
    assert warnings(programs) == [f"r.ini:5: warning: [devel] greeter: {text}"]
    assert warnings(programs, "[network]\nvim = 1\n") == warnings(programs, "packages = vim\n") == []


def test_unknown_options_are_warnings_and_strict_makes_them_errors() -> None:
    programs = GREETER + "unit = x\n[[sub]]\nx = 1\n"
    assert warnings(programs) == [
        "mine.ini:5: warning: [greeter] unit: is not an option of a program and is ignored; did you mean 'units'?",
        "mine.ini:6: warning: [greeter.sub]: is no part of a program and is ignored",
    ]
    (outside,) = warnings("x = 1\n" + GREETER)
    assert outside.startswith("mine.ini:1: warning: x: stands outside any program and is ignored; write the program's")
    with pytest.raises(RecipeError, match="unit: is not an option of a program; did you mean"):
        load(written(programs), strict=True)


@pytest.mark.parametrize(
    "programs",
    [
        f"[greeter]\npackages = x\ndebconf = a {'/' * 1_000_000}\n",
        "[greeter]\npackages = x\n" + "".join(f"option{i} = x\n" for i in range(10_000)),
        "[greeter]\npackages = x\n" + "".join(f"packages.debian-{i} = x\n" for i in range(10_000)),
        "".join(f"[p{i}]\npackages = x{i}\nneeds = q{i}\n" for i in range(3_000)),
        f"[greeter]\npackages = x\naliases = {' '.join(f'a{i}' for i in range(100_000))}\n",
        f"[greeter]\nchoices = {' '.join(f'a{i}' for i in range(100_000))}\n",
    ],
    ids=["slashes", "options", "systems", "programs", "aliases", "choices"],
)
def test_a_huge_file_is_read_in_time(programs: str) -> None:
    with bounded("r.ini", Limit("t", "time", 20, "s"), Limit("m", "memory", 1_000 * MB)), suppress(RecipeError):
        load(written(programs))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no.ini", "r.ini:7: [config] catalogue: there is no file 'no.ini'; name one that ends in .ini"),
        ("mine.txt", "r.ini:7: [config] catalogue: there is no file 'mine.txt'; name one that ends in .ini"),
        ("shadow.ini", "r.ini:7: [config] catalogue: there is no file 'shadow.ini'; name one that ends in .ini"),
        ("empty.ini", "empty.ini: is empty; a program is a section, [name], with packages = …"),
        ("big.ini", "big.ini: is too large to be a file of programs: it is more than the limit 'recipe' allows"),
    ],
)
def test_files_that_are_none(named: str, message: str) -> None:
    Path("mine.txt").write_text(GREETER)
    Path("shadow.ini").symlink_to("/etc/passwd")
    Path("empty.ini").write_text("")
    Path("big.ini").write_text("#" * (RECIPE.amount + 1))
    with pytest.raises(RecipeError) as caught:
        load(written(GREETER, named=named))
    assert message in str(caught.value)


def test_the_digest_of_a_recipe_is_over_its_catalogue_too() -> None:
    plain = load(written(GREETER)).digest
    assert load(written(GREETER + "setup = true\n")).digest != plain
    assert load(written("# other words\n" + GREETER)).digest == plain


SIGNED = GREETER + "key = https://x.org/key.asc\nfingerprint = " + "9DC8" * 10 + "\nrepository = "


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("deb [trusted=yes] https://x.org/ ./", "'trusted=yes' says how apt checks the repository"),
        ("deb [ arch=amd64 Trusted=yes ]https://x.org/ a main", "'Trusted=yes' says how apt checks the repository"),
        ("deb [arch+=amd64 allow-insecure=yes] https://x.org/ a main", "'allow-insecure=yes' says how apt checks"),
        ("deb [allow-weak=yes] https://x.org/ a main", "'allow-weak=yes' says how apt checks"),
        ("deb [allow-downgrade-to-insecure=1] https://x.org/ a main", "'allow-downgrade-to-insecure=1' says how apt"),
        ("deb [signed-by+=/etc/k.gpg] https://x.org/ a main", "'signed-by+=/etc/k.gpg' says how apt checks"),
        ("deb [signed-by-=/etc/k.gpg] https://x.org/ a main", "'signed-by-=/etc/k.gpg' says how apt checks"),
        ("deb [tru%73ted=yes] https://x.org/ a main", "'tru%73ted=yes' is no option of a source line"),
        ('deb [arch="]" trusted=yes] https://x.org/ a main', "is no source line"),
        ("deb [arch=amd64] [trusted=yes] https://x.org/ a main", "is no source line"),
        ("deb https://ana:word@x.org/ a main", "a user or password in the address would be seen"),
        ("deb https://ana:word%40x.org/ a main", "a user or password in the address would be seen"),
        ("https://ana:word@x.org/", "a user or password in the address would be seen"),
    ],
)
def test_a_repository_is_checked_by_its_key_and_holds_no_password(line: str, wrong: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(written(f"{SIGNED}'''{line}'''\n"))
    assert f"mine.ini:7: [greeter] repository: {wrong}" in str(caught.value) and "word@" not in str(caught.value)


@pytest.mark.parametrize(
    "line", ["deb [arch=amd64,i386 lang=none] https://[::1]/x@y ./", "https://x.org/$basearch/a@b"]
)
def test_a_repository_with_options_of_another_kind_is_taken(line: str) -> None:
    assert load(written(f"{SIGNED}'''{line}'''\n"), strict=True).warnings == ()


@pytest.mark.parametrize("option", ["key", "source"])
def test_no_other_address_holds_a_password(option: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(written(GREETER + f"{option} = https://ana:word@x.org/x\n"))
    assert f"mine.ini:5: [greeter] {option}: a user or password in the address" in str(caught.value)
    assert "word@" not in str(caught.value)
