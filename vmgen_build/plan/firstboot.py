"""What an image leaves to the first boot: units of systemd that make anew what no two machines may share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FirstBoot:
    """What no two machines may share, or no two builds: it goes from the image, and the first boot makes it again.

    name: of the unit, after "vmgen-". maker: the program that the unit runs, with its arguments. paths: what it makes;
    the unit runs where the first of them is missing. before: units that need it; systemd.unit(5). waits: whether the
    boot ends only when all is made.
    """

    name: str
    description: str
    maker: str
    paths: tuple[str, ...]
    before: str = "network.target"
    after: str = ""
    waits: bool = True

    @property
    def unit(self) -> str:
        return f"vmgen-{self.name}.service"

    @property
    def program(self) -> str:
        return self.maker.partition(" ")[0]

    def text(self) -> str:
        kind = "oneshot" if self.waits else "exec"
        glob = "Glob" if "*" in self.paths[0] else ""
        return (
            "[Unit]\n"
            f"Description=Make {self.description} of this machine\n"
            f"ConditionPathExists{glob}=!{self.paths[0]}\n"
            f"Before={self.before}\n"
            + (f"After={self.after}\n" if self.after else "")
            + f"\n[Service]\nType={kind}\nExecStart={self.maker}\n\n[Install]\nWantedBy=multi-user.target\n"
        )
