"""A Windows to run batch in: Wine's command parser, registry and files, and stub programs in place of what sets up a
real Windows. What a stub is started with is written down: the arguments that a real parser delivered."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

HERE = Path(__file__).resolve().parent

STEP_FOLDER = r"C:\Windows\Temp\vmgen"
NONCE = "0123456789abcdef"

STUBS = (
    *("choco", "cscript", "diskpart", "dism", "fsutil", "icacls", "msiexec", "net", "netsh", "powercfg", "powershell"),
    *("route", "sc", "schtasks", "secedit", "shutdown", "sysprep", "tzutil", "w32tm", "winget", "wmic"),
)
"""Programs that Wine lacks, or has as stubs of its own that end with 0 whatever they are asked."""

ELSEWHERE = {
    "powershell": r"C:\Windows\System32\WindowsPowerShell\v1.0",
    "sysprep": r"C:\Windows\System32\Sysprep",
    "choco": r"C:\ProgramData\chocolatey\bin",
}
"""Where scripts name these by their path."""

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu/wine")

OWN = LIBRARIES / "x86_64-windows"
"""Programs of Wine's, as each prefix has them."""

_NOT_STARTED = re.compile(r"Can't recognize '\\?\"?([A-Za-z0-9_-]+)(?:\.exe)?\b")

TIMEOUT = 120
"""Seconds that a step may take."""


@dataclass(frozen=True)
class Rule:
    """What a stub does when its command line holds `part`: the first that fits counts.

    path: of a file that `text` is added to, without tabs.
    """

    program: str
    part: str = ""
    code: int = 0
    output: str = ""
    path: str = ""
    text: str = ""

    @property
    def line(self) -> str:
        fields = (self.program, _escaped(self.part), str(self.code), _escaped(self.output), self.path)
        return "\t".join((*fields, _escaped(self.text))) + "\n"


@dataclass(frozen=True)
class Call:
    """One start of a stub. argv: without the program. line: the whole command line. stdin: None where none is a file or
    a pipe. variable: what VMGEN_VALUE held."""

    program: str
    argv: tuple[str, ...]
    line: str
    stdin: str | None = None
    variable: str | None = None


@dataclass(frozen=True)
class Ran:
    """How a step ended. stamp: what it wrote to `done`, without the line end; None for no stamp."""

    code: int
    output: str
    stamp: str | None
    calls: tuple[Call, ...]

    @property
    def succeeded(self) -> bool:
        return self.stamp == f"{NONCE} done"


def is_wines_fault(printed: str) -> bool:
    """Whether Wine's cmd did not start a program that is there: once in some thousand starts on a busy machine its
    CreateProcess fails, and cmd says then that it does not know the name (WCMD_run_program in programs/cmd/wcmdmain.c).
    A name that is of no program is ours to mend."""
    return any(name in STUBS or (OWN / f"{name}.exe").exists() for name in _NOT_STARTED.findall(printed))


