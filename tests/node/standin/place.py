"""Where a node's things lie, its containers' configuration files, and its locks."""

from __future__ import annotations

import os

from standin.errors import BAD_VALUE, LOCKED, NO_CONFIG, NO_NODE, Refused

Values = dict[str, str]


def read_values(path: str) -> Values:
    """KEY="value" lines, as a shell would read them, without expansion. Raises FileNotFoundError."""
    values = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                values[key.strip()] = value.strip().strip('"')
    return values


class Place:
    """A node's folder: etc/vz, and what its vz.conf names."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.etc = f"{folder}/etc/vz"
        try:
            self.settings = read_values(f"{self.etc}/vz.conf")
        except FileNotFoundError:
            raise Refused(NO_NODE, f"Global configuration file not found: {self.etc}/vz.conf") from None
        self.conf = f"{self.etc}/conf"
        self.names = f"{self.etc}/names"
        self.locks = self.settings["LOCKDIR"]
        self.templates = f"{self.settings['TEMPLATE']}/cache"
        self.state = f"{folder}/run"
        """What a reboot wipes."""

    @property
    def upstream(self) -> bool:
        """Whether the node's kernel is one of Linux's own, on which vzctl does less."""
        return self.settings.get("STANDIN_KERNEL") == "upstream"

    @property
    def mark(self) -> str:
        """Of this node among all on the machine, in names of devices, cgroups and rules: 4 hexadecimal digits."""
        import zlib

        return f"{zlib.crc32(os.path.realpath(self.folder).encode()) & 0xFFFF:04x}"

    def path_of(self, ctid: int, suffix: str = "conf") -> str:
        return f"{self.conf}/{ctid}.{suffix}"

    def known(self, ctid: int) -> bool:
        return os.path.exists(self.path_of(ctid))

    def containers(self) -> list[int]:
        stems = (name[: -len(".conf")] for name in os.listdir(self.conf) if name.endswith(".conf"))
        return sorted(int(stem) for stem in stems if stem.isdigit() and int(stem) > 0)

    def values(self, ctid: int) -> Values:
        """Those of the container over those of the node."""
        try:
            return self.settings | read_values(self.path_of(ctid))
        except FileNotFoundError:
            raise Refused(NO_CONFIG, "Container config file does not exist") from None

    def root(self, ctid: int, values: Values) -> str:
        return values["VE_ROOT"].replace("$VEID", str(ctid))

    def private(self, ctid: int, values: Values) -> str:
        return values["VE_PRIVATE"].replace("$VEID", str(ctid))

    def save(self, ctid: int, changes: Values) -> None:
        """Replace or append the lines of these keys; the file is made anew beside its goal."""
        path = self.path_of(ctid)
        lines, left = [], dict(changes)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    key = line.partition("=")[0].strip()
                    lines.append(f'{key}="{left.pop(key)}"\n' if key in left else line)
        lines += [f'{key}="{value}"\n' for key, value in left.items()]
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.rename(f"{path}.tmp", path)

    def number(self, text: str) -> int:
        """The CTID that the text is, or that has it as its name. Raises Refused."""
        if text.isdigit() and 0 < int(text) < 2**31:
            return int(text)
        try:
            return int(os.path.basename(os.readlink(f"{self.names}/{text}")).partition(".")[0])
        except (OSError, ValueError):
            raise Refused(BAD_VALUE, f"Bad CT ID {text}") from None


class Lock:
    """LOCKDIR/CTID.lck: the holder's process id, then what it does. One whose holder is dead is taken over."""

    def __init__(self, place: Place, ctid: int, doing: str) -> None:
        self._path = f"{place.locks}/{ctid}.lck"
        self._doing = doing

    def __enter__(self) -> Lock:
        """Raises Refused where another holds it."""
        own = f"{self._path}.{os.getpid()}"
        with open(own, "w") as file:
            file.write(f"{os.getpid()}\n{self._doing}\n")
        try:
            while True:
                try:
                    os.link(own, self._path)
                    return self
                except FileExistsError:
                    self._drop_dead()
        finally:
            os.unlink(own)

    def __exit__(self, *_: object) -> None:
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _drop_dead(self) -> None:
        try:
            with open(self._path) as file:
                holder = file.readline().strip()
        except FileNotFoundError:
            return
        if holder.isdigit() and os.path.exists(f"/proc/{holder}"):
            raise Refused(LOCKED, f"Locked by: pid {holder}, cmdline {_command_line(holder)}\nContainer already locked")
        os.unlink(self._path)


def _command_line(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
