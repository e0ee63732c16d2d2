"""The layer under test: how it is made, fed and read, whatever its parameters and statistics are called."""

import contextlib
import copy
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normdoctor.reference import Outcome, normalize

__all__ = [
    "Broken",
    "Fixture",
    "FromBnLayer",
    "NotApplicable",
    "Probe",
    "Subject",
    "copied",
    "first_line",
    "isolated",
    "registrar",
]

GAMMAS = ("weight", "gamma", "γ", "m", "mult", "mults", "scale", "gain", "g")
BETAS = ("bias", "beta", "β", "a", "add", "adds", "shift", "offset", "b")
LIFT = 16.0  # added to β where a ReLU may follow: high enough that no output is cut off


class NotApplicable(Exception):
    """The question makes no sense for this layer; the message says why."""


class Broken(Exception):
    """The layer fails in a way that leaves nothing to compare; the message is the diagnosis."""


@dataclass(frozen=True)
class Probe:
    """One question to a layer.

    Attributes:
        name: short, for `only` and `report[name]`.
        question: in one sentence; the answer of a sound layer is yes.
        run: answers it.
        needs: what the layer must have for the question to make sense: "training", "running" (statistics), "gamma",
            "beta", "pictures" (takes four dimensions), "bnlayer" (a convolution inside) or "plain" (none).
        hint: what it probably means if the layer raises an exception.
    """

    name: str
    question: str
    run: "Callable[[Fixture], Outcome]"
    needs: tuple[str, ...] = ()
    hint: str = ""


def registrar(probes: list[Probe]) -> Callable:
    """A decorator `(name, question, *needs, hint="")` that makes a probe of a function and adds it to the list."""

    def probe(name: str, question: str, *needs: str, hint: str = "") -> Callable:
        def register(run: Callable[[Fixture], Outcome]) -> Callable[[Fixture], Outcome]:
            probes.append(Probe(name, question, run, needs, hint))
            return run

        return register

    return probe


# --- making the layer


