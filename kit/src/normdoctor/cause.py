"""One thing that may be wrong with a layer, and the table of all of them."""

from dataclasses import dataclass

__all__ = ["CAUSES", "Cause", "cause"]


@dataclass(frozen=True)
class Cause:
    """One thing that may be wrong.

    Attributes:
        name: short; for machines.
        words: one sentence: what is wrong; after a colon, what to do.
        silences: probes that may fail in consequence, and say nothing of their own then.
    """

    name: str
    words: str
    silences: tuple[str, ...] = ()


CAUSES: dict[str, Cause] = {}


def cause(name: str, words: str, *silences: str) -> Cause:
    """Enter a cause into the table, if it is not there."""
    return CAUSES.setdefault(name, Cause(name, words, silences))
