"""utils.stats: the measuring instrument, held against computations by hand, and how little it disturbs."""

import copy
import gc
import weakref
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.stats import LARGE, PATIENCE, ROOMS, TOGETHER, ActivationStats

quick = settings(max_examples=30, deadline=None)
MOMENTS = ("mean", "std", "spread", "dead", "gradient_norm")
MODES = pytest.mark.parametrize("sample", [None, 4096])


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def off_the_edges(x: Tensor) -> Tensor:
    """Rounded to odd multiples of 1/256, so that no value stands on an edge between two bins of 0.2."""
    return (x * 128).round() / 128 + 1 / 256


def by_hand(x: Tensor) -> dict[str, float]:
    """What the numbers mean, in float64, for x (N, C, ...)."""
    v = x.detach().double().numpy().reshape(*x.shape[:2], -1)
    n = v.shape[0]
    mean = v.sum() / v.size
    units = v.reshape(n, -1)
    return {
        "mean": mean,
        "std": np.sqrt(((v - mean) ** 2).sum() / v.size),
        "spread": np.sqrt(np.mean([((unit - unit.sum() / n) ** 2).sum() / n for unit in units.T])),
        "dead": sum(len(set(v[:, c].ravel().tolist())) == 1 for c in range(v.shape[1])) / v.shape[1],
    }


def shares_by_hand(x: Tensor, low: float = -4, high: float = 4, bins: int = 40) -> np.ndarray:
    values = x.detach().double().numpy().ravel()
    inside = np.clip(values[~np.isnan(values)], low, high)
    return np.histogram(inside, bins, (low, high))[0] / values.size


def record(xs: list[Tensor], gs: list[Tensor | None] | None = None, **options) -> ActivationStats:
    """One step for each x: the layer's output is x, the gradient that reaches it is g."""
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"], **options) as stats:
        for x, g in zip(xs, gs or [None] * len(xs), strict=True):
            y = model(x.clone().requires_grad_(g is not None))
            if g is not None:
                (y * g).sum().backward()
    return stats


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
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
    return np.stack([getattr(stats, name) for name in MOMENTS])


# --- against a computation by hand -----------------------------------------------------------------------------------

shapes = st.one_of(
    st.tuples(st.integers(1, 8), st.integers(1, 6)),
    st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)),
)


@pytest.mark.parametrize("sample", [None, 4096])  # tensors as small as these are not sampled but taken whole
@quick
@given(shape=shapes, seed=st.integers(0, 2**31), shift=st.floats(-3, 3), scale=st.floats(0.1, 5), dead=st.booleans())
def test_every_number_is_the_one_computed_by_hand(sample, shape, seed, shift, scale, dead):
    x, g = off_the_edges(randn(*shape, seed=seed) * scale + shift), randn(*shape, seed=seed + 1)
    if dead:
        x[:, 0] = x.flatten()[0].clone()
    stats = record([x], [g], sample=sample)
    for name, expected in by_hand(x).items():
        values = getattr(stats, name)
        assert values.shape == (1, 1)
        assert values[0, 0] == pytest.approx(expected, rel=1e-4, abs=1e-5 * (scale + abs(shift))), name
    assert stats.gradient_norm[0, 0] == pytest.approx(g.double().square().sum().sqrt().item(), rel=1e-5)
    assert stats.histogram.shape == (1, 1, 40)
    np.testing.assert_allclose(stats.histogram[0, 0], shares_by_hand(x), atol=1e-6)
    assert stats.histogram.sum() == pytest.approx(1, abs=1e-5)


@MODES
def test_layers_of_a_network(sample):
    """Each column is its layer's, and the gradient is that of the loss with respect to the layer's output."""
    model, x, y = network(), randn(6, 3, 4, 4), torch.arange(6) % 5
    outputs = {}

    def keep(module: nn.Module, args: tuple, output: Tensor) -> None:
        output.retain_grad()
        outputs[module] = output

    own = [model[i].register_forward_hook(keep) for i in (0, 2, 5)]
    names = ["5", "0", "2"]
    with ActivationStats(model, names, sample=sample) as stats:
        F.cross_entropy(model(x), y).backward()
    for hook in own:
        hook.remove()
    assert stats.names == names
    for column, name in enumerate(names):
        output = outputs[model[int(name)]]
        for quantity, expected in by_hand(output).items():
            assert getattr(stats, quantity)[0, column] == pytest.approx(expected, rel=1e-4, abs=1e-6), (name, quantity)
        assert stats.gradient_norm[0, column] == pytest.approx(output.grad.norm().item(), rel=1e-5)
        np.testing.assert_allclose(stats.histogram[0, column], shares_by_hand(output), atol=1e-6)


