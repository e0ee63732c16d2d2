"""What `ActivationStats` and `fit` add to a training step, and how that grows with the network and with the data."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Row, compare, linear, ratios, seconds, skipped, stepwise
from utils.layers import FirstBatchNorm2d
from utils.models import ConvNet
from utils.stats import ActivationStats
from utils.training import fit

__all__ = ["FASTAI", "fastai", "fitting", "growth", "recording"]

FASTAI = "2.8.12"
STEPS = 16  # that are timed together
MODES = {
    "a sample (the default)": ({}, 1.05),
    "every value, moments": ({"sample": None, "histogram": False}, 1.15),
    "every value, histograms": ({"sample": None}, 1.5),
}
WHY_RECORDING = (
    "By timers around the hooks, twenty layers in two threads: samples take 2.5 to 3.4 ms of a step of 75 to 80, a "
    "third of it for reducing them, the rest for forty copies. A copy takes 5 µs in a loop of its own and 25 to 40 "
    "between a network's large operations, where its 4,096 places are in no cache or in the other core's; the smaller "
    "the network, the more it counts."
)


def _networks(quick: bool) -> dict[str, Callable[[], nn.Module]]:
    if quick:
        return {"5 layers": partial(ConvNet, 5, (2, 2, 4), nn.BatchNorm2d)}
    return {
        "5 layers, 16 to 64 channels": partial(ConvNet, 5, norm_layer=nn.BatchNorm2d),
        "20 layers, 16 to 64 channels": partial(ConvNet, 20, norm_layer=nn.BatchNorm2d),
        "notebook 03's, 20 layers, 8 to 32 channels": partial(ConvNet, 20, (8, 16, 32), FirstBatchNorm2d),
    }


class Steps:
    """Training steps of one network on one batch: `steps(n)` takes n of them."""

    def __init__(self, model: nn.Module, images: int, device: str = "cpu"):
        generator = torch.Generator().manual_seed(0)
        self.model = model.to(device)
        self.x = torch.randn(images, 3, 32, 32, generator=generator).to(device)
        self.y = (torch.arange(images) % 10).to(device)
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            loss = F.cross_entropy(self.model(self.x), self.y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        if self.x.is_cuda:
            torch.cuda.synchronize()

    def one_by_one(self, steps: int, watch: Callable | None = None) -> Iterator[None]:
        """The same with a stop after each step; `watch` makes what watches them."""
        with watch() if watch else contextlib.nullcontext():
            for _ in range(steps):
                yield self(1)


def recording(quick: bool = False, device: str = "cpu") -> list[Row]:
    """A training step with `ActivationStats`, in its three modes, over the step without."""
    rows = []
    repeats, images, steps = (2, 4, 2) if quick else (15, 128, STEPS)
    for title, make in _networks(quick).items():
        arms = {"without": partial(Steps(make(), images, device).one_by_one, steps)}
        for mode, (options, _) in MODES.items():
            run = Steps(make(), images, device)
            watch = partial(ActivationStats, run.model, run.model.layers, **options)
            arms[mode] = partial(run.one_by_one, steps, watch)
        times = stepwise(arms, repeats)
        for mode, (_, target) in MODES.items():
            what = f"a step with `ActivationStats`: {mode}; {title}"
            values = ratios(times[mode], times["without"])
            rows.append(Row(what, "the step without", values, target, explanation=WHY_RECORDING))
    return rows


def fastai(quick: bool = False) -> list[Row]:
    """What fastai's callback of the same name adds to a step, over what ours adds; both with histograms."""
    what, against = "what fastai's `ActivationStats` adds to a step", "what ours adds"
    if importlib.util.find_spec("fastai") is None:
        return [skipped(what, against, f"not installed: pip install fastai=={FASTAI}", 3, at_least=True)]
    import fastai.callback.progress  # noqa: F401  (for no_bar)
    from fastai.callback.hook import ActivationStats as Theirs
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner

    repeats, images, steps = (2, 4, 2) if quick else (21, 128, STEPS)
    make = next(iter(_networks(quick).values()))
    batch = (torch.randn(images, 3, 32, 32), torch.arange(images) % 10)

    class Same:
        """A loader that gives the same batch again and again."""

        device, dataset, n_inp, bs = torch.device("cpu"), range(images * steps), 1, images

        def __init__(self, times: int):
            self.times = times

        def __len__(self) -> int:
            return self.times

        def __iter__(self):
            return iter([batch] * self.times)

    learner = Learner(
        DataLoaders(Same(steps), Same(1)), make(), loss_func=F.cross_entropy, opt_func=partial(_sgd), train_bn=True
    )
    theirs = Theirs(with_hist=True, modules=list(learner.model.layers))

    def train(callbacks: list, watch: contextlib.AbstractContextManager) -> None:
        with learner.no_bar(), learner.no_logging(), watch:
            learner.fit(1, 0.01, cbs=callbacks)

    none = contextlib.nullcontext
    times = seconds(
        {
            "bare": lambda: train([], none()),
            "theirs": lambda: train([theirs], none()),
            "ours": lambda: train([], ActivationStats(learner.model, learner.model.layers)),
            "ours, every value": lambda: train([], ActivationStats(learner.model, learner.model.layers, sample=None)),
        },
        repeats,
    )
    added = {name: median(t - bare for t, bare in zip(times[name], times["bare"], strict=True)) for name in times}
    least = 0.01 * median(times["bare"])  # what is less cannot be told from nothing
    return [
        Row(
            f"{what}; {mode}",
            against,
            (added["theirs"] / max(added[name], least),),
            target,
            at_least=True,
            note=f"Added to a step, theirs: {_share(added['theirs'], times)}; {mode}: {_share(added[name], times)}. "
            "Theirs looks at activations alone, ours at the gradients too, and across images.",
        )
        for name, mode, target in (
            ("ours", "ours a sample (the default)", 3),
            ("ours, every value", "ours every value", None),
        )
    ]


