"""What can go wrong with the data: one error, one warning, and a reason in a few words."""

from __future__ import annotations

import errno

__all__ = ["DataError", "DataWarning", "reason"]


class DataError(RuntimeError):
    """The data cannot be had: the message says what is wrong and what to do about it."""


class DataWarning(UserWarning):
    """Something is wrong with the data or its cache, and the course goes on all the same."""


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
