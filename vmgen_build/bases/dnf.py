"""What guests get in a build whose packages come by dnf or yum. Formats: dnf.conf(5), yum.conf(5)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.rpm.bootstrap import bootstrap
from vmgen_build.bases.rpm.supply import RpmSupply, neutral
from vmgen_build.bases.supply import Making
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.installers.dnf import REPOSITORIES, SETTINGS
from vmgen_build.installers.rpm import MOVED, build_repositories
from vmgen_build.plan.bases import Bootstrapped

_UPDATE = """\
#!/bin/sh
set -eu
mkdir -p {downloads}/cache {downloads}/packages
# shellcheck source=/dev/null
[ ! -e {step}/proxy.sh ] || . {step}/proxy.sh
code=0
{program} -y -q -c {step}/{settings} makecache || code=$?
for folder in {downloads}/cache/*/; do
    [ -d "${{folder}}repodata" ] || [ -e "${{folder}}repomd.xml" ] || continue
    rmdir "${{folder}}packages" 2>/dev/null || :
    [ -e "${{folder}}packages" ] || ln -s ../../packages "${{folder}}packages"
    [ ! -d "${{folder}}pubring" ] || gpgconf --homedir "${{folder}}pubring" --kill all || :
done
exit "$code"
"""


class DnfSupply(RpmSupply):
    """Metadata and packages lie in one folder for each repository, in which the packages are a link to the folder that
    all share: a package stays where its index goes."""

    makers: ClassVar[Mapping[str, Requirement]] = {"dnf": needed("dnf", "makes a base of Fedora or a relative")}
    neutral: ClassVar[str] = neutral(REPOSITORIES)

    def environment(self, step_folder: str) -> Mapping[str, str]:
        return {}

    def settings(self, step_folder: str, downloads: str) -> Mapping[str, bytes]:
        files = {SETTINGS: self._conf(step_folder, downloads).encode(), **self.proxy_lines()}
        if self.addresses:
            files["vmgen.repo"] = build_repositories(self.request.system, self.request.mirror).encode()
        return files | ({"ca-certificates.crt": self.certificates} if self.certificates else {})

    def _conf(self, step_folder: str, downloads: str) -> str:
        folders = [step_folder if self.addresses else MOVED, REPOSITORIES]
        lines = [
            "[main]",
            f"reposdir={','.join(folders)}",
            f"cachedir={downloads}/cache",
            "keepcache=1",
            "metadata_expire=never",
            "skip_if_unavailable=0",
            "gpgcheck=1",
            "localpkg_gpgcheck=0",
            "timeout=30",
            "retries=3",
            "obsoletes=1",
            "installonly_limit=0",
            "clean_requirements_on_remove=1",
        ]
        if self.certificates:
            lines.append(f"sslcacert={step_folder}/ca-certificates.crt")
        return "".join(f"{line}\n" for line in lines)

    def fetch_indexes(self, downloads: str) -> str:
        step = self.request.system.family.step_folder
        return _UPDATE.format(
            downloads=shlex.quote(downloads), step=step, settings=SETTINGS, program=self.request.system.installer
        )

    def bootstrap(self, base: Bootstrapped, making: Making) -> None:
        """dnf(8), --installroot: what it keeps lies inside of the root."""
        system = self.request.system
        release = system.version.partition(".")[0]

        def command(repos: Path) -> list[str | Path]:
            head: list[str | Path] = ["dnf", "-y", "-q", "-c", repos / SETTINGS, f"--installroot={making.root}"]
            own = [f"--setopt=reposdir={repos}", f"--releasever={release}", f"--forcearch={system.own_arch}"]
            return [*head, *own, "install", "--", *base.packages]

        conf = "[main]\ninstall_weak_deps=0\nskip_if_unavailable=0\n"
        bootstrap(base, making, system, self.request.mirror, command, {SETTINGS: conf})


SUPPLY = DnfSupply
