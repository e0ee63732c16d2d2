"""utils.layers: `BatchNorm2d` is PyTorch's layer in everything one can see, alone and in networks."""

import copy
import gc
import io
import re
import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.layers import BatchNorm2d
from utils.models import ConvNet

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)
# at least 8 values a channel: with two or three, most digits can cancel away in x - mean
shapes = st.tuples(sizes, sizes, sizes, sizes).filter(lambda shape: shape[0] * shape[2] * shape[3] >= 8)
options = st.fixed_dictionaries(
    {
        "eps": st.sampled_from([1e-5, 1e-3, 0.1]),
        "momentum": st.sampled_from([None, 0, 0.1, 1]),
        "affine": st.booleans(),
        "track_running_stats": st.booleans(),
    }
)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def norm(values: Tensor) -> float:
    values = values if values.is_floating_point() else values.double()
    return torch.linalg.vector_norm(values, dtype=torch.float64).item()


def relative(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ / ‖a‖; NaN anywhere gives NaN, so no `<` holds."""
    assert a.shape == b.shape
    difference = norm(a - b)
    return difference / norm(a) if difference else 0.0


@torch.no_grad()
def randomize(net: nn.Module, seed: int) -> nn.Module:
    """Random γ, β and running statistics in every normalization; convolutions and linear layers as He et al. (2015)."""
    g = generator(seed)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            noise = torch.empty(layer.weight.shape)  # float32, drawn five times as fast as float64
            layer.weight.copy_(noise.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=g))
        for name in ("weight", "running_var") if hasattr(layer, "running_var") else ():
            if (values := getattr(layer, name)) is not None:
                values.copy_(torch.rand(values.shape, generator=g) + 0.5)
        for name in ("bias", "running_mean") if hasattr(layer, "running_mean") else ():
            if (values := getattr(layer, name)) is not None:
                values.copy_(torch.randn(values.shape, generator=g) * 0.3)
    return net


def twins(channels: int, seed: int = 0, theirs=nn.BatchNorm2d, **kwargs) -> tuple[nn.Module, BatchNorm2d]:
    """PyTorch's layer and ours, holding the same random numbers."""
    theirs, ours = randomize(theirs(channels, **kwargs), seed), BatchNorm2d(channels, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def seen(layer: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """All that one step shows: the output, the gradients for a given dL/dy, the state left behind."""
    x = x.clone().requires_grad_()
    y = layer(x)
    names = ["x", *(name for name, _ in layer.named_parameters())]
    gradients = torch.autograd.grad(y, [x, *layer.parameters()], dy)
    found = {"y": y.detach()} | {f"d{name}": g for name, g in zip(names, gradients, strict=True)}
    return found | {name: values.clone() for name, values in layer.named_buffers()}


# --- one layer against PyTorch's -------------------------------------------------------------------------------------
# More of it in `test_pytorch_cases.py`, with PyTorch's own cases.


def assert_same_step(theirs: nn.Module, ours: nn.Module, x: Tensor, dy: Tensor) -> None:
    torch.testing.assert_close(seen(ours, x, dy), seen(theirs, x, dy), rtol=1e-9, atol=1e-9)


@quick
@given(shape=shapes, kwargs=options, seed=seeds, shift=st.floats(-2, 2), scale=st.floats(0.5, 5))
def test_it_is_pytorchs_layer(shape, kwargs, seed, shift, scale):
    theirs, ours = twins(shape[1], seed, dtype=torch.float64, **kwargs)
    for step, training in enumerate([True, True, False, True]):  # three batches, and an evaluation among them
        theirs.train(training), ours.train(training)
        x = randn(*shape, seed=seed + 2 * step, dtype=torch.float64) * scale + shift
        assert_same_step(theirs, ours, x, randn(*shape, seed=seed + 2 * step + 1, dtype=torch.float64))


@pytest.mark.parametrize("second", [[0.5, 0.5, 0.5], [-3.0, 5.0, 5.0], [1.0, -3.0]])
def test_without_spread_and_with_few_values_too(second):
    x = torch.tensor([[1.0, 2.0, 7.0][: len(second)], second], dtype=torch.float64).T.contiguous()  # two channels
    assert_same_step(*twins(2, theirs=nn.BatchNorm1d, dtype=torch.float64), x, randn(*x.shape).double())


def test_a_large_offset_does_not_eat_the_spread():
    """E[x²] - E[x]² would: the squares, 10⁸, are rounded to multiples of 8. PyTorch's is off 2e-4 here, ours 3e-4."""
    x = randn(64, 1, 16, 16) + 1e4
    norm = BatchNorm2d(1)
    truth = nn.BatchNorm2d(1, dtype=torch.float64)
    assert relative(truth(x.double()), norm(x)) < 2e-3
    assert relative(truth.running_var, norm.running_var) < 2e-3


# --- numbers of other kinds ---


@both_modes
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("parameters", ["float32", "half"])
def test_half_precision_comes_out_as_it_went_in(half, parameters, training):
    theirs, ours = twins(3)
    for layer in (theirs, ours):
        layer.train(training).to(half if parameters == "half" else torch.float32)
    x, dy = (randn(4, 3, 8, 8) + 1).to(half), randn(4, 3, 8, 8, seed=1).to(half)
    expected, got = seen(theirs, x, dy), seen(ours, x, dy)
    assert got["y"].dtype == got["dx"].dtype == half
    for name, values in expected.items():
        assert got[name].dtype == values.dtype
        assert relative(values, got[name]) < torch.finfo(half).eps, name


def test_half_precision_is_summed_in_float32():
    """10⁴ values near 100 add up to more than float16 holds, 65504, and their squares do so at once."""
    x = (randn(4, 1, 50, 50) + 100).half()
    y = BatchNorm2d(1)(x)
    assert y.isfinite().all()
    assert relative(BatchNorm2d(1)(x.float()), y) < torch.finfo(torch.float16).eps


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_under_autocast_it_keeps_the_type_that_it_is_given(half):
    theirs, ours = twins(4)
    conv = nn.Conv2d(3, 4, 3)
    x = randn(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=half):
        z = conv(x).detach()
        assert z.dtype == half
        for values in (z, z.float()):
            expected, got = theirs(values), ours(values)
            assert got.dtype == expected.dtype == values.dtype
            assert relative(expected, got) < torch.finfo(values.dtype).eps * 4
    assert ours.running_mean.dtype == torch.float32
    assert relative(theirs.running_mean, ours.running_mean) < 1e-5


def test_a_double_input_to_a_float32_layer_stays_double():
    """PyTorch's layer refuses it on a CPU."""
    theirs, ours = twins(3)
    x = randn(4, 3, 5, 5, dtype=torch.float64)
    y = ours(x)
    assert y.dtype == torch.float64
    assert relative(theirs.double()(x), y) < 1e-12
    assert ours.running_mean.dtype == torch.float32


# --- a module like any other ---


def test_a_file_of_either_is_loaded_by_the_other():
    for source, target in ((nn.BatchNorm2d(3), BatchNorm2d(3)), (BatchNorm2d(3), nn.BatchNorm2d(3))):
        randomize(source, 0)(randn(2, 3, 4, 4))
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        file.seek(0)
        target.load_state_dict(torch.load(file, weights_only=True))
        x = randn(2, 3, 4, 4, seed=1)
        assert relative(source.eval()(x), target.eval()(x)) < 1e-6
        assert target.num_batches_tracked == 1


def test_a_checkpoint_from_before_batches_were_counted_is_loaded():
    state = dict(twins(3)[0].state_dict())  # a plain dict: without the version that PyTorch writes today
    del state["num_batches_tracked"]
    ours = BatchNorm2d(3)
    ours.load_state_dict(state)
    assert torch.equal(ours.running_var, state["running_var"])
    assert ours.num_batches_tracked == 0


def test_pytorchs_tools_find_it():
    theirs, ours = (nn.Sequential(layer) for layer in twins(3))
    batches = [randn(4, 3, 5, 5, seed=seed) for seed in range(3)]
    for model in (theirs, ours):
        torch.optim.swa_utils.update_bn(batches, model)
    assert relative(flat(theirs.buffers()), flat(ours.buffers())) < 1e-6
    assert ours[0].num_batches_tracked == 3
    weight, mean = ours[0].weight, ours[0].running_mean
    (synchronized,) = nn.SyncBatchNorm.convert_sync_batchnorm(ours)
    assert type(synchronized) is nn.SyncBatchNorm
    assert synchronized.weight is weight
    assert synchronized.running_mean is mean


@pytest.mark.parametrize("kept", [True, False])
def test_tracking_can_be_switched_off_later_as_in_pytorchs(kept):
    """What is remembered then stays as it is, and serves evaluation if it was not taken out."""
    theirs, ours = twins(3, dtype=torch.float64)
    for layer in (theirs, ours):
        layer.track_running_stats = False
        if not kept:
            layer.running_mean = layer.running_var = None
    x, dy = randn(4, 3, 5, 5, dtype=torch.float64) + 1, randn(4, 3, 5, 5, seed=1, dtype=torch.float64)
    for training in (True, False):
        expected, got = (seen(layer.train(training), x, dy) for layer in (theirs, ours))
        assert max(relative(expected[name], got[name]) for name in expected) < 1e-12


def test_the_statistics_keep_no_graph_and_no_batch():
    norm, x = BatchNorm2d(3), randn(4, 3, 4, 4).requires_grad_()
    for _ in range(2):  # the second backward pass would go through the first's freed graph
        norm(x * 2).sum().backward()
    assert all(not buffer.requires_grad and buffer.grad_fn is None for buffer in norm.buffers())
    watched = weakref.ref(x)
    del x
    gc.collect()
    assert watched() is None


def test_compiled_it_computes_the_same():
    for momentum in (0.1, None):
        _, norm = twins(3, momentum=momentum)
        compiled = torch.compile(copy.deepcopy(norm), backend="eager", fullgraph=True)
        for training in (True, True, False):
            x = randn(4, 3, 5, 5)
            assert relative(norm.train(training)(x), compiled.train(training)(x)) < 1e-6
        assert torch.equal(norm.running_mean, compiled.running_mean)
        assert norm.num_batches_tracked == compiled.num_batches_tracked == 2


def test_exported_it_computes_the_same():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), twins(4)[1], nn.ReLU()).eval()
    x = randn(2, 3, 6, 6)
    exported = torch.export.export(model, (x,)).module()
    assert relative(model(x), exported(x)) < 1e-6


# --- what it refuses ---


@both_modes
@pytest.mark.parametrize("shape", [(2, 4, 5, 5), (2, 2, 3, 3), (2, 1, 3, 3), (4, 5), (3,), ()])
def test_a_wrong_number_of_channels_is_refused_with_the_shape_given(shape, training):
    norm = BatchNorm2d(3).train(training)
    with pytest.raises(ValueError, match=re.escape(f"expected (N, 3, ...), channels second; given: {shape}")):
        norm(torch.zeros(shape))
    assert norm.num_batches_tracked == 0


@both_modes
def test_whole_numbers_are_refused(training):
    with pytest.raises(ValueError, match=r"floating-point numbers; given: torch\.int64"):
        BatchNorm2d(3).train(training)(torch.ones(2, 3, 4, 4, dtype=torch.int64))


def test_eps_must_be_positive_and_may_be_zero_in_evaluation():
    x = randn(4, 2, 3, 3)
    for eps, training in ((0.0, True), (-1e-5, True), (-1e-5, False)):
        with pytest.raises(ValueError, match=f"eps must be positive; given: {eps}"):
            BatchNorm2d(2, eps=eps).train(training)(x)
    assert torch.equal(BatchNorm2d(2, eps=0.0).eval()(x), x)


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_one_value_a_channel_has_no_spread_to_divide_by(shape, track):
    norm = BatchNorm2d(3, track_running_stats=track)
    with pytest.raises(ValueError, match=re.escape(f"more than one value to be normalized; given: {shape}")):
        norm(torch.zeros(shape))
    assert not track or norm.num_batches_tracked == 0


def test_one_value_a_channel_is_enough_to_evaluate_if_there_are_running_statistics():
    theirs, ours = twins(3)
    x = randn(1, 3, 1, 1)
    assert relative(theirs.eval()(x), ours.eval()(x)) < 1e-6
    alone = BatchNorm2d(3, track_running_stats=False).eval()
    for layer in (nn.BatchNorm2d(3, track_running_stats=False).eval(), alone):
        with pytest.raises(ValueError, match=r"more than (1|one) value"):
            layer(x)


# --- the drop-in: ResNets of torchvision -----------------------------------------------------------------------------
# Pictures of 33×33, not 32×32: a ResNet halves them five times, to 2×2, so that four pictures give its last stages 16
# values a channel. With 32×32 they would have four, and at four the gradient of the normalization is ill-conditioned:
# float32 outputs then differ by up to 1.5e-5, about as much as PyTorch's own do from float64.


def resnet_differences(dtype: torch.dtype, training: bool, networks: int, relu: type[nn.Module]) -> Tensor:
    """(networks, 3): the relative differences of outputs, gradients (that of the pictures too) and buffers between
    ResNet-18 with PyTorch's layer and with ours. In evaluation, where no picture knows of another, two are enough."""
    from torchvision.models import resnet18

    theirs, ours = (
        resnet18(norm_layer=norm, num_classes=10).to(dtype).train(training) for norm in (nn.BatchNorm2d, BatchNorm2d)
    )
    assert sum(type(layer) is BatchNorm2d for layer in ours.modules()) == 20
    for layer in (*theirs.modules(), *ours.modules()):
        if hasattr(layer, "relu"):
            layer.relu = relu()

    def results(network: nn.Module, x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.clone().requires_grad_()
        y = network(x)
        return y.detach(), flat(torch.autograd.grad(y, [x, *network.parameters()], dy)), flat(network.buffers())

    n, size = (4, 33) if training else (2, 32)
    found = []
    for seed in range(networks):
        ours.load_state_dict(randomize(theirs, seed).state_dict())
        x, dy = randn(n, 3, size, size, seed=seed, dtype=dtype), randn(n, 10, seed=seed + 1, dtype=dtype)
        found.append([relative(a, b) for a, b in zip(results(theirs, x, dy), results(ours, x, dy), strict=True)])
    return torch.tensor(found)


@pytest.mark.proof
@both_modes
def test_in_float64_a_resnet_is_the_same_with_ours(training):
    assert resnet_differences(torch.float64, training, networks=10, relu=nn.ReLU).max() < 1e-12


@pytest.mark.proof
@both_modes
def test_in_float32_a_resnet_is_the_same_with_ours(training):
    """With SiLU for ReLU. An input of a ReLU within rounding of zero can come out on the other side, and then a path
    opens or closes: 1e-3 or more of the gradient, in either network as right as in the other. SiLU has no sides."""
    assert resnet_differences(torch.float32, training, networks=5, relu=nn.SiLU).max() < 1e-5


@pytest.mark.parametrize("norm_first", [False, True])
def test_after_50_steps_of_training_both_are_still_the_same(norm_first):
    theirs, ours = (ConvNet(norm_layer=n, norm_first=norm_first).double() for n in (nn.BatchNorm2d, BatchNorm2d))
    ours.load_state_dict(theirs.state_dict())
    start = flat(theirs.parameters())
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (theirs, ours)]
    for step in range(50):
        x = randn(16, 3, 16, 16, seed=step, dtype=torch.float64)
        labels = torch.randint(10, (16,), generator=generator(step))
        for net, optimizer in zip((theirs, ours), optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
    assert relative(start, flat(theirs.parameters())) > 0.1  # they did go somewhere
    assert relative(flat(theirs.parameters()), flat(ours.parameters())) < 1e-9
    assert relative(flat(theirs.buffers()), flat(ours.buffers())) < 1e-9
    assert relative(theirs.eval()(x), ours.eval()(x)) < 1e-9
