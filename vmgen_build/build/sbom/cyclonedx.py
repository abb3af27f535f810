"""CycloneDX 1.6 as JSON, by its library."""

from __future__ import annotations

from email.utils import parseaddr
from typing import TYPE_CHECKING

from vmgen_build import __version__
from vmgen_build.artifacts.facts import PackageFacts
from vmgen_build.build.sbom.contents import Contents, Download
from vmgen_build.build.sbom.licences import licence_of

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component


def cyclonedx_text(contents: Contents) -> str:
    """The same contents give the same text."""
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(_bom(contents)).output_as_string(indent=2) + "\n"


def _bom(contents: Contents) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.model.tool import ToolRepository

    plan = contents.plan
    tool = Component(name="vmgen-build", version=__version__, type=ComponentType.APPLICATION)
    whole = _artifact(contents)
    system = Component(
        name=plan.system.distribution,
        version=plan.system.version or None,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"system:{plan.os}",
    )
    parts = [system, *(_package(contents, one) for one in contents.packages)]
    parts += [_download(contents, one) for one in contents.downloads]
    depends = [Dependency(one.bom_ref) for one in parts]
    return Bom(
        components=parts,
        serial_number=contents.serial,
        metadata=BomMetaData(tools=ToolRepository(components=[tool]), component=whole, timestamp=contents.created),
        dependencies=[Dependency(whole.bom_ref, dependencies=depends), *depends],
    )


def _artifact(contents: Contents) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    main = contents.main
    return Component(
        name=contents.plan.name,
        version=main.sha256[:12],
        type=ComponentType.OPERATING_SYSTEM if contents.is_machine else ComponentType.CONTAINER,
        bom_ref=main.path.name,
        description=f"{main.path.name}, of {contents.plan.os} for {contents.plan.backend}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=main.sha256)],
    )


def _package(contents: Contents, package: PackageFacts) -> Component:
    from cyclonedx.model.component import Component, Pedigree
    from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
    from cyclonedx.model.license import LicenseExpression

    purl, licence = contents.purl(package), licence_of(package.licences)
    name, mail = parseaddr(package.maintainer)
    contact = [OrganizationalContact(email=mail)] if "@" in mail else []
    source = None
    if package.source:
        origin = contents.source_purl(package)
        version = package.source_version or None
        source = Pedigree(ancestors=[Component(name=package.source, version=version, purl=origin)])
    return Component(
        name=package.name,
        version=package.version,
        bom_ref=purl.to_string(),
        purl=purl,
        licenses=[LicenseExpression(licence.expression)] if licence else None,
        supplier=OrganizationalEntity(name=name or package.maintainer, contacts=contact)
        if package.maintainer
        else None,
        pedigree=source,
    )


def _download(contents: Contents, download: Download) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    purl = contents.download_purl(download)
    return Component(
        name=download.name,
        type=ComponentType.APPLICATION,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=download.sha256)],
    )
