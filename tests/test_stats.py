"""utils.stats: the measuring instrument, held against computations by hand, and how little it disturbs."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from device_without_float64 import AwayTensor, away
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.stats import ActivationStats

QUANTITIES = ("mean", "std", "spread", "dead", "gradient_norm")
NAN, INF = float("nan"), float("inf")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def off_the_edges(x: Tensor) -> Tensor:
    """Rounded to odd multiples of 1/256, so that no value stands on an edge between two bins of 0.2."""
    return (x * 128).round() / 128 + 1 / 256


def by_hand(x: Tensor) -> dict[str, float]:
    """What the numbers mean, in float64, for x (N, C, ...)."""
    v = x.detach().double().numpy().reshape(*x.shape[:2], -1)
    units = v.reshape(len(v), -1)
    return {
        "mean": v.mean(),
        "std": np.sqrt(((v - v.mean()) ** 2).mean()),
        "spread": np.sqrt(((units - units.mean(0)) ** 2).mean()),
        "dead": sum(len(set(v[:, c].ravel().tolist())) == 1 for c in range(v.shape[1])) / v.shape[1],
    }


def shares_by_hand(x: Tensor, low: float = -4, high: float = 4, bins: int = 40) -> np.ndarray:
    values = x.detach().double().numpy().ravel()
    return np.histogram(np.clip(values, low, high), bins, (low, high))[0] / values.size


def agree(stats: ActivationStats, x: Tensor, g: Tensor | None = None, row: int = 0, column: int = 0, rel: float = 1e-6):
    """The numbers at this place are those of x and of its gradient g; of no more digits than float32 has for x."""
    for name, expected in by_hand(x).items():
        tolerance = {"rel": rel, "abs": rel * x.abs().max().item()}
        assert getattr(stats, name)[row, column] == pytest.approx(expected, **tolerance), name
    if g is not None:
        assert stats.gradient_norm[row, column] == pytest.approx(g.double().norm().item(), rel=rel, abs=0)


def record(xs: list[Tensor], gs: list[Tensor | None] | None = None, **options) -> ActivationStats:
    """One step for each x: the layer's output is x, the gradient that reaches it is g."""
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"], **options) as stats:
        for x, g in zip(xs, gs or [None] * len(xs), strict=True):
            y = model(x.clone().requires_grad_(g is not None))
            if g is not None:
                (y * g).sum().backward()
    return stats


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 5)
    )


def train(model: nn.Module, steps: int = 3, images: int = 6) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for step in range(steps):
        loss = F.cross_entropy(model(randn(images, 3, 4, 4, seed=step)), torch.arange(images) % 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules())


def table(stats: ActivationStats) -> np.ndarray:
    return np.stack([getattr(stats, name) for name in QUANTITIES])


