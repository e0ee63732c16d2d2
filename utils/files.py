"""Files that are there whole or not at all, and an error in a few words. It imports nothing beyond Python itself."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_file", "reason"]

LEFT_OVER = 3600  # seconds: an unfinished file that is older belongs to nobody any more


@contextlib.contextmanager
def atomic_file(path: Path, family: str = "") -> Iterator[BinaryIO]:
    """Open a file to write, in a folder that is made if need be; it takes its name when the block ends well.

    Whenever this is cut off there is the old file, or none, or all of the new one, which is on the disk before it takes
    its name. What killed processes left of this name is removed after an hour; what they left of a family of files at
    once, so that its writers have to keep out of each other's way.

    Raises OSError if the system refuses; what the block raises goes through, and the unfinished file is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    named, family = bool(family), family or path.name
    temporary = path.parent / f".{family}-{os.getpid()}.tmp"
    try:
        for left_over in path.parent.glob(f".{family}-*.tmp"):
            with contextlib.suppress(OSError):  # somebody else may be faster
                if named or time.time() - left_over.stat().st_mtime > LEFT_OVER:
                    left_over.unlink()
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """The reason of an error in a few words, on one line, without the path that some carry."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return "the disk is full"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
