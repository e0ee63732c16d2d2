"""The one door from the engines to `lessons/`: what belongs to one notebook and is not read aloud in it.

An engine asks by slug, which never changes; the number that a reader sees follows from where the slug stands: the
second claim of notebook 07 is 7.2. Nothing else in `utils` knows that folder.
"""

import importlib.util
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = [
    "LESSONS",
    "alternative_text",
    "lesson_of",
    "load_module",
    "number_of",
    "numbers",
    "paragraphs",
    "slugs",
    "table",
]

LESSONS = Path(__file__).resolve().parent.parent / "lessons"
NUMBER = re.compile(r"nb(\d\d)")


def numbers() -> list[str]:
    """The numbers of all lessons, "00" first.

    Raises:
        FileNotFoundError: there is no folder `lessons`: the package alone was installed.
    """
    found = sorted(match[1] for path in LESSONS.glob("nb??") if (match := NUMBER.fullmatch(path.name)))
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
    spec = importlib.util.spec_from_file_location(f"lessons.nb{number}.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