class FromBnLayer:
    """Makes `BnLayer`-shaped layers, (ni, nf, stride, kernel_size), with a convolution that passes everything on.

    Attributes:
        layer: the class.
    """

    def __init__(self, layer: Callable[..., nn.Module]):
        self.layer = layer

    def __call__(self, num_features: int) -> nn.Module:
        """C to C channels, stride 1, kernel 3: each kernel is 1 in the middle of its own channel."""
        layer = self.layer(num_features, num_features, stride=1, kernel_size=3)
        with torch.no_grad():
            for module in layer.modules():
                if isinstance(module, nn.modules.conv._ConvNd):
                    nn.init.dirac_(module.weight)
                    if module.bias is not None:
                        module.bias.zero_()
        return layer


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Nothing that happens inside is felt outside: random numbers, default dtype, gradient mode, warnings, logs."""
    dtype, silent = torch.get_default_dtype(), logging.root.manager.disable
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(0)
        torch.set_default_dtype(torch.float32)
        logging.disable(max(silent, logging.WARNING))  # the compiler's remarks
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            logging.disable(silent)


class Fixture:
    """Knows how to make the layer under test and what to feed it.

    Args:
        make_layer: (num_features) → the layer; or a `FromBnLayer`.
        num_features: C.

    Attributes:
        adapted: the layer has a convolution and a ReLU inside.
        shape: of a batch for it, sixteen values a channel.
        dtype: of its parameters or buffers; float32 if it has none.
        eps: what it adds to the variance: what it says, else what it does, else 1e-5.
        frozen: train() has no effect on it.
        gamma_name, beta_name: of its parameters; None without.
    """

    def __init__(self, make_layer: Callable[..., nn.Module], num_features: int):
        self.make_layer, self.channels = make_layer, num_features
        self.adapted = isinstance(make_layer, FromBnLayer)
        self.gamma_name = self.beta_name = None
        self.dtype, self.shape, self.eps, self.frozen = torch.float32, self.shape_of(4), 1e-5, False
        with contextlib.suppress(Exception):  # a layer that cannot even be made is for the probes to report
            layer = self.make()
            self.dtype = next((t.dtype for t in _state(layer) if t.is_floating_point()), torch.float32)
            self.shape = self._find_shape()
            self.frozen = self._is_frozen()
            self.gamma_name, self.beta_name = self._find_affine()
            self.eps = float(attribute(layer, ("eps", "epsilon"), None) or self._find_eps())

    def shape_of(self, dimensions: int) -> tuple[int, ...]:
        """A batch of that many dimensions with sixteen values in each channel."""
        first, *space = {2: (16,), 3: (4, 4), 4: (4, 2, 2), 5: (4, 1, 2, 2)}[dimensions]
        return first, self.channels, *space

    def offers(self, option: str) -> bool:
        """Whether the layer can be made with that keyword."""
        try:
            return option in inspect.signature(self.make_layer).parameters
        except (TypeError, ValueError):
            return False

    def make(self, **options) -> nn.Module:
        """A new layer on its own: a copy, if the factory hands out one and the same."""
        torch.default_generator.manual_seed(0)  # two layers begin alike
        lazy = isinstance(self.make_layer, type) and issubclass(self.make_layer, nn.modules.lazy.LazyModuleMixin)
        layer = self.make_layer(**options) if lazy else self.make_layer(self.channels, **options)
        if not isinstance(layer, nn.Module):
            raise TypeError(f"the factory must return a torch.nn.Module; it returned {type(layer).__name__}")
        layer = copied(layer)
        if any(nn.parameter.is_lazy(t) for t in _state(layer)):  # the first input tells it its channels
            mode = layer.training
            layer.eval()(self.batch())
            layer.train(mode)
        return layer

    def batch(self, seed: int = 0, shape: tuple[int, ...] | None = None, scale: float = 1.0) -> Tensor:
        """x: float, all positive; each channel, image and place has a mean and a spread of its own, std about 1.5."""
        shape = shape or self.shape
        generator = torch.Generator().manual_seed(1000 + seed)
        column = (1, -1, *[1] * (len(shape) - 2))
        level, width = torch.rand(2, shape[1], generator=generator, dtype=torch.float64)
        noise = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        x = 6 + level.view(column) + (2 + 1.5 * width.view(column)) * noise
        return (x * scale).to(self.dtype)

    def faint(self, variance: float) -> Tensor:
        """x: positive and small; the variances of the channels lie between a quarter of that and sixteen times it."""
        generator = torch.Generator().manual_seed(3000)
        std = (variance * 4.0 ** (torch.arange(self.channels).double() - 1).clamp(max=2)).sqrt()
        noise = torch.rand(self.shape, generator=generator, dtype=torch.float64)
        return (noise * 12**0.5 * std.view(1, -1, *[1] * (len(self.shape) - 2))).to(self.dtype)

    def cotangent(self, seed: int = 0, shape: tuple[int, ...] | None = None) -> Tensor:
        """A gradient that might arrive from above."""
        generator = torch.Generator().manual_seed(2000 + seed)
        return torch.randn(shape or self.shape, generator=generator, dtype=torch.float64).to(self.dtype)

    def _find_shape(self) -> tuple[int, ...]:
        for dimensions in (4, 3, 5, 2):
            shape = self.shape_of(dimensions)
            with contextlib.suppress(Exception):
                if self.make().train()(self.batch(shape=shape)).shape == shape:
                    return shape
        return self.shape_of(4)

    def _is_frozen(self) -> bool:
        """It refuses to train, or has buffers only and does the same in both modes, as FrozenBatchNorm2d."""
        layer, x = self.make(), self.batch()
        if not layer.train().training:
            return True
        if any(True for _ in layer.parameters()) or not any(t.is_floating_point() for t in layer.buffers()):
            return False
        trained = layer(x)
        return torch.equal(trained, layer.eval()(x))

    def _find_affine(self) -> tuple[str | None, str | None]:
        """The names of γ and β: by what they are called, else by what they do (β shifts the sum of all outputs)."""
        layer = self.make()
        found = {name: p for name, p in layer.named_parameters() if p.numel() in (1, self.channels)}
        last = {name.rpartition(".")[2].lower(): name for name in found}
        gamma = next((last[name] for name in GAMMAS if name in last), None)
        beta = next((last[name] for name in BETAS if name in last), None)
        for name in [name for name in found if name not in (gamma, beta)]:
            found[name].requires_grad_(True)
            x = self.batch()
            gradient = torch.autograd.grad(layer.train()(x).sum(), found[name], allow_unused=True)[0]
            if gradient is not None and gradient.abs().max() > 0.5 * x.numel() / self.channels:
                beta = beta or name
            else:
                gamma = gamma or name
        return gamma, beta

    def _find_eps(self) -> float:
        """What must be added to variances of about 1e-6 to explain the output; 1e-5 if that differs among channels."""
        subject, x = Subject(self), self.faint(1e-6)
        with torch.no_grad():
            y = subject.train(x)
        rows, out = (t.detach().double().transpose(0, 1).flatten(1) for t in (x, y))
        eps = (rows.std(1) / out.std(1) * subject.g).square() - rows.var(1, correction=0)
        found = eps.median().item()
        return found if 1e-9 < found < 0.1 and (eps - found).abs().max() < 0.01 * found else 1e-5


class Subject:
    """One new layer, with γ and β set to known values, and what the definition says about it.

    Args:
        fixture: makes the layer.
        layer: instead of a new one.
        lift: what is added to β, and taken off again from the outputs, if a ReLU may follow.

    Attributes:
        layer: the module.
        given_training: whether it came in training mode.
        gamma, beta: its parameters, None without.
        g, b: their values in float64, (C,), without the lift.
        eps: what it adds to the variance.
        seen: the batches that it has counted before.
        momentum: the weight of the newest batch, None for the plain average of all.
    """

    def __init__(self, fixture: Fixture, layer: nn.Module | None = None, lift: float = LIFT):
        self.fixture = fixture
        self.layer = fixture.make() if layer is None else layer
        self.given_training = self.layer.training
        self.gamma, self.beta = self._parameter(fixture.gamma_name), self._parameter(fixture.beta_name)
        generator = torch.Generator().manual_seed(7)
        signs = (
            1.0 if fixture.adapted else torch.tensor([1.0, -1.0]).repeat(fixture.channels)[: fixture.channels].double()
        )
        self.g = (0.5 + torch.rand(fixture.channels, generator=generator, dtype=torch.float64)) * signs
        self.lift = lift * fixture.adapted
        self.b = torch.rand(fixture.channels, generator=generator, dtype=torch.float64) - 0.5 + self.lift
        self.g, self.b = self._set(self.gamma, self.g, 1.0), self._set(self.beta, self.b, self.lift) - self.lift
        self.eps = float(attribute(self.layer, ("eps", "epsilon"), None) or fixture.eps)
        self.momentum = attribute(self.layer, ("momentum", "mom"), 0.1)
        self.seen = int(self.counter()) if self.counter() is not None else 0

    def _parameter(self, name: str | None) -> nn.Parameter | None:
        return dict(self.layer.named_parameters()).get(name)

    def _set(self, parameter: nn.Parameter | None, values: Tensor, neutral: float) -> Tensor:
        """Give the parameter these values; what it then holds, one a channel."""
        if parameter is None:
            return torch.full_like(values, neutral)
        parameter.requires_grad_(True)
        with torch.no_grad():
            parameter.copy_(values[: parameter.numel()].view_as(parameter))
        return parameter.detach().double().flatten().expand(len(values)).clone()

    def counter(self) -> Tensor | None:
        """The buffer `num_batches_tracked`, wherever it is; None without."""
        return next((t for n, t in self.layer.named_buffers() if n.rpartition(".")[2] == "num_batches_tracked"), None)

    def lacks(self, need: str) -> str:
        """Why a probe with that need makes no sense here; empty if it does."""
        return {
            "training": "" if not self.fixture.frozen else "the layer is frozen: train() leaves it in evaluation mode",
            "running": "" if self.tracks else "the layer says that it keeps no running statistics",
            "gamma": "" if self.gamma is not None else "the layer has no γ",
            "beta": "" if self.beta is not None else "the layer has no β",
            "pictures": "" if len(self.fixture.shape) == 4 else "the layer does not take pictures (N, C, H, W)",
            "bnlayer": "" if self.fixture.adapted else "there is no convolution inside",
            "plain": "" if not self.fixture.adapted else "the convolution inside decides that",
        }[need]

    @property
    def tracks(self) -> bool:
        """Whether there are running statistics, as far as it says so."""
        return attribute(self.layer, ("track_running_stats",), True) is not False

    def train(self, x: Tensor) -> Tensor:
        """The output in training mode; the layer gets a copy of x."""
        return self.layer.train()(x.clone()) - self.lift

    def evaluate(self, x: Tensor) -> Tensor:
        """The output in evaluation mode; the layer gets a copy of x."""
        return self.layer.eval()(x.clone()) - self.lift

    def learn(self, count: int = 3) -> list[Tensor]:
        """Let it see that many batches in training, as inside a network, if it can be trained; the batches."""
        batches = [self.fixture.batch(seed + 10) for seed in range(0 if self.fixture.frozen else count)]
        for x in batches:
            self.train(x.detach().requires_grad_())
        return batches

    def expected(self, x: Tensor, **variant) -> Tensor:
        """What the definition gives, in float64."""
        return normalize(x.double(), self.g, self.b, self.eps, **variant)

    @torch.no_grad()
    def read(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (C,) each in float64, by what evaluation does to two constant levels.

        Raises:
            Broken: evaluation uses the batch's own statistics.
        """
        other = Subject(self.fixture, copied(self.layer))
        x = torch.zeros(self.fixture.shape, dtype=self.fixture.dtype)
        x[::2] = 16.0
        y = other.evaluate(x).double()
        low, high = (y[start::2].transpose(0, 1).flatten(1).mean(1) for start in (1, 0))
        slope = (high - low) / 16 / other.g
        mean, var = -(low - other.b) / other.g / slope, slope**-2 - other.eps
        if torch.allclose(mean, torch.tensor(8.0).double()) and 60 < var.mean() < 70:
            raise Broken("in evaluation it normalizes by the batch's own statistics instead of running ones")
        return mean, var

    def start(self) -> tuple[Tensor, Tensor]:
        """The running statistics before any training: read if that is possible, else 0 and 1."""
        try:
            return self.read()
        except Exception:
            return torch.zeros_like(self.g), torch.ones_like(self.g)

    def share(self, k: int) -> float:
        """The weight of the k-th batch (from 0) in the running statistics."""
        return 1 / (self.seen + k + 1) if self.momentum is None else float(self.momentum)

    def running(
        self, start: tuple[Tensor, Tensor], batches: list[Tensor], correction: int = 1, share=None
    ) -> tuple[Tensor, Tensor]:
        """Running mean and variance after these batches; `share(k)` is the weight of the k-th one."""
        mean, var = start
        for k, x in enumerate(batches):
            weight = (share or self.share)(k)
            rows = x.double().transpose(0, 1).flatten(1)  # (C, n)
            mean = (1 - weight) * mean + weight * rows.mean(1)
            var = (1 - weight) * var + weight * rows.var(1, correction=correction)
        return mean, var

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the layer by name: parameters, buffers and plain attributes."""
        found = dict(self.layer.named_parameters()) | dict(self.layer.named_buffers())
        for prefix, module in self.layer.named_modules():
            plain = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
            found |= {f"{prefix}.{name}".lstrip("."): value for name, value in plain.items()}
        return found


def attribute(layer: nn.Module, names: tuple[str, ...], default):
    """The first attribute of that name in the module or one inside it."""
    found = (vars(module)[name] for module in layer.modules() for name in names if name in vars(module))
    return next(found, default)


def _state(layer: nn.Module) -> list[Tensor]:
    return [*layer.parameters(), *layer.buffers()]


def copied(layer: nn.Module) -> nn.Module:
    """A deep copy; the layer itself if it cannot be copied."""
    try:
        return copy.deepcopy(layer)
    except Exception:
        return layer


def first_line(error: BaseException) -> str:
    """What an exception says, on one line of bearable length."""
    line = (str(error).strip().splitlines() or ["(no message)"])[0]
    return line if len(line) <= 120 else line[:120].rpartition(" ")[0] + " ..."
