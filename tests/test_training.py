"""utils.training: the loop against a bare one, its history, and what it does when training goes wrong."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from utils.training import CHECK_EVERY, History, evaluate, fit, pick_device


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
    """Cross entropy, but at one step (counted from 1) the loss is multiplied by something that is not finite."""

    def __init__(self, step: int, factor: float = float("inf")):
        self.step, self.factor, self.calls = step, factor, 0

    def __call__(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        loss = F.cross_entropy(outputs, labels)
        return loss * self.factor if self.calls == self.step else loss


class Answers(nn.Module):
    """Always the same class; remembers how it was asked."""

    def __init__(self, answer: int = 0, classes: int = 3):
        super().__init__()
        self.logits = nn.Parameter(torch.eye(classes)[answer])
        self.inner, self.modes, self.grad = nn.Dropout(), [], []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes.append((self.training, self.inner.training))
        self.grad.append(torch.is_grad_enabled())
        return self.logits.expand(len(x), -1)


def plan(*sizes: int, answer: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of these sizes, in which only the first is all of the class `answer`."""
    return [(torch.zeros(n, 1), torch.full((n,), answer if k == 0 else answer + 1)) for k, n in enumerate(sizes)]


# --- fit: what it computes -------------------------------------------------------------------------------------------


def test_training_brings_the_loss_down():
    model, batches = network(), batches_of()
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


def test_evaluation_between_epochs_changes_nothing():
    losses = []
    for test in (None, batches_of(seed=1)):
        model = network()
        torch.manual_seed(5)
        losses.append(fit(model, batches_of(), sgd(model), 3, test=test, progress=False).loss.tolist())
    assert losses[0] == losses[1]


def test_a_model_in_evaluation_mode_is_trained_in_training_mode():
    model = Answers().eval()
    fit(model, batches_of(), sgd(model), progress=False)
    assert model.modes == [(True, True)] * 3
    assert model.training
    assert model.inner.training


def test_the_accuracy_of_each_epoch_is_that_on_the_test_batches():
    model, test = network(), batches_of(10, 4, seed=1)
    expected = []
    batches = batches_of()

    def after_step(step: int) -> None:
        if step % len(batches) == 0:
            expected.append(evaluate(copy.deepcopy(model), test))

    history = fit(model, batches, sgd(model, 0.01), 4, test=test, after_step=after_step, progress=False)
    assert history.accuracy == expected
    assert len(set(expected)) > 1, "a test in which the accuracy never changes would show little"


def test_without_test_batches_there_is_no_accuracy():
    model = network()
    assert fit(model, batches_of(), sgd(model), 2, progress=False).accuracy == []


def test_another_loss_function():
    model = nn.Linear(3, 1)
    targets = [(x, x.sum(1, keepdim=True)) for x, _ in batches_of()]
    first = F.mse_loss(model(targets[0][0]), targets[0][1]).item()
    history = fit(model, targets, sgd(model, 0.01), 10, loss_function=F.mse_loss, progress=False)
    assert history.loss[0] == first
    assert history.loss[-1] < 0.2 * first


def test_the_scheduler_steps_with_the_optimizer():
    model = network()
    optimizer = sgd(model, 1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    rates = []
    fit(model, batches_of(), optimizer, 2, scheduler=scheduler, progress=False,
        after_step=lambda step: rates.append(optimizer.param_groups[0]["lr"]))  # fmt: skip
    assert rates == [0.5**k for k in range(1, 7)]


def test_after_step_counts_from_1_through_all_epochs():
    model, steps = network(), []
    fit(model, batches_of(), sgd(model), 3, after_step=steps.append, progress=False)
    assert steps == list(range(1, 10))


def test_an_error_after_a_step_comes_through():
    model = network()

    def after_step(step: int) -> None:
        if step == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(model, batches_of(), sgd(model), after_step=after_step, progress=True)


def test_batches_may_be_a_generator():
    model = network()
    history = fit(model, (batch for batch in batches_of()), sgd(model), progress=True)
    assert len(history.loss) == 3
    assert history.stopped is None


def test_a_generator_that_is_used_up_is_no_second_epoch():
    model = network()
    with pytest.raises(ValueError, match="nothing to train on"):
        fit(model, (batch for batch in batches_of()), sgd(model), 2, progress=False)


@pytest.mark.parametrize("batches", [[], iter([])])
def test_no_batches(batches):
    model = network()
    with pytest.raises(ValueError, match="nothing to train on: the batches are empty"):
        fit(model, batches, sgd(model), progress=False)


@pytest.mark.parametrize("epochs", [0, -2])
def test_no_epochs(epochs):
    model = network()
    with pytest.raises(ValueError, match=f"at least one epoch; given: {epochs}"):
        fit(model, batches_of(), sgd(model), epochs, progress=False)


def test_a_history_of_its_own():
    a, b = History(), History()
    assert a.loss.shape == (0,)
    assert a.accuracy is not b.accuracy
    assert (a.accuracy, a.seconds, a.stopped) == ([], 0.0, None)


# --- fit: losses that are not finite ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1, 2, 5, 15, 16, 17, 32, 33, 40])
@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_training_stops_where_the_loss_is_not_finite(bad, factor):
    model, batches = network(), batches_of(8 * 20, 8)
    loss_function, steps = LossAt(bad, factor), []
    with np.errstate(all="raise"):
        history = fit(
            model, batches, sgd(model), 3, test=batches, loss_function=loss_function, after_step=steps.append,
            progress=False,
        )  # fmt: skip
    assert history.loss.shape == (bad - 1,)
    assert np.isfinite(history.loss).all()
    assert history.stopped.startswith(f"Stopped: the loss is {factor} at step {bad}. Try a smaller learning rate")
    assert bad <= len(steps) < bad + CHECK_EVERY
    assert len(history.accuracy) == (bad - 1) // 20, "epochs that ended well keep their accuracy"


def test_one_bad_loss_is_enough_though_finite_ones_follow():
    """The history ends before the bad one, and what came after it, up to the look at the loss, is not counted."""
    model, calls = network(), []

    def loss_function(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        loss = F.cross_entropy(outputs, labels)
        return loss + float("inf") if len(calls) == 3 else loss  # its gradient is finite all the same

    history = fit(model, batches_of(80, 8), sgd(model), loss_function=loss_function, progress=False)
    assert len(calls) == 10
    assert len(history.loss) == 2
    assert "the loss is inf at step 3." in history.stopped


def test_up_to_the_bad_step_nothing_is_different():
    good, bad = network(), network()
    torch.manual_seed(5)
    expected = fit(good, batches_of(160, 8), sgd(good), progress=False).loss
    torch.manual_seed(5)
    got = fit(bad, batches_of(160, 8), sgd(bad), loss_function=LossAt(19), progress=False).loss
    assert got.tolist() == expected[:18].tolist()


def test_a_learning_rate_far_too_large_stops_training():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))
    history = fit(model, batches_of(), torch.optim.SGD(model.parameters(), lr=1e30), 50, progress=False)
    assert history.stopped is not None
    assert f"at step {len(history.loss) + 1}." in history.stopped
    assert np.isfinite(history.loss).all()
    assert len(history.loss) < 150


