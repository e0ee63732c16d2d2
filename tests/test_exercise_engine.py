"""What an answer may do to the process, what it may return, and that neither spoils this verdict or the next."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from utils.exercises import checking, examine
from utils.exercises.definitions import Code, Mistake, Number, Task, Unusable
from utils.exercises.differences import as_tensor, compare
from utils.exercises.state import fixed_state

COMMON = {"minutes": 3, "difficulty": "★☆☆ easy", "hints": ["Think."], "look": "the start"}


def slope(x):
    """Needs gradients, and draws random numbers of the default dtype."""
    x = x.clone().requires_grad_()
    (x * torch.randn(len(x))).sum().backward()
    return x.grad


@pytest.fixture
def judge(monkeypatch):
    """Makes an exercise, whose truth is `slope` unless another is given, and a function that examines an answer."""

    def make(mistakes=(), cases=lambda: {"twenty numbers": (torch.arange(20.0),)}, **code):
        code = Code(**{"truth": slope, "cases": cases, **code})
        monkeypatch.setattr(checking, "find", lambda slug: ("1.1", Task(**COMMON, code=code, mistakes=mistakes)))
        return lambda answer: examine("one", answer)

    return make


@pytest.fixture
def restored():
    """Whatever the test leaves changed is put back."""
    with fixed_state():
        yield


def without_gradients():
    torch.set_grad_enabled(False)


def in_double():
    torch.set_default_dtype(torch.float64)


def without_memory():
    torch.set_default_device("meta")


# --- the state of the process


@pytest.mark.parametrize("change", [without_gradients, in_double, without_memory])
def test_the_truth_is_computed_in_one_state_whatever_the_answer_or_the_notebook_has_set(judge, restored, change):
    examined = judge()

    def fails(x):
        change()
        raise RuntimeError("boom")

    assert examined(fails).key == "raises"
    assert examined(slope).state == "right"
    examined = judge()
    change()
    assert examined(slope).state == "right"
    with fixed_state():
        assert examined(slope).state == "right"


def test_a_check_in_inference_mode(judge):
    def fails(x):
        raise RuntimeError("boom")

    with torch.inference_mode():
        assert judge()(fails).key == "raises"
        assert judge()(slope).state == "right"
        assert torch.is_inference_mode_enabled()


def settings():
    numbers = random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    gradients = torch.is_grad_enabled(), torch.is_anomaly_enabled(), torch.are_deterministic_algorithms_enabled()
    made = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    return *numbers, *gradients, *made, os.getcwd(), np.geterr(), sys.getrecursionlimit()


def test_an_answer_leaves_no_setting_changed(judge, restored, tmp_path):
    def restless(x):
        without_gradients(), in_double(), without_memory()
        np.random.seed(7), random.seed(7), torch.manual_seed(7)  # noqa: NPY002
        os.chdir(tmp_path)
        np.seterr(all="raise")
        torch.use_deterministic_algorithms(True)
        torch.autograd.set_detect_anomaly(True)
        torch.set_num_threads(torch.get_num_threads() + 1)
        sys.setrecursionlimit(4321)
        sys.stdout.close()
        return 1

    before = settings()
    assert judge()(restless).key == "wrong_shape"
    assert settings() == before


# --- results and errors that are hard to look at


class Mute(RuntimeError):
    def __str__(self):
        return None


def mute(x):
    raise Mute


def wordy(x):
    raise ValueError("a" * 10**6)


def endless(x):
    nested = []
    nested.append(nested)
    return nested


def fake(x):
    with FakeTensorMode():
        return torch.zeros(20)


@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        (mute, "raises", "raises Mute: (no message)"),
        (wordy, "raises", "raises ValueError: aaa"),
        (endless, "wrong_type", "it is a list"),
        (fake, "wrong_type", "it is a FakeTensor"),
        (lambda x: np.broadcast_to(0.0, (10**6, 10**6)), "wrong_type", "it is an array of float64"),
        (lambda x: torch.zeros(1).expand(10**10), "wrong_shape", "(10000000000,)"),
        (lambda x: list(range(10**6)), "wrong_shape", "(1000000,)"),
        (lambda x: [[1]] * 10**6, "wrong_type", "it is a list"),
    ],
)
def test_whatever_comes_back_is_described_in_a_short_message(judge, answer, key, words):
    verdict = judge(form=torch.flatten)(answer)
    assert verdict.key == key
    assert words in verdict.message
    assert len(verdict.message) < 1000


def test_a_list_of_numbers_is_read_as_a_whole(monkeypatch):
    """One value at a time, a list of 10⁶ numbers takes longer than a learner waits."""
    monkeypatch.delattr(torch, "stack")
    assert as_tensor([1, 2.5]).tolist() == [1, 2.5]


class Odd:
    def __init__(self, number):
        self.number = number

    def __float__(self):
        return self.number()


def test_numbers_that_are_none_and_whole_ones_in_all_their_digits(monkeypatch):
    exercise = Number(**COMMON, right=2.0**20, tolerance=0.5)
    monkeypatch.setattr(checking, "find", lambda slug: ("1.1", exercise))
    odd = Odd(lambda: 1 / 0), Odd(lambda: "text"), np.broadcast_to(0.0, (10**6, 10**6)), endless(0)
    assert {examine("one", answer).key for answer in odd} == {"wrong_type"}
    assert examine("one", 2**20 + 1).message.startswith("1048577 is too high.")
    assert examine("one", 0.123456789).message.startswith("0.123457 is too low.")


def test_a_single_wrong_number_is_named_and_not_placed():
    assert compare(18, torch.tensor(0.18)).text == "it is 18, where 0.18 is right."
    assert compare(1048577, torch.tensor([1.0]).squeeze()).text == "it is 1048577, where 1 is right."
    assert compare(float("nan"), torch.tensor(1.0)).text == "it is NaN."


# --- what is not solved yet, and whose words an error has


class Bare(nn.Module):
    """Nothing but words."""


class Begun(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x): ...


class Written(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Identity())


def empty(x):
    pass


def test_empty_code_is_not_solved_yet_whatever_the_trial_says(judge):
    def trial(answer, x):
        if not isinstance(result := answer(x) if answer is empty else answer()(x), torch.Tensor):
            raise Unusable(f"Return a tensor; this is a {type(result).__name__}.")
        return {"output": result}

    examined = judge([Mistake("no_bias", "It may have no bias.", raising="NoneType")], truth=nn.ReLU, trial=trial)
    states = [examined(answer).state for answer in (empty, Bare, Begun, Written)]
    assert states == ["not solved yet"] * 3 + ["right"]
    assert examined(lambda: None).state == "not right yet"
    assert examined(lambda: lambda x: len(x) and None).key == "unusable", "the trial's own words are no error's"
    assert examined(lambda: lambda x: len(None)).key == "no_bias"