def _share(added: float, times: dict[str, list[float]]) -> str:
    return f"{100 * added / median(times['bare']):.0f} %"


def _sgd(parameters, lr, **_):
    from fastai.optimizer import SGD

    return SGD(parameters, lr)


def fitting(quick: bool = False) -> list[Row]:
    """`fit` over a bare loop of the same steps."""
    repeats, images, steps = (2, 4, 2) if quick else (21, 128, 32)
    rows = []
    for title, make in list(_networks(quick).items())[:1]:
        run = Steps(make(), images)
        batches: list[tuple[Tensor, Tensor]] = [(run.x, run.y)] * steps
        values = compare(
            lambda run=run, b=batches: fit(run.model, b, run.optimizer, progress=False), partial(run, steps), repeats
        )
        rows.append(Row(f"`fit`; {title}", "a bare loop of the same steps", values, 1.03))
    return rows


def growth(quick: bool = False) -> list[Row]:
    """Whether `fit` under `ActivationStats` costs in proportion to the layers, and to the images: the fit's R²."""
    repeats, images, steps = (2, 2, 1) if quick else (5, 64, STEPS)
    depths = (3, 4, 5) if quick else (10, 20, 40, 80)
    widths = (2, 2, 4) if quick else (8, 16, 32)

    def arm(depth: int, batches: int, watched: bool) -> Callable[[], object]:
        run = Steps(ConvNet(depth, widths, nn.BatchNorm2d), images)
        data = [(run.x, run.y)] * steps * batches

        def go() -> None:
            with ActivationStats(run.model, run.model.layers) if watched else contextlib.nullcontext():
                fit(run.model, data, run.optimizer, progress=False)

        return go

    rows = []
    for watched, name in ((False, "`fit`"), (True, "`fit` with `ActivationStats`")):
        for what, sizes, make in (
            ("depths", depths, lambda n, w=watched: arm(n, 1, w)),
            ("times the images", (1, 2, 4), lambda n, w=watched: arm(depths[0], n, w)),
        ):
            times = {n: median(t) for n, t in seconds({n: make(n) for n in sizes}, repeats).items()}
            slope, intercept, fit_of = linear(list(times), list(times.values()))
            note = f"{name}: {1e3 * slope / steps:.3g} ms a step for one more, {1e3 * intercept:.2g} ms fixed."
            listed = ", ".join(map(str, sizes))
            rows.append(
                Row(f"{name} at {listed} {what}", "a straight line", (fit_of,), 0.98, True, note=note, unit="(R²)")
            )
    return rows
