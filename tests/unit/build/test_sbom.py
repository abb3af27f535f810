"""Lists of what an image holds: valid by the validators of their own libraries, and the same for the same image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from vmgen_build.artifacts.facts import PackageFacts, PackageList
from vmgen_build.build.sbom import table
from vmgen_build.build.sbom.contents import Contents, contents_of
from vmgen_build.build.sbom.licences import licence_of
from vmgen_build.build.sbom.table import SBOMS, require_sbom
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.model import Plan, Step, StepFile

DEBIAN = (
    PackageFacts(
        "libstdc++6", "12.2.0-14", "amd64", "gcc-12", "12.2.0-14", "GCC team <gcc@example.org>", ("GPL-3+", "Clever")
    ),
    PackageFacts("vim", "2:9.0.1378-2", "amd64", "vim", "2:9.0.1378-2", "Vim team <vim@example.org>", ("Vim",)),
    PackageFacts("vim-common", "2:9.0.1378-2", "all", "vim", "2:9.0.1378-2"),
    PackageFacts("local", "1", "all"),
)
FEDORA = (
    PackageFacts("bash", "5.2.26-3.fc40", "x86_64", "bash", "5.2.26-3.fc40", "Fedora Project", ("GPL-3.0-or-later",)),
    PackageFacts("vim", "2:9.1-1.fc40", "x86_64", "vim", "9.1-1.fc40", "Fedora Project", ("Vim AND MIT",)),
)
ARCH = (PackageFacts("bash", "5.2.026-2", "x86_64", "bash", "5.2.026-2", "Ana <a@example.org>", ("custom:bash",)),)


def contents(packages: tuple[PackageFacts, ...] = DEBIAN, os: str = "debian-12", backend: str = "lxc") -> Contents:
    archive = StepFile("archive", "a" * 64, urls=("https://ana:geheim@example.org/hello-1.tar.gz",))
    plan = Plan(
        name="lab",
        recipe_path="/somewhere/lab.ini",
        recipe_digest="b" * 64,
        backend=backend,
        os=os,
        arch="amd64",
        epoch=1_700_000_000,
        base=Bootstrapped("mmdebstrap", "debian", "bookworm", "amd64", (), "c" * 64, 1_700_000_000),
        steps=(Step("source-hello", "hello", "#!/bin/sh\n", files=(archive,)),),
        build_recipe={},
    )
    return contents_of(plan, [Written(Path("/out/lab-lxc-amd64.tar.zst"), 8, "d" * 64)], packages)


IMAGES = [
    contents(),
    contents(backend="vmware"),
    contents(FEDORA, "fedora-42"),
    contents(ARCH, "arch"),
    contents((), "debian-12"),
]


def spdx_problems(text: str) -> list[str]:
    document = JsonLikeDictParser().parse(json.loads(text))
    return [message.validation_message for message in validate_full_spdx_document(document)]


@pytest.mark.parametrize("image", IMAGES)
def test_issue_14_both_are_valid_by_their_libraries_and_made_twice_the_same(image: Contents) -> None:
    made = {name: one.text(image) for name, one in SBOMS.items()}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made["cyclonedx"]) is None
    assert spdx_problems(made["spdx"]) == []
    assert made == {name: one.text(replace(image)) for name, one in SBOMS.items()}
    assert not any("geheim" in text for text in made.values())


def test_issue_14_the_validators_do_refuse() -> None:
    broken = SBOMS["cyclonedx"].text(IMAGES[0]).replace('"type": "container"', '"type": "a box"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None
    assert spdx_problems(SBOMS["spdx"].text(IMAGES[0]).replace('"SPDX-2.3"', '"SPDX-9"')) != []


def by_name(image: Contents) -> dict[str, Any]:
    data = json.loads(SBOMS["cyclonedx"].text(image))
    return {one["name"]: one for one in data["components"]}


def test_issue_14_a_package_has_its_purl_licence_and_source() -> None:
    found = by_name(IMAGES[0])
    library = found["libstdc++6"]
    assert library["purl"] == "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12"
    assert library["licenses"] == [{"expression": "GPL-3.0-or-later AND LicenseRef-Clever"}]
    assert library["pedigree"]["ancestors"][0]["purl"].startswith("pkg:deb/debian/gcc-12@12.2.0-14?arch=source")
    assert library["supplier"] == {"contact": [{"email": "gcc@example.org"}], "name": "GCC team"}
    assert "licenses" not in found["local"] and "pedigree" not in found["local"]
    assert found["source-hello"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]


def test_issue_14_other_families_have_purls_of_their_own() -> None:
    assert by_name(IMAGES[2])["vim"]["purl"] == "pkg:rpm/fedora/vim@9.1-1.fc40?arch=x86_64&distro=fedora-42&epoch=2"
    assert by_name(IMAGES[3])["bash"]["purl"].startswith("pkg:alpm/arch/bash@5.2.026-2?arch=x86_64")


def test_issue_14_spdx_relates_packages_to_their_source_once() -> None:
    data = json.loads(SBOMS["spdx"].text(IMAGES[0]))
    ids = {one["SPDXID"]: one["name"] for one in data["packages"]}
    made_of = [
        (ids[one["spdxElementId"]], ids[one["relatedSpdxElement"]])
        for one in data["relationships"]
        if one["relationshipType"] == "GENERATED_FROM"
    ]
    assert sorted(made_of) == [("libstdc++6", "gcc-12"), ("vim", "vim"), ("vim-common", "vim")]
    assert sum(name == "vim" for name in ids.values()) == 2, "the package and its source"
    assert [one["licenseId"] for one in data["hasExtractedLicensingInfos"]] == ["LicenseRef-Clever"]


def test_issue_14_dates_and_numbers_are_of_the_artifact_and_not_of_the_run() -> None:
    data = json.loads(SBOMS["cyclonedx"].text(IMAGES[0]))
    assert data["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    other = replace(IMAGES[0], files=(Written(Path("/out/lab-lxc-amd64.tar.zst"), 8, "e" * 64),))
    assert json.loads(SBOMS["cyclonedx"].text(other))["serialNumber"] != data["serialNumber"]


@pytest.mark.parametrize(
    ("words", "expression"),
    [
        (["GPL-2+"], "GPL-2.0-or-later"),
        (["GPL-2"], "GPL-2.0-only"),
        (["LGPL-2.1+"], "LGPL-2.1-or-later"),
        (["GPLv2+ and MIT"], "GPL-2.0-or-later AND MIT"),
        (["Expat", "BSD-3-clause", "Expat"], "BSD-3-Clause AND MIT"),
        (["GPL-2+ or Artistic-2.0"], "GPL-2.0-or-later OR Artistic-2.0"),
        (["GPL-2 or LGPL-2.1, and Zlib"], "(GPL-2.0-only OR LGPL-2.1-only) AND Zlib"),
        (["GPL-3+ with Autoconf exception"], "GPL-3.0-or-later WITH Autoconf-exception-3.0"),
        (["GPL-2+ with OpenSSL exception"], "LicenseRef-GPL-2-or-later-with-OpenSSL-exception"),
        (["MIT AND (Apache-2.0 OR GPL-2.0-or-later)"], "MIT AND (Apache-2.0 OR GPL-2.0-or-later)"),
        (["GPL-3.0-or-later WITH GCC-exception-3.1"], "GPL-3.0-or-later WITH GCC-exception-3.1"),
        (["public domain, as it says"], "LicenseRef-public-domain-as-it-says"),
        (["((("], "LicenseRef-unnamed"),
    ],
)
def test_issue_14_words_of_debian_and_rpm_become_expressions(words: list[str], expression: str) -> None:
    found = licence_of(words)
    assert found is not None and found.expression == expression


def test_issue_14_no_words_are_no_licence() -> None:
    assert licence_of([]) is None and licence_of([" "]) is None


def test_issue_14_a_list_of_packages_is_read_within_limits() -> None:
    made = PackageList()
    for line in ("vim\t1\tamd64\tsrc\t2\tAna\n".strip(), "\tvim\tVim", "\tvim\tVim", "old\t1\tall", "rubbish", ""):
        made.add(line)
    assert made.facts() == (
        PackageFacts("old", "1", "all"),
        PackageFacts("vim", "1", "amd64", "src", "2", "Ana", ("Vim",)),
    )
    rpm = PackageList()
    rpm.add("bash\t5-1\tx86_64\tbash-5-1.src.rpm\t\t(none)\tGPLv3+")
    assert rpm.facts() == (PackageFacts("bash", "5-1", "x86_64", "bash", "5-1", "", ("GPLv3+",)),)
    for _ in range(70):
        made.add("x" * 1_000_000)
    with pytest.raises(BuildError, match="package-list"):
        made.facts()


def test_issue_14_without_its_library_it_says_so_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    require_sbom(("cyclonedx", "spdx"))
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "spdx_tools" else object())
    require_sbom(("cyclonedx",))
    with pytest.raises(HostError, match=r"\(spdx_tools\): pip install 'vmgen-build\[sbom\]'"):
        require_sbom(("spdx",))