@MODES
def test_the_spread_is_across_images_and_the_std_is_not(sample):
    alike = torch.arange(12.0).view(1, 12, 1, 1).expand(8, 12, 2, 2)  # large differences, but not between images
    stats = record([alike], sample=sample)
    assert stats.spread[0, 0] == pytest.approx(0, abs=1e-5)
    assert stats.std[0, 0] == pytest.approx(np.arange(12).std(), rel=1e-6)
    assert stats.mean[0, 0] == pytest.approx(5.5, rel=1e-6)


@MODES
def test_dead_channels_have_one_value_whatever_it_is(sample):
    x = randn(6, 8, 3, 3)
    x[:, 0], x[:, 1], x[:, 2] = 0.0, -2.5, 1e-30
    x[:3, 3] = 0.0  # alive: in the other images it says something
    x[:, 4] = torch.arange(6.0)[:, None, None]  # alive: differs between images only
    x[:, 5] = torch.arange(9.0).view(3, 3)  # alive: differs between places only
    assert record([x], sample=sample).dead[0, 0] == 3 / 8


@MODES
def test_values_outside_the_range_are_in_the_bins_at_its_edges(sample):
    x = torch.tensor([[-1e30, -7.0, -4.5, 0.1], [4.5, 9.0, 1e30, float("inf")]])
    shares = record([x], sample=sample).histogram[0, 0]
    assert (shares[0], shares[20], shares[39]) == (3 / 8, 1 / 8, 4 / 8)
    assert shares.sum() == 1


@MODES
def test_what_is_no_number_is_in_no_bin(sample):
    nan = float("nan")
    x = torch.tensor([[nan, -9.0, nan], [9.0, 0.1, 0.1]])
    stats = record([x], sample=sample)
    shares = stats.histogram[0, 0]
    assert (shares[0], shares[20], shares[39]) == pytest.approx((1 / 6, 2 / 6, 1 / 6))
    assert shares.sum() == pytest.approx(4 / 6)
    assert np.isnan(stats.mean[0, 0])
    assert np.isnan(stats.std[0, 0])


@pytest.mark.parametrize(("bins", "low", "high"), [(1, -1.0, 1.0), (7, 0.0, 3.5), (100, -50.0, -1.0)])
def test_bins_of_ones_own(bins, low, high):
    x = off_the_edges(randn(8, 5, 4, 4) * 3)
    stats = record([x], bins=bins, bin_range=(low, high))
    np.testing.assert_array_equal(stats.bin_edges, np.linspace(low, high, bins + 1))
    np.testing.assert_allclose(stats.histogram[0, 0], shares_by_hand(x, low, high, bins), atol=1e-6)


def test_the_bins_by_default():
    np.testing.assert_allclose(record([randn(2, 2)]).bin_edges, np.linspace(-4, 4, 41))


@MODES
@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-23, 1.0, 1e23, 1e30])
def test_the_smallest_and_the_largest_values(sample, scale):
    """float32 holds these values but not their squares."""
    x, g = (randn(6, 4, 3, 3) + 0.5) * scale, randn(6, 4, 3, 3, seed=1) * scale
    stats = record([x], [g], sample=sample)
    for name, expected in by_hand(x).items():
        assert getattr(stats, name)[0, 0] == pytest.approx(expected, rel=1e-4, abs=0), name
    assert stats.gradient_norm[0, 0] == pytest.approx(g.double().square().sum().sqrt().item(), rel=1e-4, abs=0)


@MODES
def test_zeros(sample):
    stats = record([torch.zeros(4, 3, 2, 2)], [torch.zeros(4, 3, 2, 2)], sample=sample)
    assert table(stats)[:, 0, 0].tolist() == [0, 0, 0, 1, 0]


