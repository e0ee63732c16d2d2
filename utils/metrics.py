"""How good are the answers? `calculate_acc`, the name the course starts from."""

import torch
from torch import Tensor

__all__ = ["calculate_acc", "right_answers"]

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def calculate_acc(outputs: Tensor, labels: Tensor) -> float:
    """The fraction of answers that are right.

    Args:
        outputs: logits, floating point, shape (N, C); or predicted class indices, integer, shape (N,).
        labels: the true class indices, integer, shape (N,); for logits each is in 0 … C-1.

    Returns:
        The share of correct answers, a float in 0 … 1. Where two logits tie, the lower class counts as the answer.

    Raises:
        ValueError: a wrong shape or dtype, no answers at all, a label out of range, or a logit that is NaN.
    """
    right = right_answers(outputs, labels)
    return int(right.sum()) / len(right)


def right_answers(outputs: Tensor, labels: Tensor) -> Tensor:
    """Which answers are right: bool (N,), on the device of `outputs`. Arguments and errors as `calculate_acc`."""
    outputs, labels = torch.as_tensor(outputs), torch.as_tensor(labels)
    given = f"outputs {_describe(outputs)} and labels {_describe(labels)}"
    if labels.ndim != 1 or labels.dtype not in INTEGERS:
        raise ValueError(f"labels must be class indices of shape (N,) and an integer dtype; given: {given}")
    if outputs.ndim not in (1, 2):
        raise ValueError(f"outputs must be logits (N, C) or class indices (N,); given: {given}")
    if len(outputs) != len(labels):
        raise ValueError(f"outputs and labels must have the same length; given: {given}")
    if len(labels) == 0:
        raise ValueError(f"there is nothing to count: the batch is empty; given: {given}")
    if labels.min() < 0:
        raise ValueError(f"a class index cannot be negative; the smallest label is {int(labels.min())}")
    return _answers(outputs, labels, given) == labels.to(outputs.device)


def _answers(outputs: Tensor, labels: Tensor, given: str) -> Tensor:
    """The predicted class of each row, after the checks that depend on what `outputs` is."""
    if outputs.ndim == 1:
        if outputs.dtype not in INTEGERS:
            raise ValueError(f"class indices must be integers (logits have two dimensions, (N, C)); given: {given}")
        return outputs
    if not outputs.is_floating_point():
        raise ValueError(f"logits must be floating point; given: {given}")
    if outputs.shape[1] == 0 or labels.max() >= outputs.shape[1]:
        raise ValueError(f"label {int(labels.max())} is out of range for {outputs.shape[1]} classes; given: {given}")
    if outputs.isnan().any():
        bad = int(outputs.isnan().any(1).sum())
        raise ValueError(f"{bad} of {len(outputs)} rows of logits contain NaN: the network's output is not usable")
    return outputs.argmax(1)


def _describe(x: Tensor) -> str:
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