@pytest.mark.parametrize("bad", [2, 20])
def test_why_training_stopped_is_printed(capsys, bad):
    model = network()
    history = fit(model, batches_of(240, 8), sgd(model), loss_function=LossAt(bad), progress=True)
    assert capsys.readouterr().out == history.stopped + "\n"


def test_a_run_that_goes_well_prints_only_a_bar(capsys):
    model = network()
    fit(model, batches_of(), sgd(model), 2, test=batches_of(), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "6" in err
    assert "step" in err


@pytest.mark.parametrize("bad", [0, 3])
def test_without_progress_nothing_is_printed(capsys, bad):
    model = network()
    history = fit(model, batches_of(), sgd(model), 2, loss_function=LossAt(bad), test=batches_of(), progress=False)
    assert (history.stopped is None) == (bad == 0)
    assert capsys.readouterr() == ("", "")


# --- evaluate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "expected"), [((1, 9), 0.1), ((9, 1), 0.9), ((5, 5, 1), 5 / 11), ((7,), 1.0)])
def test_uneven_batches_are_weighted_by_their_images(sizes, expected):
    accuracy = evaluate(Answers(), plan(*sizes))
    assert isinstance(accuracy, float)
    assert accuracy == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_how_the_images_are_batched_does_not_matter(sizes, seed):
    n = sum(sizes)
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 4, generator=generator), torch.randint(0, 4, (n,), generator=generator)
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    expected = (x.argmax(1) == y).sum().item() / n
    assert evaluate(nn.Identity(), batches) == pytest.approx(expected, abs=1e-12)
    assert evaluate(nn.Identity(), iter(batches)) == pytest.approx(expected, abs=1e-12)


def test_the_model_is_asked_in_evaluation_mode_and_without_gradients():
    model = Answers()
    evaluate(model, plan(2, 2))
    assert model.modes == [(False, False)] * 2
    assert model.grad == [False] * 2
    assert torch.is_grad_enabled()
    assert model.training
    assert model.inner.training


def test_evaluation_leaves_the_running_statistics_alone():
    model = network()
    before = copy.deepcopy(model.state_dict())
    evaluate(model, batches_of())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("other", ["1", "3", "4"])
def test_every_module_gets_its_own_mode_back(training, other):
    model = network().train(training)
    model.get_submodule(other).train(not training)  # for instance a frozen normalization
    before = modes(model)
    evaluate(model, batches_of())
    assert modes(model) == before
    assert set(before.values()) == {True, False}


def test_the_modes_come_back_after_an_error_too():
    model = network()
    model[1].eval()
    before = modes(model)
    with pytest.raises(ValueError, match="same length"):
        evaluate(model, [(torch.zeros(4, 3), torch.zeros(3, dtype=torch.long))])
    assert modes(model) == before
    with pytest.raises(RuntimeError):
        evaluate(model, [(torch.zeros(4, 7), torch.zeros(4, dtype=torch.long))])
    assert modes(model) == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("batches", [[], iter([])])
def test_nothing_to_evaluate(batches):
    model = network()
    with pytest.raises(ValueError, match="nothing to evaluate: the batches are empty"):
        evaluate(model, batches)
    assert model.training


def test_outputs_that_cannot_be_counted():
    model = Answers()
    model.logits.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="2 of 2 rows of logits contain NaN"):
        evaluate(model, plan(2))


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


def test_the_picked_device_can_compute():
    assert (torch.ones(2, device=pick_device()) + 1).sum().item() == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_follow_the_model():
    model = network().cuda()
    history = fit(model, batches_of(), sgd(model), 5, test=batches_of(), progress=False)
    assert history.loss[-1] < history.loss[0]
    assert len(history.accuracy) == 5


def test_training_stops_when_an_update_ruins_the_parameters_after_a_finite_loss():
    network = nn.Linear(2, 2)
    batches = [(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))]
    optimizer = torch.optim.SGD(network.parameters(), lr=float("inf"))
    history = fit(network, batches, optimizer, 3, test=batches, progress=False)
    assert len(history.loss) == 1
    assert history.accuracy == []
    assert history.stopped.startswith("Stopped: after step 1 some of the network's parameters are not finite.")