@MODES
def test_steps_of_very_different_scale_do_not_disturb_each_other(sample):
    xs = [randn(4, 3, seed=k) * 10.0 ** (8 * k - 24) for k in range(7)]
    stats = record(xs, sample=sample)
    for k, x in enumerate(xs):
        assert stats.std[k, 0] == pytest.approx(by_hand(x)["std"], rel=1e-4, abs=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types(dtype):
    x = randn(6, 4, 3, 3).to(dtype)
    stats = record([x], sample=None)
    for name, expected in by_hand(x).items():
        assert getattr(stats, name)[0, 0] == pytest.approx(expected, rel=1e-4, abs=1e-6), name


# --- large tensors, which are summed up in float32 where that is good enough ------------------------------------------


def large(kind: str) -> Tensor:
    x = randn(64, 16, 6, 6)
    match kind:
        case "after a ReLU, some channels dead":
            x = x.relu()
            x[:, 3], x[:, 5] = 0.0, 2.5
        case "all places of a channel have one mean":
            x = x[..., :1, :1].expand(64, 16, 6, 6).contiguous()
            x[:, 3] = 1.0
        case "alike, far from zero":
            x = x[:1] + 100 + 1e-3 * x
        case "tiny" | "huge":
            x = x * {"tiny": 1e-23, "huge": 1e23}[kind]
        case "one is infinite":
            x[0, 0, 0, 0] = float("inf")
        case "channels last":
            x = x.contiguous(memory_format=torch.channels_last)
        case "an odd number":
            x = randn(65, 7, 7, 7)
    return x


KINDS = ("plain", "after a ReLU, some channels dead", "all places of a channel have one mean", "alike, far from zero")
KINDS += ("tiny", "huge", "channels last", "an odd number")


@pytest.mark.parametrize("kind", KINDS)
def test_large_tensors(kind):
    x = large(kind)
    assert x.numel() > LARGE
    stats = record([x], [x], sample=None)
    for name, expected in by_hand(x).items():
        tolerance = 1e-3 if kind == "alike, far from zero" else 2e-5  # there, float32 itself has no more digits
        assert getattr(stats, name)[0, 0] == pytest.approx(expected, rel=tolerance, abs=1e-6 * x.abs().max().item()), (
            name
        )
    assert stats.gradient_norm[0, 0] == pytest.approx(x.double().norm().item(), rel=1e-5)
    if kind != "tiny":  # -1e-23 is in the bin of zero
        np.testing.assert_allclose(stats.histogram[0, 0], shares_by_hand(x), atol=1e-4)


@pytest.mark.parametrize("bins", [127, 128])
def test_large_tensors_in_many_bins(bins):
    x = off_the_edges(large("plain"))
    stats = record([x], sample=None, bins=bins, bin_range=(-3.001, 3.001))
    np.testing.assert_allclose(stats.histogram[0, 0], shares_by_hand(x, -3.001, 3.001, bins), atol=1e-4)


def test_large_tensors_that_are_not_finite():
    stats = record([large("one is infinite")], [large("one is infinite")], sample=None)
    assert stats.histogram[0, 0].sum() == pytest.approx(1)
    assert not np.isfinite(stats.mean[0, 0])
    assert stats.gradient_norm[0, 0] == float("inf")
    assert stats.dead[0, 0] == 0


def test_an_outlier_that_a_look_at_some_values_misses():
    x = torch.zeros(64, 16, 6, 6)
    x[:, :, ::2] = 1.0
    x[5, 5, 0, 1] = 1e25
    stats = record([x], [x], sample=None)
    for name, expected in by_hand(x).items():
        assert getattr(stats, name)[0, 0] == pytest.approx(expected, rel=1e-5), name
    assert stats.gradient_norm[0, 0] == pytest.approx(1e25, rel=1e-5)


@pytest.mark.parametrize("kind", ["tiny", "alike, far from zero"])
def test_values_that_become_ordinary_again(kind):
    """Where float32 was not enough it is not tried for some steps; either way the numbers are right."""
    xs = [large("plain"), large(kind), *[large("plain") * (k + 1) for k in range(PATIENCE + 2)]]
    stats = record(xs, xs, sample=None)
    for step, x in enumerate(xs):
        for name, expected in by_hand(x).items():
            assert getattr(stats, name)[step, 0] == pytest.approx(expected, rel=1e-3), name
        assert stats.gradient_norm[step, 0] == pytest.approx(x.double().norm().item(), rel=1e-5)


def test_autocast_does_not_round_the_sums():
    x = large("plain") * 0.01 + 1
    model = nn.Sequential(nn.Identity())
    with torch.autocast("cpu", torch.bfloat16), ActivationStats(model, ["0"], sample=None) as stats:
        model(x)
    for name, expected in by_hand(x).items():
        assert getattr(stats, name)[0, 0] == pytest.approx(expected, rel=1e-4), name


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(128, 300), (64, 16, 200), (64, 16, 32, 32), (256, 8, 20, 12), (33, 3, 64, 64)])
def test_a_sample_is_close_to_the_whole(shape):
    xs = [randn(*shape, seed=k).abs() * 2 + 1 for k in range(3)]
    gs = [randn(*shape, seed=k + 9) for k in range(3)]
    whole, sample = record(xs, gs, sample=None), record(xs, gs)
    for name in ("mean", "std", "gradient_norm"):
        np.testing.assert_allclose(getattr(sample, name), getattr(whole, name), rtol=0.08, err_msg=name)
    np.testing.assert_allclose(sample.spread, whole.spread, rtol=0.1)  # of few images it is a little smaller
    np.testing.assert_array_equal(sample.dead, whole.dead)
    # a bin holds at most 1/12 of the values; in a sample of 3000 its share has a standard error of 0.005
    np.testing.assert_allclose(sample.histogram, whole.histogram, atol=0.025)
    np.testing.assert_allclose(sample.histogram.sum(2), 1, rtol=1e-5)
    assert not np.array_equal(sample.mean, whole.mean), "these are large enough to be sampled"


