"""The exercises of notebook 04: evaluation mode and running estimates."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable
from utils.exercises.nb02 import pictures

__all__ = ["EXERCISES"]

AXES = (0, 2, 3)


# --- 4.3 update


def try_update(answer, mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> dict:
    """The two results by their names."""
    result = answer(mean, var, x, momentum)
    if result is None:
        return {"running mean": None, "running variance": None}
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Unusable("Return two tensors: `return new_mean, new_var`.")
    return {"running mean": result[0], "running variance": result[1]}


def updated(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.var(AXES), momentum)


def _moved(old: Tensor, new: Tensor, share: float) -> Tensor:
    return old + share * (new - old)


def biased(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.var(AXES, unbiased=False), momentum)


def of_deviations(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var.sqrt(), x.std(AXES), momentum) ** 2


def deviation_for_variance(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.std(AXES), momentum)


def mean_only(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), var


def without_forgetting(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return mean + momentum * x.mean(AXES), var + momentum * x.var(AXES)


def around_the_old_mean(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    count = x.numel() // x.shape[1]
    spread = (x - mean.view(1, -1, 1, 1)).square().sum(AXES) / (count - 1)
    return _moved(mean, x.mean(AXES), momentum), _moved(var, spread, momentum)


# --- 4.4 recalibrate


def made_network() -> nn.Sequential:
    """Two normalized convolutions whose running statistics are far from those of any batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5, momentum=0.3),
        )  # fmt: skip
    for layer in norms(network):
        nn.init.uniform_(layer.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
        layer.running_mean.fill_(7.0)
        layer.running_var.fill_(0.1)
        layer.num_batches_tracked.fill_(50)
    return network


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def made_batches(sizes: tuple[int, ...]) -> list[Tensor]:
    return [pictures(size, 3, 4, 4, seed=seed) + seed for seed, size in enumerate(sizes)]


def try_recalibration(answer, network: nn.Module, batches: list[Tensor]) -> dict:
    """What the network remembers afterwards, its mode, and what it computes."""
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    answer(network, batches)
    found = {}
    for place, layer in enumerate(norms(network), 1):
        found[f"running mean of normalization {place}"] = layer.running_mean.clone()
        found[f"running variance of normalization {place}"] = layer.running_var.clone()
    same = all(torch.equal(parameter, weights[name]) for name, parameter in network.named_parameters())
    found["weights"] = "unchanged" if same else "changed"
    found["momenta"] = ", ".join(str(layer.momentum) for layer in norms(network))
    found["mode"] = "training" if network.training else "evaluation"
    return found


def recalibrated(network: nn.Module, batches: list[Tensor], reset=True, plain=True, restore=True, end=True) -> None:
    layers = norms(network)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        if reset:
            layer.reset_running_stats()
        if plain:
            layer.momentum = None
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    if restore:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if end:
        network.eval()


def in_evaluation_mode(network: nn.Module, batches: list[Tensor]) -> None:
    network.eval()
    for layer in norms(network):
        layer.reset_running_stats()
    for batch in batches:
        network(batch)


def unmoved(network: nn.Module, batches: list[Tensor]) -> None:
    network.eval()


def last_batch_only(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, batches[-1:])


def first_batch_only(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, batches[:1])


def one_large_batch(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, [torch.cat(batches)])


EXERCISES = {
    "4.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=5 * (1 - 0.9**10),
        tolerance=0.02,
        mistakes=[
            Mistake(
                "arrived",
                "After ten batches it has not arrived at 5: each batch closes only a tenth of the gap that is left. "
                "(Or you took 0.1 for the weight of the old, as Keras would.)",
                value=5.0,
            ),
            Mistake(
                "what_is_missing",
                "That is what is still missing. The running mean began at 0; how far has it come?",
                value=5 * 0.9**10,
            ),
            Mistake("one_batch", "That is so after the first batch. Nine more follow.", value=0.5),
            Mistake("nine_batches", "That is so after nine batches. Count again.", value=5 * (1 - 0.9**9)),
            Mistake("eleven_batches", "That is so after eleven batches. Count again.", value=5 * (1 - 0.9**11)),
            Mistake(
                "slow",
                "That would be α = 0.01. Here it is 0.1, PyTorch's default.",
                value=5 * (1 - 0.99**10),
            ),
        ],
        hints=[
            "After one batch it is 0.9 · 0 + 0.1 · 5. And after the next?",
            "Look at the gap to 5: by which factor does each batch shrink it?",
            "Or let a loop of ten turns do it: `r = 0.9 * r + 0.1 * 5`.",
        ],
        look='the formula in the section "Remember more than one batch"',
        remark="A third of the wrong start is still there after ten batches: that is the lag in the figure above.",
    ),
    "4.2": Choice(
        minutes=4,
        difficulty="★★☆ medium",
        right="c",
        wrong={
            "a": "`torch.no_grad()` switches off the recording for gradients, and nothing else. Which line of "
            "`forward` moves the running estimates, and what does it ask?",
            "b": "Weights change in `optimizer.step()` only, and there is none in an evaluation.",
            "d": "The parameters are out of reach: nothing calls `optimizer.step()`. But something else than a "
            "parameter is written in `forward`.",
            "e": "Gradients are what `no_grad` does prevent, and without `backward` there are none anyway.",
        },
        hints=[
            "What does our `RunningBatchNorm.forward` ask before it moves its estimates: whether gradients are "
            "recorded, or `self.training`?",
            "Look at the line `with torch.no_grad():` inside that `forward`. The estimates are moved under it.",
            "Try it: print `layer.running_mean` of an `nn.BatchNorm2d` before and after a batch under `no_grad`.",
        ],
        look="`RunningBatchNorm.forward`",
        remark="So the test pictures have left their mark in the model: the estimates have seen them. Later results "
        "on these pictures are no clean test any more.",
    ),
    "4.3": Code(
        minutes=10,
        difficulty="★★☆ medium",
        truth=updated,
        trial=try_update,
        cases=lambda: {
            "three channels and momentum 0.1": (
                torch.tensor([1.0, -2.0, 0.5]),
                torch.tensor([4.0, 1.0, 9.0]),
                pictures(2, 3, 2, 2),
                0.1,
            ),
            "three channels and momentum 0.25": (
                torch.zeros(3),
                torch.ones(3),
                pictures(3, 3, 2, 1, seed=1),
                0.25,
            ),
        },
        mistakes=[
            Mistake(
                "biased",
                "You divided by n for the variance. The running variance stands for all the data, so it is the one "
                "with n - 1.",
                like=biased,
            ),
            Mistake(
                "keras",
                "The momentum is the weight of the new batch in PyTorch, and you gave it to the old estimate, as Keras "
                "does.",
                like=lambda mean, var, x, momentum: updated(mean, var, x, 1 - momentum),
            ),
            Mistake(
                "of_deviations",
                "You move the standard deviation and square it. What is moved is the variance: the mean of squares is "
                "not the square of a mean.",
                like=of_deviations,
            ),
            Mistake(
                "deviation_for_variance",
                "You move the variance towards the batch's standard deviation.",
                like=deviation_for_variance,
            ),
            Mistake("mean_only", "The mean is right; the variance has stayed where it was.", like=mean_only),
            Mistake(
                "without_forgetting",
                "The old estimate keeps its full weight, so the sum grows with every batch. How much of the old is to "
                "stay?",
                like=without_forgetting,
            ),
            Mistake(
                "last_batch",
                "These are the statistics of the batch alone: nothing of the old estimate is left.",
                like=lambda mean, var, x, momentum: updated(mean, var, x, 1.0),
            ),
            Mistake(
                "around_the_old_mean",
                "You take the batch's variance around the running mean. A batch varies around its own mean.",
                like=around_the_old_mean,
            ),
            Mistake(
                "exchanged",
                "These are the right two tensors in the wrong order: first the mean, then the variance.",
                like=lambda *arguments: updated(*arguments)[::-1],
            ),
        ],
        hints=[
            "First the statistics of the batch: one mean and one variance for each channel, shape (C,).",
            "Which of the two conventions, n or n - 1, did the figures of four values speak for?",
            "`old.lerp(new, share)` is (1 - share) · old + share · new, and leaves `old` as it is.",
        ],
        look='the section "A variance with n or with n - 1?"',
        form=torch.squeeze,
        axes=("channel",),
        remark="These are PyTorch's numbers, to the last digit.",
    ),
    "4.4": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=recalibrated,
        trial=try_recalibration,
        cases=lambda: {
            "three batches of four": (made_network(), made_batches((4, 4, 4))),
            "batches of 4, 4 and 2": (made_network(), made_batches((4, 4, 2))),
        },
        mistakes=[
            Mistake(
                "no_reset",
                "The plain average goes on from what was remembered before. The old estimates have to go first.",
                like=lambda network, batches: recalibrated(network, batches, reset=False),
            ),
            Mistake(
                "moving_average",
                "That is still a moving average, and a part of the start is left in it. What has `momentum` to be, for "
                "the plain average of all batches?",
                like=lambda network, batches: recalibrated(network, batches, plain=False),
            ),
            Mistake(
                "nothing_forgotten",
                "The estimates have moved on from the old ones with the old momentum: neither were they reset, nor is "
                "it a plain average.",
                like=lambda network, batches: recalibrated(network, batches, reset=False, plain=False),
            ),
            Mistake(
                "evaluation_mode",
                "The old estimates are gone and no new ones are there: in which mode does a layer look at its batch?",
                like=in_evaluation_mode,
            ),
            Mistake(
                "unmoved",
                "The network remembers what it remembered before: no batch has reached it, or it was in "
                "evaluation mode.",
                like=unmoved,
            ),
            Mistake(
                "left_in_training",
                "The estimates are right. But the network was left in training mode, where it does not use them.",
                like=lambda network, batches: recalibrated(network, batches, end=False),
            ),
            Mistake(
                "momentum_lost",
                "The estimates are right. But each layer's `momentum` is no longer what it was, and the next training "
                "would go on with the plain average.",
                like=lambda network, batches: recalibrated(network, batches, restore=False),
            ),
            Mistake(
                "both_left",
                "The estimates are right. But the network is still in training mode, and its `momentum` is not what it "
                "was.",
                like=lambda network, batches: recalibrated(network, batches, restore=False, end=False),
            ),
            Mistake(
                "last_batch",
                "Only the last batch is remembered. Is something reset inside the loop?",
                like=last_batch_only,
            ),
            Mistake("first_batch", "Only the first batch is remembered.", like=first_batch_only),
            Mistake(
                "one_large_batch",
                "You joined the batches into one, whose statistics are others than the average of the batches'. "
                "Send them through one by one.",
                like=one_large_batch,
            ),
            Mistake(
                "parameters_reset",
                "You call `reset_parameters()`, which takes γ and β back to their start as well.",
                like=lambda network, batches: (
                    [layer.reset_parameters() for layer in norms(network)],
                    recalibrated(network, batches),
                ),
            ),
        ],
        hints=[
            "What has to be true of each normalization before the first batch, and what of the network while the "
            "batches go through?",
            "`nn.BatchNorm2d` has a method `reset_running_stats()`, and with `momentum = None` it takes the "
            "plain average.",
            "Remember each layer's momentum in a list before you change it, and put it back at the end.",
        ],
        look='the cell with `with_exact_statistics`, in the section "How far behind is it?"',
        form=torch.squeeze,
        axes=("channel",),
        remark="This is what averaging weights over training needs, too: the averaged network has never seen a batch. "
        "PyTorch calls it `torch.optim.swa_utils.update_bn`.",
    ),
}
