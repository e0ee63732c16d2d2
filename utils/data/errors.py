"""What can go wrong with the data: one error, and one warning."""

__all__ = ["DataError", "DataWarning"]


class DataError(RuntimeError):
    """The data cannot be had: the message says what is wrong and what to do about it."""


class DataWarning(UserWarning):
    """Something is wrong with the data or its cache, and the course goes on all the same."""
