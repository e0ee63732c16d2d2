"""The door of every make target: is this Python new enough? Then launch.py does the rest.

    python tools/setup.py                    builds the environment, or finds it built
    python tools/setup.py SCRIPT [ARGS...]   the same, then runs SCRIPT with the environment's Python
    python tools/setup.py --suitable         exit status 0 if this Python can build the environment

An old Python must get one clear line and not a traceback, so this file keeps to what Python 2.7 can parse: no f-string,
no annotation, nothing imported that is not in every version.
"""

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
        + ". Install a newer one (nothing was changed), or name one: PYTHON=/path/to/python3.12 make test"
    )  # fmt: skip


def main():
    if sys.argv[1:] == ["--suitable"]:
        return 0 if OLDEST <= sys.version_info[:2] <= NEWEST else 1
    line = complaint(sys.version_info, sys.executable or "the Python in use")
    if line:
        sys.stderr.write(line + "\n")
        return 1
    import launch  # a file beside this one, in today's Python

    return launch.main(sys.argv[1:], NEWEST)


if __name__ == "__main__":
    sys.exit(main())