def test_a_sample_has_every_channel():
    x = randn(64, 300, 8, 8)
    x[:, ::3] = 0
    assert record([x], sample=64).dead[0, 0] == pytest.approx(1 / 3)


def test_a_sample_is_not_the_edge_of_the_picture():
    x = randn(16, 4, 32, 32)
    x[:, :, 2:-2, 2:-2] += 100
    assert record([x], sample=1024).mean[0, 0] == pytest.approx(100, abs=1)


@pytest.mark.parametrize("images", [32, 256])
def test_what_is_kept_does_not_grow_with_the_batch_nor_with_the_steps(images):
    """Samples wait in rooms of a size that the batch does not decide; they hold nothing else alive."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    with ActivationStats(model, nn.Conv2d, sample=1024) as stats:
        for step in range(2 * TOGETHER + 3):
            model(randn(images, 3, 18, 18, seed=step)).sum().backward()
            assert len(stats._waiting) == 2, "activations and gradients"
            for samples in stats._waiting.values():
                assert len(samples.places) == (step + 1) % TOGETHER
                # 32 images, 8 channels, 4 places, float32
                assert samples.room.untyped_storage().nbytes() == TOGETHER * 32 * 8 * 4 * 4
                assert not samples.room.requires_grad
    assert stats._waiting == {}


def test_steps_in_inference_mode_and_outside_it():
    xs = [randn(6, 4, 3, 3, seed=k) for k in range(2)]
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"]) as stats:
        with torch.inference_mode():
            model(xs[0])
        model(xs[1])
    np.testing.assert_allclose(stats.mean[:, 0], [x.mean() for x in xs], rtol=1e-4, atol=1e-6)


def test_another_batch_size_at_each_step_does_not_fill_the_memory():
    xs = [randn(n, 2, 3) for n in range(1, ROOMS + 9)]
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"]) as stats:
        for x in xs:
            model(x)
            assert len(stats._waiting) <= ROOMS
    np.testing.assert_allclose(stats.mean[:, 0], [x.mean() for x in xs], rtol=1e-4, atol=1e-6)


# --- steps -----------------------------------------------------------------------------------------------------------


@MODES
def test_more_steps_than_are_reduced_together_are_as_each_alone(sample):
    n = 2 * TOGETHER + 5
    xs = [randn(6, 4, 5, 5, seed=k) * (k + 1) + k for k in range(n)]
    gs = [randn(6, 4, 5, 5, seed=k + n) * (k + 1) for k in range(n)]
    together = record(xs, gs, sample=sample)
    assert together.steps.tolist() == list(range(n))
    for k in range(n):
        alone = record([xs[k]], [gs[k]], sample=sample)
        np.testing.assert_allclose(table(together)[:, k], table(alone)[:, 0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(together.histogram[k], alone.histogram[0], atol=1e-6)


@MODES
@pytest.mark.parametrize("sizes", [(6, 6, 2), (2, 6, 6, 2, 6), (1,) * 17 + (5,)])
def test_batches_of_different_sizes(sample, sizes):
    xs = [randn(n, 4, 3, 3, seed=k) + k for k, n in enumerate(sizes)]
    gs = [randn(n, 4, 3, 3, seed=k + 50) for k, n in enumerate(sizes)]
    stats = record(xs, gs, sample=sample)
    for k, (x, g) in enumerate(zip(xs, gs, strict=True)):
        for name, expected in by_hand(x).items():
            assert getattr(stats, name)[k, 0] == pytest.approx(expected, rel=1e-4, abs=1e-5), (k, name)
        assert stats.gradient_norm[k, 0] == pytest.approx(g.norm().item(), rel=1e-5)


@MODES
def test_passes_in_evaluation_mode_are_no_steps(sample):
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"], sample=sample) as stats:
        model.eval()
        model(randn(4, 3) + 50)
        model.train()
        model(randn(4, 3) + 1)
        model.eval()
        model(randn(4, 3) + 70)
        model.train()
        model(randn(4, 3) + 2)
        model.eval()
        model(randn(4, 3) + 90)
    assert stats.steps.tolist() == [0, 1]
    np.testing.assert_allclose(stats.mean[:, 0] - randn(4, 3).mean().item(), [1, 2], rtol=1e-5)


@MODES
@pytest.mark.parametrize("every", [1, 2, 3, 50])
def test_every_nth_step(sample, every):
    xs, gs = [randn(4, 3, seed=k) + k for k in range(7)], [randn(4, 3, seed=k) * (k + 1) for k in range(7)]
    all_steps, some = record(xs, gs, sample=sample), record(xs, gs, sample=sample, every=every)
    assert some.steps.tolist() == list(range(0, 7, every))
    np.testing.assert_allclose(table(some), table(all_steps)[:, ::every], rtol=1e-6)
    np.testing.assert_array_equal(some.histogram, all_steps.histogram[::every])


@MODES
def test_without_a_backward_pass_there_is_no_gradient(sample):
    stats = record([randn(4, 3), randn(4, 3)], [None, randn(4, 3)], sample=sample)
    assert np.isnan(stats.gradient_norm[:, 0]).tolist() == [True, False]
    model = network()
    with torch.no_grad(), ActivationStats(model, sample=sample) as stats:
        model(randn(4, 3, 4, 4))
    assert np.isnan(stats.gradient_norm).all()
    assert np.isfinite(stats.std).all()


class Sometimes(nn.Module):
    """Two layers; which of them run, and how often, is an argument."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor, *names: str) -> Tensor:
        self.outputs = []
        for name in names:
            x = getattr(self, name)(x)
            self.outputs.append(x)
        return x


