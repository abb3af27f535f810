"""SPDX 2.3 as JSON, by its library."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from vmgen_build import __version__
from vmgen_build.artifacts.facts import PackageFacts
from vmgen_build.build.sbom.contents import Contents, Download
from vmgen_build.build.sbom.licences import Licence, licence_of, parsed

_DOCUMENT, _ARTIFACT, _SYSTEM = "SPDXRef-DOCUMENT", "SPDXRef-artifact", "SPDXRef-system"


@dataclass(frozen=True, slots=True)
class _Element:
    """A package of SPDX, how another is related to it, and the licences that it names."""

    package: Any
    relations: tuple[tuple[str, str, str], ...]
    licence: Licence | None = None


def spdx_text(contents: Contents) -> str:
    """The same contents give the same text."""
    from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

    text = io.StringIO()
    write_document_to_stream(_document(contents), text, validate=False)
    return text.getvalue().rstrip("\n") + "\n"


def _document(contents: Contents) -> Any:
    from spdx_tools.spdx.model import (
        Actor,
        ActorType,
        CreationInfo,
        Document,
        ExtractedLicensingInfo,
        Relationship,
        RelationshipType,
    )

    name = contents.main.path.name
    about = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id=_DOCUMENT,
        name=name,
        document_namespace=f"https://spdx.org/spdxdocs/{_label(name)}-{contents.serial}",
        creators=[Actor(ActorType.TOOL, f"vmgen-build-{__version__}")],
        created=contents.created.replace(tzinfo=None),
    )
    elements = [_artifact(contents), _system(contents), *_packages(contents), *_downloads(contents)]
    refs = dict(pair for one in elements if one.licence for pair in one.licence.named)
    return Document(
        about,
        packages=[one.package for one in elements],
        relationships=[Relationship(a, RelationshipType[kind], b) for one in elements for a, kind, b in one.relations],
        extracted_licensing_info=[
            ExtractedLicensingInfo(ref, extracted_text=f"The package names it so: {words}", license_name=words)
            for ref, words in sorted(refs.items())
        ],
    )


def _artifact(contents: Contents) -> _Element:
    from spdx_tools.spdx.model import Checksum, ChecksumAlgorithm, PackagePurpose

    main = contents.main
    package = _plain(
        _ARTIFACT,
        contents.plan.name,
        file_name=main.path.name,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, main.sha256)],
        primary_package_purpose=PackagePurpose.OPERATING_SYSTEM if contents.is_machine else PackagePurpose.CONTAINER,
    )
    return _Element(package, ((_DOCUMENT, "DESCRIBES", _ARTIFACT),))


def _system(contents: Contents) -> _Element:
    from spdx_tools.spdx.model import PackagePurpose

    system = contents.plan.system
    purpose = PackagePurpose.OPERATING_SYSTEM
    package = _plain(_SYSTEM, system.distribution, version=system.version or None, primary_package_purpose=purpose)
    return _Element(package, ((_ARTIFACT, "CONTAINS", _SYSTEM),))


def _packages(contents: Contents) -> list[_Element]:
    """Each package, and each source once."""
    sources: dict[str, _Element] = {}
    found = []
    for number, one in enumerate(contents.packages):
        ref = f"SPDXRef-package-{number}-{_label(one.name)}"
        relations = [(_ARTIFACT, "CONTAINS", ref)]
        if one.source:
            purl = contents.source_purl(one).to_string()
            if purl not in sources:
                sources[purl] = _source(one, purl, f"SPDXRef-source-{len(sources)}-{_label(one.source)}")
            relations.append((ref, "GENERATED_FROM", sources[purl].package.spdx_id))
        licence = licence_of(one.licences)
        package = _plain(
            ref,
            one.name,
            version=one.version,
            supplier=_supplier(one),
            license_declared=_expression(licence),
            external_references=_purl(contents.purl(one).to_string()),
        )
        found.append(_Element(package, tuple(relations), licence))
    return [*found, *sources.values()]


def _source(package: PackageFacts, purl: str, ref: str) -> _Element:
    from spdx_tools.spdx.model import PackagePurpose

    made = _plain(
        ref,
        package.source,
        version=package.source_version or None,
        primary_package_purpose=PackagePurpose.SOURCE,
        external_references=_purl(purl),
    )
    return _Element(made, ())


def _downloads(contents: Contents) -> list[_Element]:
    return [_download(contents, one, number) for number, one in enumerate(contents.downloads)]


def _download(contents: Contents, one: Download, number: int) -> _Element:
    from spdx_tools.spdx.model import Checksum, ChecksumAlgorithm

    ref = f"SPDXRef-download-{number}-{_label(one.name)}"
    sums = [Checksum(ChecksumAlgorithm.SHA256, one.sha256)]
    purl = contents.download_purl(one).to_string()
    package = _plain(ref, one.name, checksums=sums, external_references=_purl(purl))
    return _Element(package, ((_ARTIFACT, "CONTAINS", ref),))


def _plain(ref: str, name: str, **more: Any) -> Any:
    """Nothing is said of the files within, nor where it may be fetched: mirrors of an archive are many."""
    from spdx_tools.spdx.model import Package, SpdxNoAssertion

    return Package(ref, name, download_location=SpdxNoAssertion(), files_analyzed=False, **more)


def _supplier(package: PackageFacts) -> Any:
    from spdx_tools.spdx.model import Actor, ActorType, SpdxNoAssertion

    name, mail = parseaddr(package.maintainer)
    if not package.maintainer:
        return SpdxNoAssertion()
    return Actor(ActorType.ORGANIZATION, name or package.maintainer, mail if "@" in mail else None)


def _expression(licence: Licence | None) -> Any:
    from spdx_tools.spdx.model import SpdxNoAssertion

    return parsed(licence) if licence else SpdxNoAssertion()


def _purl(purl: str) -> Sequence[Any]:
    from spdx_tools.spdx.model import ExternalPackageRef, ExternalPackageRefCategory

    return [ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl)]


def _label(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)
