"""One student's archive (`make handouts`): all that the notebooks need to run, and nothing that they ask for.

The same files make the same bytes, on whatever day. The lessons go into one packed file (see `utils/lessons.py`): what
the checks compare with, the messages, the claims, the words of the figures. Answers for the tests, and what the slides
say, stay at home.
"""

import base64
import io
import re
import zipfile

from tools.run import as_text
from utils.files import atomic_file
from utils.lessons import PACKED

__all__ = ["PLACE", "contents", "packed", "write"]

PLACE = "build/batchnorm-handouts.zip"
TOP = "batchnorm"  # the folder that it unpacks into
DAY = (2000, 1, 1, 0, 0, 0)  # of all files: a zip has no entry without one
SINGLE = (
    *("LICENSE", "LICENSE-prose", "pyproject.toml", "requirements.txt", "environment.yml"),
    *("data/README.md", "docs/symbols.md", "study/plan.toml", "study/verdicts.json"),
    *("kit/LICENSE", "kit/README.md", "kit/pyproject.toml"),
    *(f"tools/{name}.py" for name in ("__init__", "environment", "kernels", "lab", "setup")),
)
WHOLE = ("utils", "kit/src", "study/records")
KINDS = {".py", ".json", ".toml", ".js", ".css", ".svg", ".ttf", ".txt", ".md", ".typed"}  # no scratch, no backups
MADE = re.compile(r"__pycache__|\..*|.*\.egg-info")  # what Python, its tools and editors leave there
OF_LESSONS = ("*.json", "*.toml", "*.txt", "nb??/*.toml", "nb??/*.json", "nb??/exercises.py")
README = """# BatchNorm, layer by layer

Notebooks on batch normalization in PyTorch. You need Python 3.11 to 3.14. In this folder,

    python3 tools/setup.py lab

builds an environment of its own in `.venv` (minutes, and some gigabytes; on Windows `py tools\\setup.py lab`) and opens
JupyterLab on the first notebook; the next time it opens at once. `--only 03` behind it opens notebook 03. With conda:

    conda env create -f environment.yml
    conda activate batchnorm
    python tools/setup.py lab

CIFAR-10 is downloaded on first use, 170 MB; without a network the notebooks draw pictures of their own and say so. What
to do with a copy from a stick is in `data/README.md`. Where a text says `make lab`: with `make`, that works, too.

Each exercise has a check under it that says at once what is right or wrong. What it knows is in `lessons.packed`, which
is packed, not locked: whoever wants to spoil the guesses can.
"""
MAKEFILE = """PYTHON ?= python3

lab:
\t@$(PYTHON) tools/setup.py lab $(if $(ONLY),--only "$(ONLY)") $(ARGS)
"""


def contents(root, notebooks):
    """Name in the archive → its bytes; `notebooks` are the handouts, name of a file → notebook.

    Raises:
        OSError: a file of the course cannot be read.
    """
    found = {"README.md": README.encode(), "Makefile": MAKEFILE.encode(), PACKED: packed(root / "lessons")}
    found |= {f"notebooks/{name}": as_text(notebook).encode() for name, notebook in notebooks.items()}
    found |= {name: (root / name).read_bytes() for name in SINGLE}
    for path in (path for folder in WHOLE for path in (root / folder).rglob("*") if path.is_file()):
        place = path.relative_to(root)
        if path.suffix in KINDS and not any(map(MADE.fullmatch, place.parts)):
            found[place.as_posix()] = path.read_bytes()
    return found


def packed(lessons):
    """The files of the lessons that a student's copy needs, as `utils.lessons` opens them."""
    paths = [path for pattern in OF_LESSONS for path in lessons.glob(pattern)]
    return base64.encodebytes(zipped({path.relative_to(lessons).as_posix(): path.read_bytes() for path in paths}))


def zipped(files):
    """Name → bytes as a zip whose bytes depend on these alone."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DAY)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Linux, on Windows too
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()


def write(root, notebooks, path):
    """Write the archive; `path`, where it is then. Arguments and errors as in `contents`."""
    files = {f"{TOP}/{name}": content for name, content in contents(root, notebooks).items()}
    with atomic_file(path) as file:
        file.write(zipped(files))
    return path