@MODES
def test_a_layer_that_does_not_run_is_nan_in_that_step(sample):
    model = Sometimes()
    with ActivationStats(model, sample=sample) as stats:
        for names in ("ab", "b", "a"):
            model(randn(4, 3), *names).sum().backward()
    ran = [[True, True], [False, True], [True, False]]
    for quantity in table(stats):
        assert np.isfinite(quantity).tolist() == ran
    assert np.isfinite(stats.histogram).all(2).tolist() == ran
    assert np.isnan(stats.histogram).all(2).tolist() == [[not r for r in row] for row in ran]


@MODES
def test_of_a_layer_that_runs_twice_the_last_output_counts(sample):
    model = Sometimes()
    with ActivationStats(model, "a", sample=sample) as stats:
        model(randn(4, 3), "a", "a")
    first, last = model.outputs
    assert stats.mean[0, 0] == pytest.approx(last.mean().item(), rel=1e-4)
    assert abs(first.mean() - last.mean()) > 1e-3


@MODES
def test_results_can_be_read_while_recording(sample):
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, ["0"], sample=sample) as stats:
        assert stats.mean.shape == (0, 1)
        assert stats.histogram.shape == (0, 1, 40)
        for k in range(3):
            model(randn(4, 3) + k)
            assert stats.mean[:, 0] == pytest.approx([randn(4, 3).mean().item() + i for i in range(k + 1)], rel=1e-4)
            assert stats.histogram.shape == (k + 1, 1, 40)


def test_nothing_recorded():
    stats = ActivationStats(network())
    assert stats.steps.shape == (0,)
    assert all(getattr(stats, name).shape == (0, 3) for name in MOMENTS)
    assert stats.histogram.shape == (0, 3, 40)


def test_the_cheap_mode_has_moments_only():
    xs, gs = [randn(4, 3, seed=k) for k in range(3)], [randn(4, 3, seed=k + 5) for k in range(3)]
    cheap = record(xs, gs, histogram=False)
    np.testing.assert_array_equal(table(cheap), table(record(xs, gs)))
    with pytest.raises(ValueError, match="no histogram was recorded: pass histogram=True"):
        _ = cheap.histogram


# --- which layers ----------------------------------------------------------------------------------------------------


