#!/bin/bash
# Run by its own interpreter: this is no sh.
set -o pipefail
words=(one two)
test -f /srv/first
echo "${words[1]} {{ not rendered }}" > /srv/second
