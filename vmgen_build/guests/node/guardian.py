"""A small process on the node that clears up when its builder is gone, however it went.

It locks the build's record, /var/lib/vmgen-build/builds/TAG, which lists the folder of OS templates and the build's
containers, and reads from its standard input, which ends when the builder closes it, dies, or when the connection is
cut. Then it removes the containers, half files of OS templates, and the record. What could not be removed stays in it.
A record that nobody locks belongs to a build whose guardian died too (the node went down): the next build on the node
removes what it lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.node.clearing import FUNCTIONS, PACKER
from vmgen_build.guests.node.driver import Driver
from vmgen_build.guests.runners import Attached, ConnectionLost
from vmgen_build.guests.runners.answers import names, shown
from vmgen_build.host.undo import add_failure

RECORDS = "/var/lib/vmgen-build/builds"

_SIGNALLED = 128
"""Exit codes above are those of a shell that a signal ended."""

PATIENCE = 180.0
"""Seconds that the removal of containers may take."""

CLEAR = f"""\
clear() {{  # RECORD: removes what it lists, then the record itself, but for one that lists containers of other drivers
    tag=${{1##*/}} other='' bad=''
    end_ours "{PACKER}=$tag"
    while read -r what one <&3; do
        case $what in
            cache) rm -f -- "$one"/.*.part-"$tag" ;;
            *) remove "$one" "$tag" ;;
        esac
        case $? in
            0) ;;
            2) other=1 ;;
            *)
                bad=1
                why=${{why:-" $one"}}
                ;;
        esac
    done 3<"$1"
    [ -z "$bad$other" ] && rm -f -- "$1"
}}
"""

GUARD = """\
set -u
trap '' HUP INT TERM PIPE
keep=''
mkdir -p "$1" && chmod 0700 "$1" && record=$1/$2 && exec 9>"$record" 8>"$1.lock" && flock -n 9 || exit 75
printf 'cache %s\\n' "$(cache_folder)" >&9
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
[ -z "$why" ] || { echo "not removed:$why" >&2; exit 1; }
"""

REAP = """\
set -u
for record in "$1"/*; do
    [ -f "$record" ] || continue
    case $2 in '' | "${record##*/}") ;; *) continue ;; esac
    exec 9<"$record" || continue
    if flock ${3:--n} 9; then
        [ -f "$record" ] && clear "$record" && echo "${record##*/}"
    fi
    exec 9<&-
done
[ -z "$why" ] || { echo "not removed:$why" >&2; exit 1; }
"""


class Guardian:
    """process: the one on the node, as it runs."""

    def __init__(self, process: Attached, driver: Driver) -> None:
        self._process, self.driver = process, driver
        self.kept = False

    def own(self, ct: str) -> bool:
        """Write that down before the container is made. False where another build there has that identifier already."""
        self._process.send(f"own {ct}")
        answer = _answer(self._process)
        if answer not in ("noted", "taken"):
            raise HostError(f"{self.driver.where}: cannot write to {RECORDS}; is its disk full?")
        return answer == "noted"

    def keep(self) -> None:
        """Leave the containers as they are."""
        self.kept = True
        self._process.send("keep")


@contextmanager
def guarded(driver: Driver) -> Iterator[Guardian]:
    """At the end the node is clear again, which is waited for. Raises BuildError naming what could not be removed;
    where the body failed, its own error, which names that too (failures)."""
    script = FUNCTIONS + driver.removal + CLEAR + GUARD
    with driver.runner.attach(["sh", "-c", script, "vmgen-guardian", RECORDS, driver.tag]) as process:
        if _answer(process) != "ready":
            raise HostError(
                f"{driver.where}: cannot keep a record in {RECORDS}: {shown(process.end(10.0).err) or 'it is locked'}"
            )
        try:
            yield Guardian(process, driver)
        except ConnectionLost:
            raise
        except BaseException as error:
            try:
                _end(process, driver)
            except ConnectionLost as lost:
                raise ConnectionLost(f"{error}\n{lost}") from error
            except Exception as failure:
                add_failure(error, failure)
            raise
        _end(process, driver)


def _answer(process: Attached) -> str | None:
    try:
        return process.receive(30.0)
    except TimeoutError:
        return None


def _end(process: Attached, driver: Driver) -> None:
    """Raises BuildError naming what could not be removed, ConnectionLost where the guardian itself was killed."""
    done = process.end(PATIENCE)
    if done.code > _SIGNALLED:
        raise ConnectionLost(f"{driver.where}: what would clear up there was killed")
    if done.code != 0:
        raise BuildError(f"{driver.where}: {shown(done.err) or 'cannot clear up'}; remove it by hand")


def reap(driver: Driver, tag: str = "") -> list[str]:
    """Remove what builds left whose guardians are gone; of one tag alone, wait for its guardian. The tags removed."""
    script = FUNCTIONS + driver.removal + CLEAR + REAP
    wait = f"-w {PATIENCE:.0f}" if tag else "-n"
    done = driver.runner.run(["sh", "-c", script.replace("${3:--n}", wait), "sh", RECORDS, tag], timeout=2 * PATIENCE)
    if done.code != 0:
        raise BuildError(f"{driver.where}: what an earlier build left cannot be removed: {shown(done.err)}")
    return names(done.out, driver.where, "what was cleared away")