def test_by_default_every_layer_that_has_parameters_of_its_own():
    assert ActivationStats(network()).names == ["0", "2", "5"]
    nested = nn.Sequential(network(), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    assert ActivationStats(nested).names == ["0.0", "0.2", "0.5", "1.1"]


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (nn.Conv2d, ["0"]),
        (nn.Module, ["", "0", "1", "2", "3", "4", "5"]),
        ((nn.Linear, nn.Conv2d), ["0", "5"]),
        (["5", "1"], ["5", "1"]),
        (("5", "1"), ["5", "1"]),
        ("2", ["2"]),
        (iter(["0", "3"]), ["0", "3"]),
        (["1", "1"], ["1"]),
        (lambda model: [model[4], model[0]], ["4", "0"]),
        (lambda model: (model[4], "0"), ["4", "0"]),
        (lambda model: model, ["0", "1", "2", "3", "4", "5"]),
        (lambda model: (layer for layer in model if isinstance(layer, nn.ReLU)), ["1"]),
    ],
)
def test_layers_are_chosen_by_name_module_or_type(layers, names):
    model = network()
    if not isinstance(layers, type) and callable(layers):
        layers = layers(model)
    with ActivationStats(model, layers) as stats:
        output = model(randn(4, 3, 4, 4))
    assert stats.names == names
    assert stats.mean.shape == (1, len(names))
    assert np.isfinite(stats.mean).all()
    if names[-1] == "5":
        assert stats.mean[0, -1] == pytest.approx(output.mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["0", "conv9"], "the model has no layer 'conv9'; it has: 0, 1, 2, 3, 4, 5$"),
        ("relu", "no layer 'relu'"),
        ([nn.ReLU()], r"no layer ReLU\(\); it has: 0, 1"),
        ([3], "no layer 3"),
        ([], r"no layer of Sequential was chosen by layers=\[\]"),
        ((), "no layer of Sequential was chosen"),
        (nn.LSTM, "no layer of Sequential was chosen by layers=.*LSTM"),
        ((nn.LSTM, nn.GRU), "no layer of Sequential was chosen"),
    ],
)
def test_a_layer_that_is_not_there(layers, message):
    with pytest.raises(ValueError, match=message):
        ActivationStats(network(), layers)


def test_a_model_without_parameters_has_no_layers_by_default():
    with pytest.raises(ValueError, match="no layer of ReLU was chosen by layers=None"):
        ActivationStats(nn.ReLU())


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"bins": 0}, {"sample": 0}, {"bin_range": (1.0, 1.0)}, {"bin_range": (2.0, -2.0)}]
)
def test_numbers_that_make_no_sense(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match="must be at least 1 and bin_range must rise") as caught:
        ActivationStats(network(), **options)
    assert f"{name}={value}" in str(caught.value)


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x: Tensor):
        return self.value


@pytest.mark.parametrize("value", [(torch.zeros(2, 2), torch.zeros(2, 2)), None, torch.zeros(3), torch.tensor(1.0)])
def test_a_layer_that_returns_no_tensor_of_channels(value):
    model = nn.Sequential(nn.Identity(), Returns(value))
    with (
        pytest.raises(TypeError, match=r"layer '1' must return a tensor \(N, C, \.\.\.\)"),
        ActivationStats(model, Returns),
    ):
        model(randn(2, 2))
    assert hooks_of(model) == 0


# --- leaving no trace ------------------------------------------------------------------------------------------------


def test_the_hooks_go_with_the_block():
    model = network()
    with ActivationStats(model) as stats:
        assert hooks_of(model) == 4
        train(model, 2)
    assert hooks_of(model) == 0
    train(model, 2)
    assert len(stats.steps) == 2


@MODES
def test_the_hooks_go_after_an_exception_and_what_was_recorded_stays(sample):
    model = network()
    stats = ActivationStats(model, sample=sample)

    def fail() -> None:
        with stats:
            train(model, 2)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert hooks_of(model) == 0
    assert stats.steps.tolist() == [0, 1]
    assert np.isfinite(table(stats)).all()
    assert stats._waiting == {}


def test_other_hooks_are_left_alone():
    model, calls = network(), []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    with ActivationStats(model):
        train(model, 1)
    train(model, 1)
    assert len(calls) == 2
    assert hooks_of(model) == 1


def test_one_recording_at_a_time():
    model = network()
    with ActivationStats(model) as stats:
        with pytest.raises(RuntimeError, match="already recording; end its `with` block first"):
            stats.__enter__()
        assert hooks_of(model) == 4
        train(model, 1)
    assert hooks_of(model) == 0
    assert len(stats.steps) == 1


