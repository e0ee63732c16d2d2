"""One training loop for the whole course: device, progress bar, history."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.metrics import right_answers
from utils.progress import Bar

__all__ = ["History", "evaluate", "fit", "pick_device", "right_pictures"]

Batches = Iterable[tuple[Tensor, Tensor]]
CHECK_EVERY = 16  # steps between two looks at the loss: on a GPU each look waits for the queue


@dataclass
class History:
    """What a training run leaves behind.

    Attributes:
        loss: the loss of each step, shape (steps,).
        accuracy: the accuracy on the test batches after each epoch, as a fraction; empty when none were given.
        seconds: the time of the training steps alone, without evaluation.
        stopped: why training ended early; None when it did not.
    """

    loss: np.ndarray = field(default_factory=lambda: np.empty(0))
    accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str | None = None


def pick_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def fit(
    model: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    epochs: int = 1,
    *,
    test: Batches | None = None,
    loss_function: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    after_step: Callable[[int], None] | None = None,
    progress: bool | str = True,
) -> History:
    """Train `model`, where it is, on batches of (inputs, labels).

    Args:
        model: left in training mode.
        batches: a pass over them is an epoch; they are moved to the model's device.
        optimizer: of the model's parameters.
        epochs: passes over the batches, at least 1.
        test: when given, the accuracy on these after each epoch, in evaluation mode.
        loss_function: of (outputs, labels), a scalar.
        scheduler: stepped after every optimizer step.
        after_step: called with the number of steps done, after each.
        progress: show a bar, under this name if it is one ("seed 2 of 3"), and print why when training stops early;
            False for neither.

    Returns:
        The `History`. When the loss is not finite, training stops (at most 16 steps later), the history ends with
        the last finite loss, and `stopped` says so. The same when, before a test, the parameters are not finite.

    Raises:
        ValueError: fewer than one epoch, or no batches.
    """
    if epochs < 1:
        raise ValueError(f"training needs at least one epoch; given: {epochs}")
    device = _device_of(model)
    history, pending = History(), []
    step, steps = 0, len(batches) * epochs if hasattr(batches, "__len__") else None
    with Bar(steps, progress if isinstance(progress, str) else "", shown=bool(progress)) as bar:
        for _ in range(epochs):
            model.train()
            epoch_start, start = step, time.perf_counter()
            for inputs, labels in batches:
                loss = loss_function(model(inputs.to(device)), labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
                pending.append(loss.detach())
                step += 1
                bar.update()
                if after_step is not None:
                    after_step(step)
                if len(pending) == CHECK_EVERY and not _collect(history, pending, bar):
                    break
            if step == epoch_start:
                raise ValueError("there is nothing to train on: the batches are empty")
            finite = history.stopped is None and _collect(history, pending, bar)
            history.seconds += time.perf_counter() - start
            if not finite:
                break
            if test is not None and not _finite_parameters(model):
                history.stopped = (
                    f"Stopped: after step {step} some of the network's parameters are not finite. "
                    "Try a smaller learning rate."
                )
                break
            if test is not None:
                history.accuracy.append(evaluate(model, test))
                bar.update(0, f"loss {history.loss[-1]:.3f}, test accuracy {history.accuracy[-1]:.3f}")
    if history.stopped and progress:
        print(history.stopped)
    return history


def evaluate(model: nn.Module, batches: Batches) -> float:
    """The accuracy of `model` in evaluation mode: the mean of `right_pictures`, whose arguments and errors it has."""
    return float(right_pictures(model, batches).mean())


def right_pictures(model: nn.Module, batches: Batches) -> np.ndarray:
    """Which pictures `model` gives their class in evaluation mode; afterwards every module is back in its mode.

    Args:
        model: maps inputs to logits (N, C).
        batches: of (inputs, labels), in the same order each time.

    Returns:
        bool (N,): a claim whose arms are rows of these can cover other pictures too.

    Raises:
        ValueError: no batches, or outputs that `calculate_acc` refuses.
    """
    device, modes, found = _device_of(model), {module: module.training for module in model.modules()}, []
    model.eval()
    try:
        with torch.no_grad():
            for inputs, labels in batches:
                found.append(right_answers(model(inputs.to(device)), labels.to(device)).cpu().numpy())
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not found:
        raise ValueError("there is nothing to evaluate: the batches are empty")
    return np.concatenate(found)


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _finite_parameters(model: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def _collect(history: History, pending: list[Tensor], bar: Bar) -> bool:
    """Move the pending losses into the history; False when one of them is not finite."""
    if not pending:
        return True
    losses = torch.stack(pending).cpu().double().numpy()  # on the CPU: Apple's GPU has no float64
    pending.clear()
    finite = np.isfinite(losses)
    good = len(losses) if finite.all() else int(finite.argmin())
    history.loss = np.append(history.loss, losses[:good])
    if good == len(losses):
        bar.update(0, f"loss {losses[-1]:.3f}")
        return True
    history.stopped = (
        f"Stopped: the loss is {losses[good]} at step {len(history.loss) + 1}. "
        "Try a smaller learning rate, another initialization, or look for a layer that divides by zero."
    )
    return False
