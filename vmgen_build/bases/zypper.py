"""What guests get in a build whose packages come by zypper. Formats: zypp.conf, zypper(8)."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.rpm.bootstrap import bootstrap
from vmgen_build.bases.rpm.supply import RpmSupply, neutral
from vmgen_build.bases.supply import Making
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.installers.rpm import build_repositories
from vmgen_build.installers.zypper import BUILD_REPOSITORIES, REPOSITORIES, SETTINGS, running
from vmgen_build.plan.bases import Bootstrapped

_UPDATE = """\
#!/bin/sh
set -eu
mkdir -p {downloads}/cache {downloads}/packages
{running}
run_zypper refresh
"""


class ZypperSupply(RpmSupply):
    makers: ClassVar[Mapping[str, Requirement]] = {"zypper": needed("zypper", "makes a base of openSUSE")}
    neutral: ClassVar[str] = neutral(REPOSITORIES)

    def environment(self, step_folder: str) -> Mapping[str, str]:
        return {"ZYPP_CONF": f"{step_folder}/{SETTINGS}"}

    def settings(self, step_folder: str, downloads: str) -> Mapping[str, bytes]:
        """A repository of the build is refreshed once, for all steps of one state of the archive."""
        conf = (
            f"[main]\ncachedir = {downloads}/cache\npackagesdir = {downloads}/packages\nrepo.refresh.delay = 100000\n"
        )
        files = {SETTINGS: conf.encode(), **self.proxy_lines()}
        more = ("type=rpm-md", "autorefresh=0", "keeppackages=1")
        own = build_repositories(self.request.system, self.request.mirror, more)
        return files | ({BUILD_REPOSITORIES: own.encode()} if own else {})

    def fetch_indexes(self, downloads: str) -> str:
        return _UPDATE.format(downloads=shlex.quote(downloads), running=running())

    def bootstrap(self, base: Bootstrapped, making: Making) -> None:
        """zypper(8), --root and the options of its folders."""
        folders = {name: making.scratch / name for name in ("raw-cache", "solv-cache", "pkg-cache")}

        def command(repos: Path) -> list[str | Path]:
            options = [f"--{name}-dir={path}" for name, path in folders.items()]
            head = ["zypper", "--non-interactive", f"--root={making.root}"]
            install = ["install", "--no-recommends", "--", *base.packages]
            return [*head, f"--reposd-dir={repos}", *options, *install]

        bootstrap(base, making, self.request.system, self.request.mirror, command)
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


SUPPLY = ZypperSupply
