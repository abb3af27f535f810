"""The command vmgen-build, and python -m vmgen_build: until all is imported, Ctrl-C ends it without a word."""

from __future__ import annotations

import os
import signal


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    from vmgen_build.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
