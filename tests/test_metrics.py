"""utils.metrics: the fraction correct, and every way of asking for it wrongly."""

import numpy as np
import pytest
import torch
from device_without_float64 import away
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics import INTEGERS, calculate_acc

quick = settings(max_examples=40, deadline=None)


def naive(logits: list[list[float]], labels: list[int]) -> float:
    """Counted one by one; the first of the largest logits is the answer."""
    return sum(row.index(max(row)) == label for row, label in zip(logits, labels, strict=True)) / len(labels)


@quick
@given(n=st.integers(1, 40), classes=st.integers(1, 12), seed=st.integers(0, 2**31), ties=st.booleans())
def test_logits_are_counted_as_by_hand(n, classes, seed, ties):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-1, 2, (n, classes)) if ties else rng.normal(size=(n, classes))
    labels = rng.integers(0, classes, n)
    accuracy = calculate_acc(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels))
    assert type(accuracy) is float
    assert accuracy == naive(np.float32(logits).tolist(), labels.tolist())


@quick
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_indices_are_counted_as_by_hand(pairs):
    outputs, labels = (torch.tensor(column) for column in zip(*pairs, strict=True))
    accuracy = calculate_acc(outputs, labels)
    assert type(accuracy) is float
    assert accuracy == sum(a == b for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_dtype_will_do(dtype):
    labels = torch.tensor([0, 1, 2], dtype=dtype)
    assert calculate_acc(torch.eye(3), labels) == 1.0
    assert calculate_acc(torch.tensor([0, 1, 1]), labels) == 2 / 3
    assert calculate_acc(torch.tensor([0, 1, 1], dtype=dtype), torch.arange(3)) == 2 / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_every_floating_dtype_will_do(dtype):
    assert calculate_acc(torch.eye(3, dtype=dtype), torch.tensor([0, 1, 1])) == 2 / 3


def test_a_device_without_float64_will_do():
    assert calculate_acc(away(torch.eye(3)), away(torch.tensor([0, 1, 1]))) == 2 / 3


def test_infinite_logits_are_answers():
    inf = float("inf")
    assert calculate_acc(torch.tensor([[-inf, 0.0], [0.0, inf]]), torch.tensor([1, 1])) == 1.0


def test_lists_and_arrays_are_taken_too():
    assert calculate_acc([[0.0, 1.0], [1.0, 0.0]], [1, 1]) == 0.5
    assert calculate_acc(np.array([1, 0]), np.array([1, 0])) == 1.0


def test_counting_changes_nothing_and_needs_no_gradient():
    logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    before = logits.detach().clone(), labels.clone()
    calculate_acc(logits, labels)
    assert torch.equal(logits.detach(), before[0])
    assert torch.equal(labels, before[1])
    assert logits.grad is None


LABELS = torch.tensor([0, 1, 2])
NAN = float("nan")


@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        (torch.eye(3), LABELS.float(), r"labels must be class indices.*\(3, 3\) float32 and labels \(3,\) float32"),
        (torch.eye(3), LABELS.bool(), r"labels must be class indices.*labels \(3,\) bool"),
        (torch.eye(3), torch.eye(3).long(), r"labels must be class indices.*labels \(3, 3\) int64"),
        (torch.eye(3), torch.tensor(1), r"labels must be class indices.*labels \(\) int64"),
        (torch.tensor(1.0), LABELS, r"outputs must be logits \(N, C\) or class indices.*outputs \(\) float32"),
        (torch.zeros(3, 4, 5), LABELS, r"outputs must be logits.*outputs \(3, 4, 5\) float32 and labels \(3,\) int64"),
        (torch.eye(3)[:2], LABELS, r"same length.*outputs \(2, 3\) float32 and labels \(3,\) int64"),
        (torch.arange(4), LABELS, r"same length.*outputs \(4,\) int64 and labels \(3,\) int64"),
        (torch.empty(0, 3), LABELS[:0], r"empty.*outputs \(0, 3\) float32 and labels \(0,\) int64"),
        (LABELS[:0], LABELS[:0], r"empty.*outputs \(0,\) int64"),
        (torch.eye(3), torch.tensor([0, -2, 1]), "cannot be negative; the smallest label is -2"),
        (LABELS, torch.tensor([0, -1, 1]), "cannot be negative; the smallest label is -1"),
        (torch.eye(3), torch.tensor([0, 1, 3]), r"label 3 is out of range for 3 classes.*outputs \(3, 3\) float32"),
        (torch.empty(3, 0), LABELS, r"out of range for 0 classes.*outputs \(3, 0\) float32"),
        (LABELS.float(), LABELS, r"class indices must be integers.*outputs \(3,\) float32"),
        (LABELS.bool(), LABELS, r"class indices must be integers.*outputs \(3,\) bool"),
        (torch.eye(3).long(), LABELS, r"logits must be floating point.*outputs \(3, 3\) int64"),
        (torch.tensor([[0.0, NAN], [NAN, NAN], [1.0, 0.0]]), LABELS.clamp(max=1), "2 of 3 rows of logits contain NaN"),
    ],
)
def test_what_cannot_be_counted_is_refused(outputs, labels, message):
    with pytest.raises(ValueError, match=message):
        calculate_acc(outputs, labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_labels_may_be_on_another_device():
    assert calculate_acc(torch.eye(3).cuda(), LABELS) == 1.0
    assert calculate_acc(LABELS.cuda(), LABELS) == 1.0
