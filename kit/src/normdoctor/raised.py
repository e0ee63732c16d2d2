"""What an exception says about the layer that raised it."""

import re

from normdoctor.isolation import first_line
from normdoctor.probe import Outcome, Probe

__all__ = ["of_exception"]

ERRORS = (  # what an exception says → the cause, and what to say of it
    (
        r"view size is not compatible|use \.reshape",
        "order of memory",
        "view needs values in a row in memory: use reshape",
    ),
    (
        r"modified by an inplace operation",
        "calls mixed up",
        "something that the backward pass needs was changed in place",
    ),
    (
        r"second time|deepcopy protocol|graph leaves",
        "graph kept",
        "what is remembered holds on to the graph of a training step: detach it",
    ),
    (
        r"leaf Variable that requires grad",
        "input changed in place",
        "it works in place on what it was given: make a new one",
    ),
    (
        r"expected dtype|expected scalar type|same dtype|must have the same|expected m1|Expected dtype|but found",
        "dtypes mixed",
        "tensors of two dtypes meet: convert what is computed to the input's dtype, and back",
    ),
    (
        r"item\(\) cannot be called on meta|data-dependent control flow|item\(\) on a Tensor",
        "values looked at",
        "something in forward looks at a value, which cannot be traced, mapped over images, or run on the device meta",
    ),
    (
        r"torch\.meta|same device|is on cpu|device meta|Cannot copy out of meta|on different devices",
        "own device",
        "something is made on a fixed device",
    ),
)


def of_exception(probe: Probe, error: Exception) -> Outcome:
    """The answer of a layer that raised this."""
    words = f"{type(error).__name__}: {first_line(error)}"
    for pattern, cause, meaning in ERRORS:
        if re.search(pattern, str(error)):
            return Outcome(f"{words}; {meaning}", cause=cause)
    if isinstance(error, AttributeError) and "has no attribute" in str(error) and "before" in probe.name:
        return Outcome(f"{words}; {probe.hint}", cause="statistics appear late")
    return Outcome(words + (f"; perhaps: {probe.hint}" if probe.hint else ""), cause=probe.cause)
