"""What clears up on a node, as shell text for any sh: the processes of a build, mounts, half files of the cache.

A driver's `removal` is put between these functions and those of guests.node.guardian. What cannot be undone is added to
$why, with the command that undoes it.
"""

from __future__ import annotations

PACKER = "VMGEN_PACKER"
"""Variable of each process that packs a root, or stores an OS template: its build's tag."""

LONGEST_CREATE = 100
"""Seconds that a container's creation, begun by a builder that is gone, may still take."""

FUNCTIONS = """\
why=''
ours() {  # WORD: numbers of the processes of which it is an argument, or a variable
    printf '%s' "$1" | grep -lzxF --file=- /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | sort -u
}
end_ours() {  # WORD [SIGNAL]
    pids=$(ours "$1")
    [ -z "$pids" ] || kill -s "${2:-KILL}" $pids 2>/dev/null
}
await_ours() {  # WORD SECONDS: whether they have ended by then
    waited=0
    while [ -n "$(ours "$1")" ]; do
        [ "$waited" -lt "$2" ] || return 1
        waited=$((waited + 1))
        sleep 1
    done
}
mounted() {  # FOLDER
    while read -r _ at _; do
        [ "$at" != "$1" ] || return 0
    done </proc/mounts
    return 1
}
holds_mount() {  # FOLDER: whether something is mounted there, or below
    while read -r _ at _; do
        case $at in "$1" | "$1"/*) return 0 ;; esac
    done </proc/mounts
    return 1
}
users_of() {  # FOLDER: numbers of the processes that work there
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd" 2>/dev/null) in "$1" | "$1"/*) printf ' %s' "${process##*/}" ;; esac
    done
}
discard() {  # FOLDER: never what lies below a mount
    if holds_mount "$1"; then return 1; fi
    rm -rf --one-file-system -- "$1"
    [ ! -e "$1" ]
}
"""
