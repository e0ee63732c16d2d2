"""The door of every make target: is this Python new enough? Then tools.environment builds what there is to build,
and tools.start starts what was asked for.

    python tools/setup.py                  builds the environment, or finds it built
    python tools/setup.py NAME [ARGS...]   the same, then runs `python -m tools.NAME` in the environment
    python tools/setup.py --suitable       exit status 0 if this Python can build the environment

An old Python must get one clear line and not a traceback, so this file keeps to what Python 2.7 can parse: no f-string,
no annotation, nothing imported at the top that is not in every version.
"""

import os
import sys

OLDEST = (3, 11)  # pyproject.toml says the same, and a test holds the two together
NEWEST = (3, 14)  # the newest Python that every package in requirements.txt has a build for


def dotted(version):
    return ".".join(str(number) for number in version[:2])


def complaint(version, executable):
    """The one line for a Python that is too old; nothing for one that is new enough."""
    if version[:2] >= OLDEST:
        return ""
    return (
        "This course needs Python " + dotted(OLDEST) + " or newer, and " + executable + " is Python " + dotted(version)
        + ". Install a newer one (nothing was changed), or name one: PYTHON=/path/to/python3.12 make lab"
    )  # fmt: skip


def main():
    if sys.argv[1:] == ["--suitable"]:
        return 0 if OLDEST <= sys.version_info[:2] <= NEWEST else 1
    line = complaint(sys.version_info, sys.executable or "the Python in use")
    if line:
        sys.stderr.write(line + "\n")
        return 1
    # A file that is run has its own folder in front, in which test.py would hide Python's `test`.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from tools import start  # in today's Python

    return start.main(sys.argv[1:], NEWEST)


if __name__ == "__main__":
    sys.exit(main())