class Chooses(nn.Module):
    """Two layers; which of them run, and how often, is an argument. It keeps each one's last output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.outputs = nn.Linear(3, 3), nn.Linear(3, 3), {}

    def forward(self, x: Tensor, names: str) -> Tensor:
        for name in names:
            x = self.outputs[name] = getattr(self, name)(x)
            x.retain_grad()
        return x


# --- against a computation by hand -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 8), min_size=2, max_size=4),
    seed=st.integers(0, 2**31),
    shift=st.floats(-3, 3),
    scale=st.floats(0.1, 5),
    dead=st.booleans(),
)
def test_every_number_is_the_one_computed_by_hand(shape, seed, shift, scale, dead):
    x, g = off_the_edges(randn(*shape, seed=seed) * scale + shift), randn(*shape, seed=seed + 1)
    if dead:
        x[:, 0] = x.flatten()[0].clone()
    stats = record([x], [g])
    agree(stats, x, g)
    np.testing.assert_allclose(stats.histogram, shares_by_hand(x)[None, None], atol=1e-6)


def test_the_spread_is_across_images_and_the_std_is_not():
    alike = randn(1, 12, 2, 2).expand(80, 12, 2, 2)  # large differences, but not between images
    assert record([alike]).spread[0, 0] == 0
    nearly = 100 + 1e-3 * randn(64, 16, 6, 6)
    assert record([nearly]).spread[0, 0] == pytest.approx(by_hand(nearly)["spread"], rel=1e-4)


def test_dead_channels_have_one_value_whatever_it_is():
    x = randn(6, 8, 3, 3)
    x[:, 0], x[:, 1], x[:, 2] = 0.0, -2.5, 1e-30
    x[:3, 3] = 0.0  # alive: in the other images it says something
    x[:, 4] = torch.arange(6.0)[:, None, None]  # alive: differs between images only
    x[:, 5] = torch.arange(9.0).view(3, 3)  # alive: differs between places only
    assert record([x]).dead[0, 0] == 3 / 8


@pytest.mark.parametrize(("odd", "norm", "lowest", "highest"), [(NAN, NAN, 2 / 6, 1 / 6), (INF, INF, 2 / 6, 2 / 6)])
def test_what_lies_outside_is_in_the_bins_at_the_edges_and_what_is_no_number_in_none(odd, norm, lowest, highest):
    x = torch.tensor([[-1e30, odd, 0.1], [-4.5, 9.0, 0.1]])
    stats = record([x], [x])
    np.testing.assert_allclose(stats.histogram[0, 0, [0, 20, 39]], [lowest, 2 / 6, highest])
    np.testing.assert_equal(stats.gradient_norm[0, 0], norm)
    assert not np.isfinite([stats.mean, stats.std, stats.spread]).any()
    assert stats.dead[0, 0] == pytest.approx(1 / 3)


def test_bins_of_ones_own_or_none():
    x = off_the_edges(randn(8, 5, 4, 4) * 3)
    for bins, low, high in ((1, -1.0, 1.0), (7, 0.0, 3.5), (100, -50.0, -1.0)):
        stats = record([x], bins=bins, bin_range=(low, high))
        np.testing.assert_array_equal(stats.bin_edges, np.linspace(low, high, bins + 1))
        np.testing.assert_allclose(stats.histogram[0, 0], shares_by_hand(x, low, high, bins), atol=1e-6)
    cheap = record([x], [x], histogram=False)
    np.testing.assert_array_equal(table(cheap), table(record([x], [x])))
    with pytest.raises(ValueError, match="no histogram was recorded: pass histogram=True"):
        _ = cheap.histogram


@pytest.mark.parametrize("scale", [0.0, 1e-37, 1e-23, 1e30])
def test_the_smallest_and_the_largest_values(scale):
    """float32 holds these values but not their squares."""
    x, g = (randn(64, 16, 6, 6) + 0.5) * scale, randn(64, 16, 6, 6, seed=1) * scale
    agree(record([x], [g]), x, g)
    x[0, 0, 0, 0] = 1e25
    agree(record([x], [x]), x, x)


@pytest.mark.parametrize(
    "as_other",
    [
        Tensor.half,
        Tensor.bfloat16,
        lambda x: 1 + 1e-9 * x.double(),
        lambda x: x.contiguous(memory_format=torch.channels_last),
    ],
)
def test_other_types_and_layouts_also_under_autocast(as_other):
    x = as_other(randn(64, 16, 3, 3))
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            stats = record([x])
        agree(stats, x)
        assert stats.spread[0, 0] == pytest.approx(by_hand(x)["spread"], rel=1e-5, abs=0)


def test_more_values_than_float32_can_count():
    x = torch.zeros(2**12 + 1, 2**12)
    x[0, 0] = 1.0
    assert record([x]).histogram[0, 0, 25] * x.numel() == pytest.approx(1)
    assert record([x]).histogram[0, 0].sum() == pytest.approx(1, abs=1e-7)


def test_a_device_without_float64_gives_the_same_numbers_and_is_not_waited_for():
    xs = [randn(6, 3, 4, 4, seed=k) * scale for k, scale in enumerate((1.0, 1e-15, 1e15))]
    here = network()
    here[4].p = 0.0
    there, before = away(copy.deepcopy(here)), AwayTensor.looks
    with ActivationStats(here) as expected, ActivationStats(there) as stats:
        for x in xs:
            here(x).square().sum().backward()
            there(away(x)).square().sum().backward()
        assert AwayTensor.looks == before
    np.testing.assert_allclose(table(stats), table(expected), rtol=1e-6)
    np.testing.assert_array_equal(stats.histogram, expected.histogram)


# --- steps -----------------------------------------------------------------------------------------------------------


def test_each_step_is_as_alone_whatever_its_batch_size_and_scale():
    xs = [randn(n, 4, 3, 3, seed=n) * 10.0**k for k, n in enumerate((6, 6, 2, 1, 9), -12)]
    stats = record(xs, xs)
    assert stats.steps.tolist() == [0, 1, 2, 3, 4]
    for k, x in enumerate(xs):
        agree(stats, x, x, k)


@pytest.mark.parametrize("every", [1, 3, 50])
def test_every_nth_step_is_recorded_and_passes_in_evaluation_mode_are_no_steps(every):
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"], every=every) as stats:
        for k in range(7):
            model.eval()(torch.full((4, 3), 50.0))
            assert stats.steps.tolist() == list(range(0, k, every)), "it can be read while it records"
            model.train()(torch.full((4, 3), float(k)))
    assert stats.mean[:, 0].tolist() == list(range(0, 7, every))
    assert stats.histogram.shape == (len(stats.steps), 1, 40)


def test_without_a_backward_pass_there_is_no_gradient():
    with torch.inference_mode(), ActivationStats(network()) as stats:
        stats.model(randn(4, 3, 4, 4))
    assert np.isnan(stats.gradient_norm).all()
    assert np.isfinite(stats.std).all()


@pytest.mark.parametrize("runs", ["ba", "b", "aa"])
def test_each_column_is_its_layers_and_of_two_runs_the_last_counts_there_and_back(runs):
    model = Chooses()
    with ActivationStats(model, ["b", "a"]) as stats:
        for _ in range(2):
            model(randn(4, 3), runs).square().sum().backward()
    for column, name in enumerate(stats.names):
        if name in runs:
            output = model.outputs[name]
            agree(stats, output, output.grad, 1, column)
            np.testing.assert_allclose(stats.histogram[1, column], shares_by_hand(output), atol=1e-6)
        else:
            assert np.isnan(table(stats)[:, :, column]).all()
            assert np.isnan(stats.histogram[:, column]).all()


# --- which layers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (lambda model: None, ["0", "2", "5"]),
        (lambda model: nn.Module, ["", "0", "1", "2", "3", "4", "5"]),
        (lambda model: (nn.Linear, nn.Conv2d), ["0", "5"]),
        (lambda model: ("5", "1"), ["5", "1"]),
        (lambda model: "2", ["2"]),
        (lambda model: (model[4], "0"), ["4", "0"]),
        (lambda model: (layer for layer in model if isinstance(layer, nn.ReLU)), ["1"]),
    ],
)
def test_layers_are_chosen_by_name_module_or_type(layers, names):
    model = network()
    with ActivationStats(model, layers(model)) as stats:
        output = model(randn(4, 3, 4, 4))
    assert stats.names == names
    assert np.isfinite(stats.mean).all()
    if names[-1] == "5":
        assert stats.mean[0, -1] == pytest.approx(output.mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["0", "conv9"]}, "the model has no layer 'conv9'; it has: 0, 1, 2, 3, 4, 5$"),
        ({"layers": [nn.ReLU()]}, r"no layer ReLU\(\); it has: 0, 1"),
        ({"layers": []}, r"no layer of Sequential was chosen by layers=\[\]"),
        ({"layers": (nn.LSTM, nn.GRU)}, "no layer of Sequential was chosen by layers=.*LSTM"),
        ({"every": 0}, "must be at least 1 and bin_range must rise; given: every=0"),
        ({"bins": 0}, "bins=0"),
        ({"bin_range": (1.0, 1.0)}, r"bin_range=\(1.0, 1.0\)"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ActivationStats(network(), **options)


def test_a_layer_that_returns_no_tensor_of_channels():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    for value in ((torch.zeros(2, 2),), torch.zeros(3)):
        model[1].forward = lambda x, value=value: value
        refused = pytest.raises(TypeError, match=r"layer '1' must return a tensor \(N, C, \.\.\.\)")
        with refused, ActivationStats(model, "1"):
            model(randn(2, 2))
        assert hooks_of(model) == 0


# --- leaving no trace ------------------------------------------------------------------------------------------------


def test_the_hooks_go_after_an_exception_and_a_second_block_goes_on_where_the_first_ended():
    model = network()
    model[0].register_forward_hook(lambda *_: None)
    stats = ActivationStats(model)

    def interrupted() -> None:
        with stats:
            assert hooks_of(model) == 1 + 4
            train(model, 2)
            stats.__enter__()

    with pytest.raises(RuntimeError, match="already recording; end its `with` block first"):
        interrupted()
    assert hooks_of(model) == 1, "the one that is not ours"
    train(model, 3)
    with stats:
        train(model, 1)
    assert stats.steps.tolist() == [0, 1, 2]
    assert np.isfinite(table(stats)).all()


@pytest.mark.parametrize("options", [{}, {"histogram": False, "every": 2, "layers": nn.Module}])
def test_recording_changes_nothing(options):
    bare = network()
    watched = copy.deepcopy(bare)
    torch.manual_seed(7)
    expected = train(bare)
    torch.manual_seed(7)
    with ActivationStats(watched, **options), ActivationStats(watched):
        assert train(watched) == expected
    assert all(
        torch.equal(a, b) for a, b in zip(bare.state_dict().values(), watched.state_dict().values(), strict=True)
    )
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(bare.parameters(), watched.parameters(), strict=True))


def test_no_activation_and_no_graph_is_kept_alive():
    model, seen = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), []
    for layer in model:
        layer.register_forward_hook(lambda module, args, output: seen.append(weakref.ref(output)))
    with ActivationStats(model):
        model(randn(40, 3)).sum().backward()
        output = model(randn(40, 3))  # a graph that nobody goes back through; it holds the ReLU's output
        assert [ref() is None for ref in seen] == [True] * 3 + [True, False, False]
        del output
        gc.collect()
        assert [ref() for ref in seen] == [None] * 6, "not even while recording"


def test_a_relu_in_place_does_not_change_what_was_recorded():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 4))
    x, g = randn(6, 3), randn(6, 4, seed=1)
    before = (x @ model[0].weight.T + model[0].bias).detach()
    with ActivationStats(model, ["0", "1"]) as stats:
        (model(x) * g).sum().backward()
    behind = g @ model[2].weight
    for column, (values, gradient) in enumerate([(before, behind * (before > 0)), (before.clamp(min=0), behind)]):
        agree(stats, values, gradient, 0, column, rel=1e-5)