def test_a_second_block_goes_on_where_the_first_ended():
    model = network()
    stats = ActivationStats(model)
    with stats:
        train(model, 2)
    train(model, 3)
    with stats:
        train(model, 1)
    assert stats.steps.tolist() == [0, 1, 2]
    assert stats.mean.shape == (3, 3)


def test_two_instruments_on_one_model():
    model = network()
    with ActivationStats(model, ["0"]) as a, ActivationStats(model, ["0"]) as b:
        train(model, 2)
    np.testing.assert_array_equal(table(a), table(b))
    assert hooks_of(model) == 0


@pytest.mark.parametrize(
    "options", [{}, {"sample": None}, {"histogram": False}, {"every": 2}, {"sample": 8, "layers": nn.Module}]
)
def test_recording_changes_nothing(options):
    bare = network()
    watched = copy.deepcopy(bare)
    torch.manual_seed(7)
    expected = train(bare, TOGETHER + 3)
    torch.manual_seed(7)
    with ActivationStats(watched, **options):
        assert train(watched, TOGETHER + 3) == expected
    assert all(
        torch.equal(a, b) for a, b in zip(bare.state_dict().values(), watched.state_dict().values(), strict=True)
    )
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(bare.parameters(), watched.parameters(), strict=True))


class Token:
    """Something that an autograd graph holds, and that can be watched."""


class Marked(torch.autograd.Function):
    """The identity; its part of the graph holds a token."""

    tokens: list[weakref.ref] = []  # noqa: RUF012

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.token = Token()
        Marked.tokens.append(weakref.ref(ctx.token))
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


class Marks(nn.Linear):
    """A linear layer, its graph marked and its outputs watched."""

    def forward(self, x: Tensor) -> Tensor:
        output = Marked.apply(super().forward(x))
        self.seen = [*getattr(self, "seen", []), weakref.ref(output)]
        return output


@MODES
def test_no_activation_and_no_graph_is_kept_alive(sample):
    Marked.tokens = []
    model = nn.Sequential(Marks(3, 4), nn.ReLU(), Marks(4, 2))
    with ActivationStats(model, sample=sample) as stats:
        output = model(randn(40, 3))
        assert all(ref() is not None for ref in [*Marked.tokens, *model[2].seen]), "alive while it is needed"
        output.sum().backward()
        output = model(randn(40, 3))  # a graph that nobody goes back through
        del output
        gc.collect()
        refs = [*Marked.tokens, *model[0].seen, *model[2].seen]
        assert [ref() for ref in refs] == [None] * 8, "not even while recording"
    assert [value for value in gc.get_referents(*vars(stats).values()) if isinstance(value, Tensor)] == []
    assert len(stats.steps) == 2


@MODES
def test_a_relu_in_place_does_not_change_what_was_recorded(sample):
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 4))
    x, g = randn(6, 3), randn(6, 4, seed=1)
    before = x @ model[0].weight.T + model[0].bias
    with ActivationStats(model, ["0", "1"], sample=sample) as stats:
        (model(x) * g).sum().backward()
    after = before.clamp(min=0)
    assert (before < 0).any()
    for column, values in enumerate((before, after)):
        for name, expected in by_hand(values).items():
            assert getattr(stats, name)[0, column] == pytest.approx(expected, rel=1e-4, abs=1e-6), (column, name)
        np.testing.assert_allclose(stats.histogram[0, column], shares_by_hand(values), atol=1e-6)
    behind = g @ model[2].weight
    assert stats.gradient_norm[0, 1] == pytest.approx(behind.norm().item(), rel=1e-5)
    assert stats.gradient_norm[0, 0] == pytest.approx((behind * (before > 0)).norm().item(), rel=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@MODES
def test_the_gpu_gives_the_same_numbers(sample):
    tables = []
    for device in ("cpu", "cuda"):
        model, x = network().eval().train().to(device), randn(6, 3, 4, 4).to(device)
        model[4].p = 0.0
        with ActivationStats(model, sample=sample) as stats:
            model(x).square().sum().backward()
        tables.append(table(stats))
    np.testing.assert_allclose(*tables, rtol=1e-2, atol=1e-3)


# --- the summary -----------------------------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The texts of a table's cells, and the tags that are not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.cells, self.open, self.tags = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("th", "td", "caption"):
            self.cells.append(data)


@pytest.fixture
def recorded() -> ActivationStats:
    model = nn.Sequential()
    model.add_module("first", nn.Identity())
    model.add_module("a<b>&c", nn.Identity())
    with ActivationStats(model, ["first", "a<b>&c"]) as stats:
        for k in range(3):
            x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=k < 2)
            y = model(x * 1 + k)
            if k < 2:
                (3 * y).sum().backward()
    return stats


