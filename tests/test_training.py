"""utils.training: the loop against a bare one, its history, and what it does when training goes wrong."""

import contextlib
import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from device_without_float64 import away
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from utils import progress
from utils.training import CHECK_EVERY, History, evaluate, fit, pick_device

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def toy(n: int = 24, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes of points, each around its own corner."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return torch.eye(3)[y] * 2 + 0.3 * torch.randn(n, 3, generator=generator), y


def batches_of(n: int = 24, size: int = 8, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x, y = toy(n, seed)
    return list(zip(x.split(size), y.split(size), strict=True))


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


class LossAt:
    """Cross entropy, but at one step (counted from 1) something is added that is not finite; the gradient stays so."""

    def __init__(self, step: int, extra: float = float("inf")):
        self.step, self.extra, self.calls = step, extra, 0

    def __call__(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        loss = F.cross_entropy(outputs, labels)
        return loss + self.extra if self.calls == self.step else loss


class Answers(nn.Module):
    """Always the same class; remembers how it was asked."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.eye(3)[0])
        self.inner, self.modes, self.grad = nn.Dropout(), [], []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes.append((self.training, self.inner.training))
        self.grad.append(torch.is_grad_enabled())
        return self.logits.expand(len(x), -1)


# --- fit: what it computes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_training_brings_the_loss_down(device):
    model, batches = network().to(device), batches_of()
    history = fit(model, batches, sgd(model), 20, test=batches, progress=False)
    assert isinstance(history, History)
    assert history.loss.shape == (60,)
    assert history.loss[-3:].mean() < 0.3 * history.loss[:3].mean()
    assert len(history.accuracy) == 20
    assert history.accuracy[-1] > 0.9
    assert history.seconds > 0
    assert history.stopped is None
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("steps_an_epoch", [1, 3, CHECK_EVERY, CHECK_EVERY + 1])
def test_it_is_the_bare_loop(steps_an_epoch):
    """The same losses and the same weights, to the last bit, however the steps fall on the looks at the loss."""
    batches = batches_of(8 * steps_an_epoch, 8)
    bare, ours = network(), network()
    optimizer, losses = sgd(bare), []
    torch.manual_seed(5)
    bare.train()
    for _ in range(3):
        for x, y in batches:
            loss = F.cross_entropy(bare(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    torch.manual_seed(5)
    history = fit(ours, batches, sgd(ours), 3, progress=False)
    assert history.loss.tolist() == losses
    assert all(torch.equal(a, b) for a, b in zip(bare.state_dict().values(), ours.state_dict().values(), strict=True))


def test_a_model_in_evaluation_mode_is_trained_in_training_mode():
    model = Answers().eval()
    fit(model, batches_of(), sgd(model), progress=False)
    assert model.modes == [(True, True)] * 3
    assert model.training
    assert model.inner.training


def test_the_accuracy_of_each_epoch_is_that_on_the_test_batches_and_finding_it_changes_nothing():
    expected, losses, batches, test = [], [], batches_of(), batches_of(10, 4, seed=1)
    for tested in (None, test):
        model = network()

        def after_step(step: int, model: nn.Module = model) -> None:
            if step % len(batches) == 0:
                expected.append(evaluate(copy.deepcopy(model), test))

        torch.manual_seed(5)
        history = fit(model, batches, sgd(model, 0.01), 4, test=tested, after_step=after_step, progress=False)
        losses.append(history.loss.tolist())
        assert history.accuracy == (expected[-4:] if tested else [])
    assert losses[0] == losses[1]
    assert len(set(expected)) > 1, "a test in which the accuracy never changes would show little"


def test_another_loss_function():
    model = nn.Linear(3, 1)
    targets = [(x, x.sum(1, keepdim=True)) for x, _ in batches_of()]
    first = F.mse_loss(model(targets[0][0]), targets[0][1]).item()
    history = fit(model, targets, sgd(model, 0.01), 10, loss_function=F.mse_loss, progress=False)
    assert history.loss[0] == first
    assert history.loss[-1] < 0.2 * first


def test_the_scheduler_steps_with_the_optimizer_and_after_step_counts_from_1_through_all_epochs():
    model, seen = network(), []
    optimizer = sgd(model, 1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    def after_step(step: int) -> None:
        seen.append((step, optimizer.param_groups[0]["lr"]))

    fit(model, batches_of(), optimizer, 2, scheduler=scheduler, after_step=after_step, progress=False)
    assert seen == [(k, 0.5**k) for k in range(1, 7)]


def test_batches_may_be_a_generator_but_there_must_be_some_in_each_epoch():
    model = network()
    assert len(fit(model, iter(batches_of()), sgd(model)).loss) == 3
    for batches in (iter(batches_of()), []):
        with pytest.raises(ValueError, match="nothing to train on: the batches are empty"):
            fit(model, batches, sgd(model), 2)
    with pytest.raises(ValueError, match="at least one epoch; given: 0"):
        fit(model, batches_of(), sgd(model), 0)


# --- fit: losses that are not finite ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1, 2, 16, 17, 20, 21, 40])
@pytest.mark.parametrize("extra", [float("inf"), float("nan")])
def test_training_stops_where_the_loss_is_not_finite(bad, extra):
    """The history ends before the bad loss, also if finite ones follow, and up to there nothing is different."""
    good, model, batches, steps = network(), network(), batches_of(8 * 20, 8), []
    torch.manual_seed(5)
    expected = fit(good, batches, sgd(good), 3, progress=False).loss
    torch.manual_seed(5)
    history = fit(
        model, batches, sgd(model), 3, test=batches, loss_function=LossAt(bad, extra), after_step=steps.append,
        progress=False,
    )  # fmt: skip
    assert history.loss.tolist() == expected[: bad - 1].tolist()
    assert history.stopped.startswith(f"Stopped: the loss is {extra} at step {bad}. Try a smaller learning rate")
    assert bad <= len(steps) < bad + CHECK_EVERY
    assert len(history.accuracy) == (bad - 1) // 20, "epochs that ended well keep their accuracy"


def test_training_stops_when_an_update_ruins_the_parameters_after_a_finite_loss():
    network = nn.Linear(2, 2)
    batches = [(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))]
    optimizer = torch.optim.SGD(network.parameters(), lr=float("inf"))
    history = fit(network, batches, optimizer, 3, test=batches, progress=False)
    assert len(history.loss) == 1
    assert history.accuracy == []
    assert history.stopped.startswith("Stopped: after step 1 some of the network's parameters are not finite.")


@pytest.mark.parametrize("progress", [True, "seed 1", False])
@pytest.mark.parametrize("bad", [0, 3])
def test_what_is_printed(capsys, bad, progress):
    """Why training stopped, if somebody is to see how far it is; where there is no terminal, no bar."""
    model = network()
    history = fit(model, batches_of(), sgd(model), loss_function=LossAt(bad), test=batches_of(), progress=progress)
    assert (history.stopped is None) == (bad == 0)
    assert capsys.readouterr() == (f"{history.stopped}\n" if bad and progress else "", "")


class Drawn:
    """A place for bars that writes down what it is told."""

    since = 0.0

    def __init__(self):
        self.texts = []

    def draw(self, bar) -> None:
        self.texts.append(str(bar))

    def clear(self) -> None:
        self.texts.append("")


@pytest.mark.parametrize("end", [None, KeyError, KeyboardInterrupt])
def test_the_bar_says_what_is_running_and_goes_when_training_ends_fails_or_is_interrupted(monkeypatch, end):
    drawn, model = Drawn(), network()
    monkeypatch.setattr(progress, "REDRAW", 0.0)
    monkeypatch.setattr(progress, "_place", lambda: drawn)

    def after_step(step: int) -> None:
        if step == 3 and end is not None:
            raise end

    with pytest.raises(end) if end else contextlib.nullcontext():
        fit(model, batches_of(), sgd(model), 2, test=batches_of(), after_step=after_step, progress="seed 2 of 3")
    assert drawn.texts[0].startswith("seed 2 of 3: 1 of 6 steps, ")
    assert drawn.texts[-1] == ""
    assert drawn.texts[-2].startswith(f"seed 2 of 3: {6 if end is None else 3} of 6 steps")
    assert any("loss " in text and "test accuracy " in text for text in drawn.texts) == (end is None)


# --- evaluate --------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=9), seed=st.integers(0, 2**31))
def test_each_image_counts_once_however_uneven_the_batches(sizes, seed):
    n = sum(sizes)
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 4, generator=generator), torch.randint(0, 4, (n,), generator=generator)
    assert (
        evaluate(nn.Identity(), zip(x.split(sizes), y.split(sizes), strict=True)) == int((x.argmax(1) == y).sum()) / n
    )


def test_the_model_is_asked_in_evaluation_mode_and_without_gradients():
    model = Answers()
    evaluate(model, batches_of())
    assert model.modes == [(False, False)] * 3
    assert model.grad == [False] * 3
    assert torch.is_grad_enabled()
    assert model.training
    assert model.inner.training


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


@pytest.mark.parametrize("training", [True, False])
def test_every_module_gets_its_own_mode_back_after_an_error_too(training):
    model = network().train(training)
    model[1].train(not training)  # for instance a frozen normalization
    before = modes(model)
    evaluate(model, batches_of())
    assert modes(model) == before
    with pytest.raises(ValueError, match="same length"):
        evaluate(model, [(torch.zeros(4, 3), torch.zeros(3, dtype=torch.long))])
    assert modes(model) == before
    assert torch.is_grad_enabled()


def test_what_cannot_be_evaluated():
    model = Answers()
    with pytest.raises(ValueError, match="nothing to evaluate: the batches are empty"):
        evaluate(model, [])
    model.logits.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="8 of 8 rows of logits contain NaN"):
        evaluate(model, batches_of())
    assert model.training


# --- the device ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_best_device_is_picked(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    device = pick_device()
    assert isinstance(device, torch.device)
    assert device.type == expected


def test_a_device_without_float64_trains_and_counts_the_same():
    here = network()
    here[3].p = 0.0
    there = away(copy.deepcopy(here))
    batches, gone = batches_of(), [(away(x), away(y)) for x, y in batches_of()]
    expected = fit(here, batches, sgd(here), 2, test=batches, progress=False)
    history = fit(there, gone, sgd(there), 2, test=gone, progress=False)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-5)
    assert history.accuracy == expected.accuracy
