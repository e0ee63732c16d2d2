"""How a tool writes a text: the old file stays whole until the new one is complete; parts of pages; package folders."""

import importlib.util
import shutil
from pathlib import Path

from utils.files import atomic_file

__all__ = ["between_markers", "copy", "package", "write"]


def write(text: str, path: Path) -> None:
    """Write a text in UTF-8, with the same line ends on every system; its folder is made if there is none.

    Raises:
        OSError: it could not be written; the old file is as it was.
    """
    with atomic_file(path) as file:
        file.write(text.encode("utf-8"))


def between_markers(page: Path, begin: str, end: str, text: str) -> str:
    """A page's text with `text` in place of what stands between its two markers.

    Raises:
        ValueError: it has not both markers, once each and in this order.
    """
    old = page.read_text(encoding="utf-8")
    before, first, rest = old.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last) or old.count(begin) + old.count(end) > 2:
        raise ValueError(f"{page.name} needs {begin} and {end}, once each and in this order")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it, into what is there; OSError if that cannot be done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def package(name: str, extra: str) -> Path:
    """The folder of an installed package.

    Raises:
        FileNotFoundError: there is none; the text says which extra of this project brings it.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise FileNotFoundError(f'{name} is not installed: python -m pip install -e ".[{extra}]"')
    return Path(spec.submodule_search_locations[0])
