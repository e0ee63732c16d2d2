"""What is measured on a GPU only: an epoch in bfloat16 and channels_last, and the time to 94 % on the test images.

Every function takes a device, so that a test can run it, small, on a CPU.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Row, ratios, seconds, skipped
from utils.data import Batches, ImageData, load
from utils.layers import BatchNorm2d, ConvLayer
from utils.models import ConvNet
from utils.training import evaluate

__all__ = ["SmallNet", "epochs", "time_to_accuracy", "train_to"]


class SmallNet(nn.Module):
    """Eight convolutions of the course's kind, two skips, pooling between: small, fast, and good for 94 %.

    Shape: (N, 3, 32, 32) → (N, 10).
    """

    def __init__(self, norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d, width: int = 64):
        super().__init__()
        layer = partial(ConvLayer, stride=1, norm_layer=norm_layer, norm_first=True)
        self.start = layer(3, width)
        self.down = nn.ModuleList(layer(width * 2**k, width * 2 ** (k + 1)) for k in range(3))
        self.beside = nn.ModuleDict(
            {
                str(k): nn.Sequential(*[layer(width * 2 ** (k + 1), width * 2 ** (k + 1)) for _ in range(2)])
                for k in (0, 2)
            }
        )
        self.head = nn.Linear(width * 8, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        for k, down in enumerate(self.down):
            x = F.max_pool2d(down(x), 2)
            if str(k) in self.beside:
                x = x + self.beside[str(k)](x)
        return self.head(x.amax((2, 3))) * 0.125


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _epoch(model: nn.Module, batches: Batches, step: Callable[[Tensor], None]) -> None:
    """One pass in bfloat16 (autocast) and channels_last."""
    model.train()
    for images, labels in batches:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(batches.device.type, torch.bfloat16):
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        step(loss)
    _finish(batches.device)


def epochs(quick: bool = False, device: str = "cuda") -> list[Row]:
    """An epoch of the course's network with our layer, eager and compiled, over the same with `nn.BatchNorm2d`."""
    repeats, batch, size = (2, 8, 16) if quick else (5, 512, None)
    batches = load(verbose=False).batches("train", batch, size=size, augment=True, drop_last=True, device=device)
    shape = (3, (2, 2, 4)) if quick else (20, (64, 128, 256))

    def arm(norm: Callable[[int], nn.Module], through: Callable = lambda model: model) -> Callable[[], None]:
        model = through(ConvNet(*shape, norm).to(device, memory_format=torch.channels_last))
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

        def step(loss: Tensor) -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return partial(_epoch, model, batches, step)

    # One shape only, and said to be so: else what one arm has seen decides how the next is compiled.
    through = partial(torch.compile, dynamic=False, backend="eager" if quick else "inductor")
    arms = {
        "nn": arm(nn.BatchNorm2d),
        "ours": arm(BatchNorm2d),
        "nn, compiled": arm(nn.BatchNorm2d, through),
        "ours, compiled": arm(BatchNorm2d, through),
    }
    times = seconds(arms, repeats)
    what, against = "an epoch in bfloat16, channels_last, our layer", "`nn.BatchNorm2d`"
    compiled = ratios(times["ours, compiled"], times["nn, compiled"])
    return [
        Row(what, against, ratios(times["ours"], times["nn"]), 1.5),
        Row(f"{what}, compiled", f"{against}, compiled", compiled, 1.0),
    ]


def train_to(
    target: float, data: ImageData, device: str, *, width: int = 64, batch: int = 512, epochs: int = 24, size=None
) -> tuple[float | None, float, float]:
    """Train `SmallNet` until the test accuracy reaches the target.

    Returns:
        The seconds of training until then, None if it was not reached; the accuracy; the seconds of testing, which do
        not count. Loading and the first, warming-up steps on a copy do not count either.
    """
    place = torch.device(device)
    batches = data.batches("train", batch, size=size, augment=True, drop_last=True, device=device)
    test = data.batches("test", batch, size=size, device=device)
    torch.manual_seed(0)
    for warm_up in (True, False):
        model = SmallNet(width=width).to(place, memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.4, epochs * len(batches), pct_start=0.2)

        def step(loss: Tensor, optimizer=optimizer, schedule=schedule) -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

        if warm_up:
            few = data.batches(
                "train", batch, size=min(batches.images.shape[0], 2 * batch), augment=True, device=device
            )
            _epoch(model, few, step)
    trained = tested = accuracy = 0.0
    for _ in range(epochs):
        start = time.perf_counter()
        _epoch(model, batches, step)
        middle = time.perf_counter()
        accuracy = evaluate(model, test)
        trained, tested = trained + middle - start, tested + time.perf_counter() - middle
        if accuracy >= target:
            return trained, accuracy, tested
    return None, accuracy, tested


def time_to_accuracy(quick: bool = False, device: str = "cuda") -> list[Row]:
    """Seconds to 94 % on the test images, with a small network; the published record for one A100 is about 3 s."""
    what, against, target = "time to 94 % on the test images", "the record for one A100, about 3 s", 3
    data = load(verbose=False)
    if data.is_stand_in and not quick:
        return [skipped(what, against, "Needs CIFAR-10: see data/README.md.", target)]
    settings = {"width": 2, "batch": 8, "epochs": 1, "size": 16} if quick else {}
    taken, accuracy, tested = train_to(0.0 if quick else 0.94, data, device, **settings)
    note = f"Test accuracy {accuracy:.3f}; testing took {tested:.1f} s more."
    return [Row(what, against, () if taken is None else (taken,), target, note=note, unit="s")]
