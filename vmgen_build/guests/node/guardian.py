"""A small process on the node that clears up when its builder is gone, however it went.

It locks the build's record, /var/lib/vmgen-build/builds/TAG, in which the build's containers are listed, and reads from
its standard input, which ends when the builder closes it, dies, or when the connection is cut. Then it removes the
containers and the record. A record that nobody locks belongs to a build whose guardian died too (the node went down):
the next build on the node removes what it lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.node.driver import Driver
from vmgen_build.guests.runners import ConnectionLost, Held

RECORDS = "/var/lib/vmgen-build/builds"

PATIENCE = 180.0
"""Seconds that the removal of containers may take."""

CLEAR = """\
clear() {  # RECORD: removes what it lists, then the record itself
    tag=${1##*/}
    while read -r _ one <&3; do
        remove "$one" "$tag" || bad="$bad $one"
    done 3<"$1"
    [ -n "$bad" ] || rm -f -- "$1"
}
"""

GUARD = """\
set -u
trap '' HUP INT TERM PIPE
bad='' keep=''
mkdir -p "$1" && chmod 0700 "$1" && record=$1/$2 && exec 9>"$record" 8>"$1.lock" && flock -n 9 || exit 75
echo ready
while IFS= read -r line; do
    case $line in
        keep) keep=1 ;;
        'own '*)
            flock 8
            if grep -qsxF -- "$line" "$1"/*; then
                echo taken
            else
                printf '%s\\n' "$line" >&9
                sync "$record"
                echo noted
            fi
            flock -u 8
            ;;
    esac
done
if [ -n "$keep" ]; then rm -f -- "$record"; exit 0; fi
clear "$record"
[ -z "$bad" ] || { echo "not removed:$bad" >&2; exit 1; }
"""

REAP = """\
set -u
bad=''
for record in "$1"/*; do
    [ -f "$record" ] || continue
    case $2 in '' | "${record##*/}") ;; *) continue ;; esac
    exec 9<"$record" || continue
    if flock ${3:--n} 9; then
        [ -f "$record" ] && clear "$record" && echo "${record##*/}"
    fi
    exec 9<&-
done
[ -z "$bad" ] || { echo "not removed:$bad" >&2; exit 1; }
"""


class Guardian:
    def __init__(self, held: Held, driver: Driver) -> None:
        self._held, self._driver = held, driver
        self.kept = False

    def own(self, ct: str) -> bool:
        """Say so before the container is made. False where another build on the node has that identifier already."""
        self._held.say(f"own {ct}")
        answer = _heard(self._held)
        if answer not in ("noted", "taken"):
            raise HostError(f"{self._driver.where}: cannot write to {RECORDS}; is its disk full?")
        return answer == "noted"

    def keep(self) -> None:
        """Leave the containers as they are."""
        self.kept = True
        self._held.say("keep")


@contextmanager
def guarded(driver: Driver) -> Iterator[Guardian]:
    """At the end the node is clear again, which is waited for. Raises BuildError naming what could not be removed."""
    script = driver.removal + CLEAR + GUARD
    with driver.runner.hold(["sh", "-c", script, "vmgen-guardian", RECORDS, driver.tag]) as held:
        if _heard(held) != "ready":
            raise HostError(
                f"{driver.where}: cannot keep a record in {RECORDS}: {held.end(10.0).err.strip() or 'it is locked'}"
            )
        try:
            yield Guardian(held, driver)
        except ConnectionLost:
            raise
        except BaseException as error:
            _end(held, driver, f"{error}\n")
            raise
        _end(held, driver, "")


def _heard(held: Held) -> str | None:
    try:
        return held.hear(30.0)
    except TimeoutError:
        return None


def _end(held: Held, driver: Driver, before: str) -> None:
    """before: what went wrong already, in lines."""
    done = held.end(PATIENCE)
    if done.code != 0:
        raise BuildError(f"{before}{driver.where}: {done.err.strip() or 'cannot clear up'}; remove it by hand")


def reap(driver: Driver, tag: str = "") -> list[str]:
    """Remove what builds left whose guardians are gone; of one tag alone, wait for its guardian. The tags removed."""
    script = driver.removal + CLEAR + REAP
    wait = f"-w {PATIENCE:.0f}" if tag else "-n"
    done = driver.runner.run(["sh", "-c", script.replace("${3:--n}", wait), "sh", RECORDS, tag], timeout=2 * PATIENCE)
    if done.code != 0:
        raise BuildError(f"{driver.where}: what an earlier build left cannot be removed: {done.err.strip()}")
    return done.out.split()
