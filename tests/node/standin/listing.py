"""vzlist: the node's containers, as a table or as JSON; nothing at all on a kernel of Linux's own."""

from __future__ import annotations

import sys

from standin import containers
from standin.errors import BAD_VALUE, Refused
from standin.place import Place

Row = dict[str, object]

FIELDS = {
    "hostname": "HOSTNAME",
    "name": "NAME",
    "description": "DESCRIPTION",
    "ostemplate": "OSTEMPLATE",
    "layout": "VE_LAYOUT",
    "onboot": "ONBOOT",
}
DEFAULT = "ctid,numproc,status,ip,hostname"


class _Call:
    def __init__(self, words: list[str]) -> None:
        self.all = self.json = self.stopped = self.bare = False
        self.fields = DEFAULT.split(",")
        self.ctids: list[str] = []
        left = iter(words)
        for word in left:
            if word in ("-o", "--output"):
                self.fields = next(left, "").split(",")
            elif word in ("-a", "--all"):
                self.all = True
            elif word in ("-j", "--json"):
                self.json = True
            elif word in ("-S", "--stopped"):
                self.stopped = True
            elif word in ("-H", "--no-header"):
                self.bare = True
            elif word in ("-1", "-1a", "-a1"):
                self.fields, self.bare, self.all = ["ctid"], True, self.all or "a" in word
            elif word.startswith("-"):
                raise Refused(BAD_VALUE, f"invalid option -- '{word}'")
            else:
                self.ctids.append(word)


def show(place: Place, words: list[str]) -> int:
    call = _Call(words)
    if place.upstream:
        return 0
    rows = [_row(place, ctid) for ctid in place.containers()]
    if call.ctids:
        wanted = {place.number(word) for word in call.ctids}
        rows = [row for row in rows if row["ctid"] in wanted]
    elif not call.all:
        rows = [row for row in rows if (row["status"] == "running") != call.stopped]
    unknown = [field for field in call.fields if field not in (*_KNOWN, *FIELDS)]
    if unknown:
        raise Refused(BAD_VALUE, f"Unknown field: {unknown[0]}")
    if call.json:
        import json

        print(json.dumps([{field: row.get(field) for field in call.fields} for row in rows], indent=2))
    else:
        _table(call, rows)
    if call.ctids and not rows:
        print("Container(s) not found", file=sys.stderr)
        return 1
    return 0


_KNOWN = ("ctid", "veid", "status", "ip", "numproc", "private", "root")


def _row(place: Place, ctid: int) -> Row:
    values = place.values(ctid)
    pid = containers.init_pid(place, ctid)
    status = "running" if pid else "stopped"
    if not pid and containers.is_mounted(place.root(ctid, values)):
        status = "mounted"
    row: Row = {"ctid": ctid, "veid": ctid, "status": status, "ip": values.get("IP_ADDRESS", "").split()}
    row |= {"numproc": 1 if pid else None, "private": place.private(ctid, values), "root": place.root(ctid, values)}
    return row | {field: values.get(key) for field, key in FIELDS.items()}


def _table(call: _Call, rows: list[Row]) -> None:
    if not call.bare:
        print(" ".join(f"{field.upper():>10}" if field == "ctid" else f"{field.upper():<15}" for field in call.fields))
    for row in rows:
        cells = []
        for field in call.fields:
            value = row.get(field)
            words = value if isinstance(value, list) else ["-" if value is None else value]
            text = " ".join(map(str, words))
            cells.append(f"{text or '-':>10}" if field == "ctid" else f"{text or '-':<15}")
        print(" ".join(cells).rstrip())
