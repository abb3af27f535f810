"""How a build's OpenVZ container is removed, whatever state it is in, as shell text for guests.node.guardian.

vzctl create makes CTID.conf from a sample, then the link names/NAME, then the private area; NAME= enters CTID.conf
last. So the link tells whose a container is as long as its CTID.conf is a sample; not later, for a create that failed
leaves its link, and the number may be another's by then. A sample without link and private area is what a create leaves
that was killed at its first instruction. A private area without CTID.conf is a container that somebody moves here by
hand: create has its CTID.conf all the time, and destroy takes the private area first.
"""

from __future__ import annotations

from vmgen_build.guests.node.clearing import LONGEST_CREATE, PACKER
from vmgen_build.guests.node.driver import MARK

CONF, NAMES = "/etc/vz/conf", "/etc/vz/names"

LOCATE = f"""\
located() {{  # ID: sets $conf, $root, $private, and $lock
    conf={CONF}/$1.conf
    {{
        IFS= read -r root
        IFS= read -r private
        IFS= read -r lock
    }} <<PLACES
$(
    VEID=$1 VE_ROOT='' VE_PRIVATE='' LOCKDIR=''
    . /etc/vz/vz.conf
    lock=${{LOCKDIR:-/vz/lock}}/$1.lck
    [ ! -e "$conf" ] || . "$conf"
    printf '%s\\n%s\\n%s\\n' "$VE_ROOT" "$VE_PRIVATE" "$lock"
)
PLACES
}}
locked() {{  # whether a vzctl that runs holds $lock
    [ -e "$lock" ] && read -r holder <"$lock" && [ -n "$holder" ] && [ -d "/proc/$holder" ]
}}
"""
"""The configuration of vzctl is shell text, and holds the literal $VEID: ctid.conf(5)."""

FREE = """\
located "$1"
[ ! -e "$conf" ] && [ ! -e "$private" ] && [ ! -e "$private.tmp" ] && ! locked && ! holds_mount "$root" &&
    [ -z "$(ls -A "$root" 2>/dev/null)" ]
"""

REMOVAL = f"""\
{LOCATE}
cache_folder() {{ (VEID='' TEMPLATE=''; . /etc/vz/vz.conf && printf '%s' "${{TEMPLATE:-/vz/template}}/cache"); }}
quietly() {{  # as long as another vzctl holds the lock, once a second
    tries=0
    while :; do
        vzctl --quiet "$@" >/dev/null 2>&1
        [ $? -eq 9 ] && [ "$tries" -lt 60 ] || return 0
        tries=$((tries + 1))
        sleep 1
    done
}}
finish_create() {{  # NAME: one that a lost builder began runs on, and may be about to begin
    [ -e "$conf" ] || [ -n "$(ours "$1")" ] || sleep 1
    await_ours "$1" {LONGEST_CREATE} && return
    end_ours "$1" TERM
    await_ours "$1" 5 || end_ours "$1"
}}
is_ours() {{  # NAME
    grep -q "^NAME=\\"\\{{0,1\\}}$1\\"\\{{0,1\\}}\\$" "$conf" && return
    ! locked && is_sample || return
    case $(readlink "{NAMES}/$1") in */"${{conf##*/}}") return 0 ;; esac
    [ ! -e "$private" ]
}}
is_sample() {{
    for sample in {CONF}/ve-*.conf-sample; do
        case $(cat "$sample") in "$(cat "$conf")"*) return 0 ;; esac
    done
    return 1
}}
unmount() {{  # ID TAG: in order, for ten seconds; then out of the way of what still uses it
    last=$(($(date +%s) + 10))
    while mounted "$root" && [ "$(date +%s)" -lt "$last" ]; do
        quietly umount "$1"
        end_ours "{PACKER}=$2"
        ! mounted "$root" || sleep 0.5
    done
    layers=0
    while mounted "$root" && [ "$layers" -lt 20 ]; do
        umount -l -- "$root" 2>/dev/null || break
        layers=$((layers + 1))
    done
}}
remove() {{  # ID TAG
    case $1 in *[!0-9]*) return 2 ;; esac
    name={MARK}-$2
    located "$1"
    finish_create "$name"
    located "$1"
    if [ -e "$conf" ] && ! is_ours "$name"; then
        rm -f -- "{NAMES}/$name"
        return 0
    fi
    end_ours "VE_PRVT=$private.tmp"
    whole=''
    [ ! -e "$conf" ] || whole=1
    [ -z "$whole" ] || quietly stop "$1" --fast
    unmount "$1" "$2"
    if mounted "$root"; then
        why="$why container $1: $root is still mounted (used by:$(users_of "$root")); end that, then: umount $root;\\
 vzctl destroy $1."
        return 1
    fi
    [ -z "$whole" ] || quietly destroy "$1"
    rmdir -- "$private" "$root" 2>/dev/null
    if [ ! -e "$conf" ]; then
        case $private in */"$1") discard "$private.tmp" ;; esac
        case $whole$private in 1*/"$1") discard "$private" ;; esac
    fi
    if [ -e "$conf" ] || [ -e "$private.tmp" ] || {{ [ -n "$whole" ] && [ -e "$private" ]; }}; then
        why="$why container $1: vzctl cannot destroy it: $(vzctl destroy "$1" 2>&1 | tail -n 2 | tr '\\n' ' ');\\
 remove it by: vzctl stop $1 --fast; vzctl umount $1; vzctl destroy $1; ls -d $private*."
        return 1
    fi
    rm -f -- "{NAMES}/$name" "$conf.destroyed"
}}
"""