class Windows:
    """A Wine prefix with the stub programs ahead of all others. folder: of the session, with prefix/ and bin/ in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = folder / "prefix"
        self.drive = self.prefix / "drive_c"

    @property
    def step(self) -> Path:
        """The folder of the step that runs or ran last."""
        return self.path(STEP_FOLDER)

    def path(self, windows_path: str) -> Path:
        """Where a file of drive C: lies; names of Windows are of any case."""
        found = self.drive
        for part in PureWindowsPath(windows_path).parts[1:]:
            there = [entry.name for entry in found.iterdir()] if found.is_dir() else []
            found /= next((name for name in there if name.lower() == part.lower()), part)
        return found

    def run_step(
        self,
        script: bytes,
        files: Mapping[str, bytes] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        rules: Iterable[Rule] = (),
        stubs: Iterable[str] = (),
    ) -> Ran:
        """Run a step's batch file as the tool will, in a folder that holds nothing else. stubs: more programs that are
        stubs this time, such as reg."""
        shutil.rmtree(self.step, ignore_errors=True)
        self.step.mkdir(parents=True)
        (self.step / "script.bat").write_bytes(script)
        for kind, contents in {"files": files or {}, "secrets": secrets or {}}.items():
            for name, content in contents.items():
                (self.step / kind / name).parent.mkdir(parents=True, exist_ok=True)
                (self.step / kind / name).write_bytes(content)
        inner = rf'""{STEP_FOLDER}\script.bat" {NONCE} >"{STEP_FOLDER}\out.txt" 2>&1 <nul"'
        code, calls = self.run(rf"C:\Windows\System32\cmd.exe /d /s /c {inner}", rules, stubs)
        stamp = self.step / "done"
        return Ran(
            code,
            (self.step / "out.txt").read_bytes().decode("cp437").replace("\r\n", "\n"),
            stamp.read_bytes().decode("cp437").removesuffix("\r\n") if stamp.exists() else None,
            calls,
        )

    def run(self, line: str, rules: Iterable[Rule] = (), stubs: Iterable[str] = ()) -> tuple[int, tuple[Call, ...]]:
        """Start a program by its command line; its code, and the starts of stubs."""
        log = self.folder / "calls.jsonl"
        log.unlink(missing_ok=True)
        (self.folder / "rules").write_text("".join(rule.line for rule in rules))
        return self.start(line, stubs), tuple(_calls(log))

    @contextmanager
    def drive_letter(self, letter: str, folder: Path) -> Iterator[None]:
        """A drive, which holds what lies in the folder."""
        link = self.prefix / "dosdevices" / f"{letter.lower()}:"
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        try:
            yield
        finally:
            link.unlink()

    def start(self, line: str, stubs: Iterable[str] = ()) -> int:
        """Start a program by its command line, and give its exit code."""
        (self.folder / "line").write_text(line)
        code = self.folder / "code"
        code.unlink(missing_ok=True)
        more = self.folder / "more"
        shutil.rmtree(more, ignore_errors=True)
        more.mkdir()
        for name in stubs:
            shutil.copy(self.folder / "stub.exe", more / f"{name}.exe")
        environment = self.environment() | {"WINEPATH": f"{_seen(more)};{_seen(self.folder / 'bin')}"}
        self._wine(str(self.folder / "start.exe"), environment=environment)
        return int(code.read_text())

    def environment(self) -> dict[str, str]:
        names = {
            "VMGEN_STUB_LOG": "calls.jsonl",
            "VMGEN_STUB_RULES": "rules",
            "VMGEN_START": "line",
            "VMGEN_CODE": "code",
        }
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=",
            **{name: _seen(self.folder / file) for name, file in names.items()},
        }

    def make(self, template: Path) -> None:
        """The prefix, as a copy of one that is made where there is none yet, and the stub programs in it."""
        if not template.exists():
            new = Windows(self.folder / "new")
            new.folder.mkdir()
            new._wine("wineboot", "--init")
            subprocess.run(["wineserver", "-w"], env=new.environment(), check=True, timeout=TIMEOUT)
            template.parent.mkdir(parents=True, exist_ok=True)
            beside = template.with_name(f"{template.name}.{os.getpid()}")
            subprocess.run(["mv", new.prefix, beside], check=True)
            beside.rename(template)
        subprocess.run(["cp", "-a", template, self.prefix], check=True)
        for name, more in {"stub": ["-lshell32"], "start": []}.items():
            compiler = ["x86_64-w64-mingw32-gcc", "-O1", "-municode", HERE / f"{name}.c", *more]
            subprocess.run([*compiler, "-o", self.folder / f"{name}.exe"], check=True)
        places = [self.folder / "bin"] * len(STUBS) + [self.path(place) for place in ELSEWHERE.values()]
        for name, place in zip((*STUBS, *ELSEWHERE), places, strict=True):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / "stub.exe", place / f"{name}.exe")

    def _wine(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        subprocess.run(
            ["wine", *words],
            env=environment or self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=TIMEOUT,
        )


@contextmanager
def windows(folder: Path, cache: Path) -> Iterator[Windows]:
    """A Windows in a folder of its own. Its server runs on by itself, so that no start waits for it, and ends here."""
    version = subprocess.run(["wine", "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    made = Windows(folder)
    made.make(cache / f"{version}-win64")
    subprocess.run(["wineserver", "-p600"], env=made.environment(), check=True, timeout=TIMEOUT)
    try:
        yield made
    finally:
        subprocess.run(["wineserver", "-k"], env=made.environment(), check=False, timeout=TIMEOUT)


def _seen(path: Path) -> str:
    """A path of this host as Wine's programs see it."""
    return "Z:" + str(path).replace("/", "\\")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _calls(log: Path) -> Iterator[Call]:
    """Both ways of cutting a command line into arguments must agree: the C library's, and the shell's."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    for entry in map(json.loads, lines):
        assert entry["argv"][1:] == entry["shell_argv"][1:], entry
        yield Call(entry["program"], tuple(entry["argv"][1:]), entry["line"], entry.get("stdin"), entry.get("variable"))
