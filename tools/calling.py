"""How a tool is run, by make or by hand: in UTF-8, with its exit status, and with one line at Ctrl-C."""

import sys

__all__ = ["call"]


def call(name, main, stopped="stopped"):
    """Run a tool on the arguments of the command line, and exit.

    Args:
        name: what its lines begin with, in brackets.
        main: takes the arguments, returns the exit status.
        stopped: what is said at Ctrl-C.
    """
    sys.stdout.reconfigure(encoding="utf-8")  # its signs are in no code page of Windows, and only make sets PYTHONUTF8
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print(f"\n[{name}] {stopped}", file=sys.stderr)
        sys.exit(130)