# by hand: ±1 and two zeros plus k: mean k, std √½, spread √½, one channel of two dead, gradient √(4·3²) = 6
ROW = ["0.707", "0.707", "50%"]


def test_the_summary_as_text(recorded):
    lines = repr(recorded.summary(1)).splitlines()
    assert lines[0] == "step 1"
    assert lines[1].split("  ")[-1] == "gradient norm"
    assert [line.split() for line in lines[2:]] == [["first", "1", *ROW, "6"], ["a<b>&c", "1", *ROW, "6"]]
    assert len({len(line) for line in lines[1:]}) == 1, "the columns stand under each other"


def test_the_summary_is_of_the_last_step_by_default(recorded):
    assert repr(recorded.summary()) == repr(recorded.summary(2)) == repr(recorded.summary(-1))
    lines = repr(recorded.summary()).splitlines()
    assert lines[0] == "step 2"
    assert lines[2].split() == ["first", "2", *ROW, "nan"]


def test_the_summary_names_the_step_and_not_its_row():
    stats = record([randn(4, 3)] * 7, every=3)
    assert repr(stats.summary(1)).splitlines()[0] == "step 3"


def test_the_summary_as_html(recorded):
    html = recorded.summary(0)._repr_html_()
    parsed = Cells(html)
    assert parsed.open == []
    assert parsed.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}, "names cannot smuggle in tags"
    header = ["layer", "mean", "std", "spread across images", "dead channels", "gradient norm"]
    assert parsed.cells[:7] == ["step 0", *header]
    text = "".join(parsed.cells[7:])
    assert text == "".join(["first", "0", *ROW, "6", "a<b>&c", "0", *ROW, "6"])
    assert "a&lt;b&gt;&amp;c" in html


def test_the_summary_of_a_layer_that_did_not_run():
    model = Sometimes()
    with ActivationStats(model) as stats:
        model(randn(4, 3), "b")
    assert repr(stats.summary()).splitlines()[2].split() == ["a", "nan", "nan", "nan", "nan", "nan"]


@pytest.mark.parametrize("step", [3, 100, -4])
def test_the_summary_of_a_step_that_is_not_there(recorded, step):
    with pytest.raises(ValueError, match=f"step {step} is not there: 3 steps were recorded"):
        recorded.summary(step)


def test_the_summary_of_nothing():
    with pytest.raises(ValueError, match="step -1 is not there: 0 steps were recorded"):
        ActivationStats(network()).summary()


class RunsTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(self.layer(x))


def test_of_a_layer_that_runs_twice_the_last_run_counts_there_and_back():
    model, x = RunsTwice(), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with ActivationStats(model, [model.layer], sample=None) as stats:
        for _ in range(2):
            out = model(x)
            out.square().sum().backward()
    expected = (2 * out.detach()).norm().item()  # the gradient at the output of the second run
    np.testing.assert_allclose(stats.gradient_norm[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(stats.std[:, 0], out.detach().std(unbiased=False).item(), rtol=1e-5)


def test_a_channel_with_one_nan_is_not_dead_and_one_of_nothing_else_is():
    outputs = torch.tensor([[float("nan"), -9.0, float("nan")], [9.0, 0.1, float("nan")]])
    model = nn.Sequential(nn.Identity())
    with ActivationStats(model, [model[0]], sample=None) as stats:
        model(outputs)
    np.testing.assert_allclose(stats.dead, [[1 / 3]], rtol=1e-6)


def test_float64_stays_float64():
    model = nn.Sequential(nn.Identity())
    x = 1 + 1e-12 * torch.arange(8, dtype=torch.float64).view(8, 1)
    with ActivationStats(model, [model[0]], sample=None) as stats:
        model(x)
    np.testing.assert_allclose(stats.spread, [[x.std(unbiased=False).item()]], rtol=1e-3)


@pytest.mark.parametrize("extent", [33, 40, 63, 64, 100])
def test_a_sample_reaches_over_the_whole_batch(extent):
    model = nn.Sequential(nn.Identity())
    x = torch.linspace(0, 1, extent)[:, None, None, None].expand(extent, 16, 8, 8).contiguous()
    with ActivationStats(model, [model[0]], sample=512) as stats:
        model(x)
    assert abs(stats.mean[0, 0] - 0.5) < 0.03
