"""A stand-in for an OpenVZ node of the vzctl 4 kind. What it is and is not: README.md, one folder above.

Imports are few and late: each `vzctl exec2` starts a new interpreter, and a build calls it for every command.
"""
