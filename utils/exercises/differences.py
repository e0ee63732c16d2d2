"""What is said about a wrong result that no expected mistake explains: its type, shape, NaN, or where it differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.exercises.memory import TENSOR_BYTES

__all__ = ["Difference", "as_tensor", "compare", "digits"]

RELATIVE, ABSOLUTE = 1e-4, 1e-5
PARTS = 10_000  # of a list that holds more than plain numbers
PLAIN = (bool, int, float, complex, np.generic)


@dataclass(frozen=True)
class Difference:
    """How a result differs from what is expected: a key for the tests, and a sentence for the learner."""

    key: str
    text: str


def as_tensor(value: Any) -> Tensor | None:
    """A tensor, an array, a number, or a list of numbers as a tensor without history; None for anything else.

    None as well for a tensor that is sparse, quantized, nested, or without values (of the device meta), and for a
    number that no tensor holds, such as 10**30; and for what is too large to be looked at.
    """
    if isinstance(value, Tensor):
        plain = value.layout == torch.strided and not (value.is_quantized or value.is_meta or value.is_nested)
        return value.detach().cpu() if plain else None
    listed = isinstance(value, (list, tuple)) and value
    if isinstance(value, (*PLAIN, np.ndarray)) or (listed and all(isinstance(part, PLAIN) for part in value)):
        if getattr(value, "nbytes", 0) > TENSOR_BYTES:
            return None
        try:
            return torch.as_tensor(np.asarray(value).copy())
        except (TypeError, ValueError, OverflowError):  # an array of objects, of texts
            return None
    if listed and len(value) <= PARTS:
        parts = [as_tensor(part) for part in value]
        if all(part is not None and part.shape == parts[0].shape for part in parts):
            return torch.stack(parts)
    return None


def compare(
    given: Any, expected: Any, form: Callable[[Tensor], Tensor] = lambda tensor: tensor, axes: Sequence[str] = ()
) -> Difference | None:
    """How `given` differs from `expected`; None if it does not.

    Args:
        given: the learner's value, of any type.
        expected: a tensor, a number or a text.
        form: brings tensors of equally right shapes into one.
        axes: what the axes of the tensor are called.
    """
    try:
        return _compare(given, expected, form, axes)
    except Exception:  # a list inside itself, a tensor that only pretends: nothing may end the check
        return Difference("wrong_type", f"it is a {type(given).__name__} that cannot be compared.")


def _compare(given: Any, expected: Any, form: Callable[[Tensor], Tensor], axes: Sequence[str]) -> Difference | None:
    if isinstance(expected, str):
        same = isinstance(given, str) and given == expected
        return None if same else Difference("wrong_values", f"it is {_short(given)}, not {expected}.")
    if given is None:
        return Difference("returns_none", "it is None. Is a `return` missing?")
    mine, true = as_tensor(given), as_tensor(expected)
    if mine is None:
        return Difference(
            "wrong_type", f"it is {_named(given)}, where a {'tensor' if true.ndim else 'number'} is asked for."
        )
    raw = tuple(mine.shape), tuple(true.shape)
    large = mine.numel() * mine.element_size() > TENSOR_BYTES  # it can be a small one, expanded
    mine, true = mine if large else form(mine), form(true)
    if mine.shape != true.shape:
        return Difference("wrong_shape", f"its shape is {raw[0]}, where {raw[1]} is asked for.")
    if mine.is_complex():
        return Difference("wrong_type", "its numbers are complex.")
    exact = mine.to(torch.float64), true.to(torch.float64)
    if torch.allclose(*exact, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
        return None
    return _values(mine, *exact, axes)


def _named(value: Any) -> str:
    """What a value is that `as_tensor` refuses."""
    if isinstance(value, Tensor):
        kinds = {"meta": value.is_meta, "quantized": value.is_quantized, "nested": value.is_nested}
        kind = next((kind for kind, so in kinds.items() if so), str(value.layout).removeprefix("torch."))
        return f"a {kind} tensor, whose values cannot be compared"
    if isinstance(value, int):
        return f"a number of {value.bit_length()} bits, too large for a tensor"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name}"
    if isinstance(value, (list, tuple)) and len(value) > PARTS:
        return f"a {type(value).__name__} of {len(value)} parts, too many to be compared"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} whose parts differ in shape, or are no numbers"
    return f"a {type(value).__name__}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def digits(value: float, significant: int = 4) -> str:
    """A number as text: a whole one with all its digits, any other with so many."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{significant}g}"


def _values(raw: Tensor, mine: Tensor, true: Tensor, axes: Sequence[str]) -> Difference:
    bad = ~torch.isfinite(mine) & torch.isfinite(true)
    if bad.any():
        name = "NaN" if mine.isnan().any() else "infinite"
        if bad.numel() == 1:
            return Difference("nan", f"it is {name}.")
        share = "all" if bad.all() else f"{int(bad.sum())} of {bad.numel()}"
        return Difference("nan", f"{share} of its values are {name}, the first at {_where(bad, axes)}.")
    if mine.numel() == 1:
        return Difference("wrong_values", f"it is {digits(mine.item())}, where {digits(true.item())} is right.")
    same = (mine == true) | (mine.isnan() & true.isnan())
    far = torch.where(same, 0.0, (mine - true).abs()).nan_to_num(nan=torch.inf)  # a number where NaN is right: far off
    wrong = far > ABSOLUTE + RELATIVE * true.abs()
    place = far == far.max()
    at = tuple(place.nonzero()[0].tolist())
    share = "all its values are" if wrong.all() else f"{int(wrong.sum())} of its {wrong.numel()} values are"
    text = f"{share} wrong; the largest difference is at {_where(place, axes)}: "
    text += f"{digits(mine[at].item())}, where {digits(true[at].item())} is right."
    if raw.dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool):
        text += f" Its numbers are whole ({raw.dtype}): was something rounded?"
    return Difference("wrong_values", f"{text}{_pattern(mine, true)}{_confined(wrong, axes)}")


def _where(mask: Tensor, axes: Sequence[str]) -> str:
    at = mask.nonzero()[0].tolist()
    if len(axes) == len(at):
        return ", ".join(f"{axis} {index}" for axis, index in zip(axes, at, strict=True))
    return f"index {tuple(at)}" if len(at) > 1 else f"index {at[0]}"


def _pattern(mine: Tensor, true: Tensor) -> str:
    """A factor or an offset that all values share; with few values, chance could make one."""
    if true.numel() < 4:
        return ""
    ratio = mine[true.abs() > 1e-3] / true[true.abs() > 1e-3]
    if ratio.numel() > 3 and ratio.std() < 1e-3 * ratio.mean().abs():
        factor = ratio.mean().item()
        return " All have the wrong sign." if abs(factor + 1) < 1e-3 else f" All are {factor:.4g} times what is right."
    offset = mine - true
    if offset.std() < 1e-4 * offset.mean().abs():
        return f" All are off by {offset.mean().item():.4g}."
    return ""


def _confined(wrong: Tensor, axes: Sequence[str]) -> str:
    """Whether all wrong values have one index of an axis in common, such as the last channel."""
    for axis in range(wrong.ndim):
        found = wrong.transpose(0, axis).flatten(1).any(1).nonzero().flatten().tolist() if wrong.ndim > 1 else []
        if len(found) == 1 and wrong.shape[axis] > 1:
            name = axes[axis] if len(axes) == wrong.ndim else f"axis {axis}, index"
            return f" Only {name} {found[0]} is wrong."
    return ""
