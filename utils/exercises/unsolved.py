"""Tells an answer that nobody has begun to write, and the notebook's own solution, from a learner's answer."""

import dis
import types
from collections.abc import Callable

import torch
from torch import nn

from utils.exercises.limits import place
from utils.exercises.memory import words

__all__ = ["hands_over_a_solution", "is_empty", "is_stub"]

EMPTY = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}  # of `def f(): ...`
BARE = {object, nn.Module, torch.autograd.Function}  # a class that only inherits does nothing if it is from these


def hands_over_a_solution(call: types.FrameType) -> bool:
    """Whether the last variable that a call was given has a solution's name: `gap_solution`, `LayerSolution`.

    A solution may be a number or a letter, the same object as a learner's; only the name says whose it is.
    """
    steps = [step for step in dis.get_instructions(call.f_code) if step.offset < call.f_lasti]
    names = [step.argval for step in steps if step.opname in ("LOAD_NAME", "LOAD_GLOBAL")]
    return bool(names) and names[-1].endswith(("_solution", "Solution"))


def is_stub(error: BaseException | None) -> bool:
    """Whether it is the stub's own error, and not PyTorch's for something that it has not implemented."""
    if not isinstance(error, NotImplementedError):
        return False
    spot = place(error)
    return not words(error) or (spot is not None and "NotImplementedError" in spot.text)


def is_empty(answer: Callable) -> bool:
    """Whether it is a function without a body, such as `...`, or a class all of whose methods but `__init__` are."""
    if isinstance(answer, types.FunctionType):
        if answer.__name__ == "<lambda>":  # whoever writes one has written its result
            return False
        steps = list(dis.get_instructions(answer))
        return {step.opname for step in steps} <= EMPTY and all(step.argval is None for step in steps if _loads(step))
    if not isinstance(answer, type):
        return False
    members = {name: getattr(member, "__func__", member) for name, member in vars(answer).items()}
    written = {
        name: member
        for name, member in members.items()
        if isinstance(member, types.FunctionType) or not name.startswith("__")
    }
    first = written.pop("__init__", None)
    if written:
        return all(is_empty(member) for member in written.values())
    return set(answer.__bases__) <= BARE and (first is None or is_empty(first))


def _loads(step: dis.Instruction) -> bool:
    return step.opname in ("LOAD_CONST", "RETURN_CONST")
