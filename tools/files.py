"""How a tool writes a text: the old file stays whole until the new one is complete."""

from pathlib import Path

from utils.files import atomic_file

__all__ = ["write"]


def write(text: str, path: Path) -> None:
    """Write a text in UTF-8, with the same line ends on every system; its folder is made if there is none.

    Raises:
        OSError: it could not be written; the old file is as it was.
    """
    with atomic_file(path) as file:
        file.write(text.encode("utf-8"))
