"""The commands vmgen-build, which is python -m vmgen_build too, and vmgctl: until all is imported, Ctrl-C ends them
without a word."""

from __future__ import annotations

import os
import signal


def main() -> None:
    _end_silently()
    if os.environ.get("_VMGEN_BUILD_COMPLETE"):
        from vmgen_build.cli.completing import answer_shell

        answer_shell()
    from vmgen_build.cli.main import main as run

    run()


def vmgctl() -> None:
    _end_silently()
    if os.environ.get("_VMGEN_BUILD_COMPLETE"):
        from vmgen_build.cli.completing import answer_editor

        answer_editor()
    from vmgen_build.cli.vmgctl import main as run

    run()


def _end_silently() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))


if __name__ == "__main__":
    main()
