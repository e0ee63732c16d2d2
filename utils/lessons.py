"""The one door from the engines to `lessons/`: what belongs to one notebook and is not read aloud in it.

An engine asks by slug, which never changes; the number that a reader sees follows from where the slug stands: the
second claim of notebook 07 is 7.2. Nothing else in `utils` knows that folder.

What a student is given has no such folder, but one file beside `utils`, `lessons.packed`, with the same files in it: an
archive in Base64. That is no secret. It only keeps anybody from reading a solution, or what a figure shows, by
accident, and a search through the files from finding it.
"""

import base64
import io
import re
import tomllib
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = [
    "LESSONS",
    "PACKED",
    "alternative_text",
    "lesson_of",
    "load_module",
    "number_of",
    "numbers",
    "opened",
    "paragraphs",
    "slugs",
    "table",
]

PACKED = "lessons.packed"


def opened(course: Path) -> Path | zipfile.Path:
    """The folder of the lessons in a course, or the same folder as it lies in a student's packed file."""
    packed = course / PACKED
    if (course / "lessons").exists() or not packed.exists():
        return course / "lessons"
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(packed.read_bytes())))
    archive.filename = str(packed)  # so that paths in it have a name and a parent
    return zipfile.Path(archive)


LESSONS = opened(Path(__file__).resolve().parent.parent)
NUMBER = re.compile(r"nb(\d\d)")


def numbers() -> list[str]:
    """The numbers of all lessons, "00" first.

    Raises:
        FileNotFoundError: there is no folder `lessons`: the package alone was installed.
    """
    there = LESSONS.iterdir() if LESSONS.is_dir() else ()
    found = sorted(match[1] for path in there if (match := NUMBER.fullmatch(path.name)))
    if not found:
        raise FileNotFoundError(
            f"no lessons in {LESSONS}: notebooks need the whole course beside them. Get it, and run `make lab` in it."
        )
    return found


@cache
def table(number: str, name: str) -> Mapping[str, Any]:
    """What `lessons/nb<number>/<name>.toml` holds; empty if it is not there.

    Raises:
        ValueError: the file is not TOML; the text says where.
    """
    path = LESSONS / f"nb{number}" / f"{name}.toml"
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error


@cache
def load_module(number: str, name: str) -> ModuleType | None:
    """The module `lessons/nb<number>/<name>.py`, loaded by its path; None if it is not there."""
    path = LESSONS / f"nb{number}" / f"{name}.py"
    if not path.exists():
        return None
    module = ModuleType(f"lessons.nb{number}.{name}")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def slugs(number: str, kind: str) -> list[str]:
    """The slugs of a lesson's "claims", "exercises" or "figures", in the order of the notebook."""
    return list(table(number, kind))


def number_of(kind: str, slug: str) -> str:
    """The number that readers see: the second of notebook 07's claims is "7.2"; `kind` as in `slugs`.

    Raises:
        ValueError: no lesson has this slug.
    """
    for number in numbers():
        if slug in (there := slugs(number, kind)):
            return f"{int(number)}.{there.index(slug) + 1}"
    near = [known for number in numbers() for known in slugs(number, kind) if isinstance(slug, str) and slug in known]
    hint = f"; there is: {', '.join(near)}" if slug and near else ""
    raise ValueError(f"no lesson has {kind.removesuffix('s')} {slug!r}{hint}")


def lesson_of(kind: str, slug: str) -> str:
    """The number of the lesson that has this slug, "07"; arguments and errors as `number_of`."""
    return f"{int(number_of(kind, slug).split('.')[0]):02d}"


def alternative_text(slug: str) -> str:
    """What the figure with this slug shows, in words.

    Raises:
        ValueError: no lesson has this figure.
    """
    return paragraphs(table(lesson_of("figures", slug), "figures")[slug])


def paragraphs(text: str) -> str:
    """A text as it is meant: a table may break its lines anywhere; an empty line begins a paragraph."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))
