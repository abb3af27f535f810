"""A root of some megabytes whose shell and programs are enough for guest operations."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from passlib.hash import sha512_crypt

from tests.integration.tinyroot import copy, make_root

MORE = (
    *("env", "sed", "test", "mktemp", "rmdir", "mv", "find", "stat", "chmod", "kill", "setpriv"),
    *("swapoff", "timeout", "sync", "sort", "wc", "touch", "tail"),
    *("id", "pwd", "cp", "printf", "umount"),
)

REPLACED = ("findmnt", "fsfreeze", "fstrim", "systemctl", "vmtoolsd", "vmware-rpctool")
"""The guest has others in their place (guest.py); that Tools are installed is seen by one of them."""

UNIT = "[Service]\nType=oneshot\nExecStart=/bin/sh /etc/login\n"
TARGET = "[Unit]\nRequires=sysinit.target login.service\n"
LOGIN = """\
hash=$(vmware-rpctool "info-get {key}") || exit 1
sed -i "s|^{account}:[^:]*:|{account}:$hash:|" /etc/shadow
"""


def tiny_root(root: Path, password: str, account: str = "builder", key: str = "guestinfo.login") -> Path:
    """An account of uid 0 that guestinfo lets in by a hash, and `ana` with this password. Tools are installed."""
    make_root(root, "true")
    for program in MORE:
        found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert found, program
        copy(Path(found).resolve(), root / "bin" / program)
        listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            copy(Path(library), root / library.lstrip("/"))
    for folder in ("bin", "sbin"):
        (root / "usr" / folder).mkdir()
    hashed = sha512_crypt.using(rounds=5000).hash(password)
    files = {
        "etc/passwd": f"root:x:0:0::/root:/bin/sh\n{account}:x:0:0::/root:/bin/sh\nana:x:1000:1000::/tmp:/bin/sh\n",
        "etc/shadow": f"root:*:::::::\n{account}:*:::::::\nana:{hashed}:::::::\n",
        "etc/login": LOGIN.format(account=account, key=key),
        "etc/systemd/system/default.target": TARGET,
        "etc/systemd/system/login.service": UNIT,
    }
    files |= {f"usr/bin/{name}": "#!/bin/sh\nexit 1\n" for name in REPLACED}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in REPLACED:
        (root / "usr/bin" / name).chmod(0o755)
    (root / "tmp").chmod(0o1777)
    return root
