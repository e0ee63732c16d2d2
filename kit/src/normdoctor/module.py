"""The probes of a layer as a module among modules: saved, moved, copied, compiled, and fed what it did not expect."""

import copy
import functools
import gc
import io
import pickle
import weakref

import torch
from torch import Tensor, nn

from normdoctor.reference import Outcome, compare
from normdoctor.subject import Broken, Fixture, NotApplicable, Probe, Subject, copied, registrar

__all__ = ["MODULE"]

MODULE: list[Probe] = []
_probe = registrar(MODULE)

KEYS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
PLAIN = "plain attributes are not part of a module's state: register_buffer"


def _trained(fixture: Fixture) -> Subject:
    """A subject that has seen three batches, if it can be trained."""
    subject = Subject(fixture)
    subject.learn()
    return subject


# --- its state


@_probe("state_dict keys", "Does its state_dict have PyTorch's names, so that weights can be exchanged?")
def _state_dict_keys(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    kernels = [name for name, module in subject.layer.named_modules() if isinstance(module, nn.modules.conv._ConvNd)]
    paths = [key.rpartition(".") for key in subject.layer.state_dict()]
    names = {name for path, _, name in paths if path not in kernels}
    wanted = {"weight"} if subject.gamma is not None else set()
    wanted |= {"bias"} if subject.beta is not None else set()
    wanted |= {"running_mean", "running_var"} if subject.tracks else set()
    wanted |= {"num_batches_tracked"} if subject.tracks and not fixture.frozen else set()
    missing, more = ", ".join(sorted(wanted - names)), ", ".join(sorted(names - KEYS))
    found = [f"missing: {missing}"] * bool(missing) + [f"not among PyTorch's: {more}"] * bool(more)
    return Outcome("; ".join(found), source="names of parameters and buffers")


@_probe("save and load", "Is a trained layer the same after saving and loading (weights_only) its state_dict?")
def _save_and_load(fixture: Fixture) -> Outcome:
    subject, other, x = _trained(fixture), Subject(fixture), fixture.batch(1)
    file = io.BytesIO()
    torch.save(subject.layer.state_dict(), file)
    file.seek(0)
    other.layer.load_state_dict(torch.load(file, weights_only=True))
    otherwise = f"the running statistics are not in the state_dict: {PLAIN}"
    with torch.no_grad():  # as one evaluates
        expected = subject.evaluate(x)
        try:
            measured = other.evaluate(x)
        except Exception as error:
            raise Broken(f"{otherwise} ({type(error).__name__} after loading)") from None
    return compare(measured, expected, (), otherwise, what="evaluation after loading", ulps=8)


@_probe("to(dtype, device)", "Do .to(dtype) and .to(device) take the statistics along?")
def _to(fixture: Fixture) -> Outcome:
    subject, x = _trained(fixture), fixture.batch(1).double()
    subject.layer.double()
    left = {name: t.dtype for name, t in subject.tensors().items() if t.is_floating_point() and t.dtype != x.dtype}
    expected = subject.evaluate(x).detach()
    subject.layer.to("meta")
    left |= {name: t.device for name, t in subject.tensors().items() if t.ndim and t.device.type != "meta"}
    if left:
        stayed = ", ".join(f"{name} ({where})" for name, where in left.items())
        raise Broken(f"left behind: {stayed}; {PLAIN}")
    y = subject.evaluate(x.to("meta"))
    right = expected.dtype == x.dtype and y.device.type == "meta" and y.shape == x.shape
    return Outcome("" if right else "the output does not follow the layer's dtype and device", source="the output")


def _compare_copy(fixture: Fixture, subject: Subject, other: nn.Module, how: str) -> Outcome:
    twin, x = Subject(fixture, other), fixture.batch(1)
    own = {t.data_ptr() for t in subject.tensors().values() if t.numel()}
    if shared := [name for name, t in twin.tensors().items() if t.numel() and t.data_ptr() in own]:
        raise Broken(f"layer and {how} share {', '.join(shared)}")
    words, what = f"the {how} gives other results", f"the {how}'s evaluation"
    with torch.no_grad():
        return compare(twin.evaluate(x), subject.evaluate(x), (), words, what=what, ulps=8)


@_probe(
    "deepcopy",
    "Can a trained layer be copied with copy.deepcopy?",
    hint="it holds on to the graph of a training step: detach what is remembered",
)
def _deepcopy(fixture: Fixture) -> Outcome:
    subject = _trained(fixture)
    return _compare_copy(fixture, subject, copy.deepcopy(subject.layer), "copy")


@_probe("pickle", "Can a trained layer be pickled?")
def _pickle(fixture: Fixture) -> Outcome:
    subject = _trained(fixture)
    if "<locals>" in type(subject.layer).__qualname__:
        raise NotApplicable("a class that is defined in a function cannot be pickled")
    return _compare_copy(fixture, subject, pickle.loads(pickle.dumps(subject.layer)), "pickled copy")


@_probe("graph released", "After a training step, does nothing hold on to its autograd graph?", "training")
def _graph_released(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    again = ""
    for _ in range(2):
        leaf = fixture.batch().requires_grad_()
        alive = weakref.ref(leaf)
        try:
            subject.train(leaf * 1).backward(fixture.cotangent())
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            again = "; the second step fails: it goes back through the graph of the first"
    del leaf
    gc.collect()
    holding = [name for name, t in subject.tensors().items() if t.grad_fn is not None]
    if holding or alive() is not None or again:
        names = f" by {', '.join(holding)}" if holding else ""
        raise Broken(f"the graph of a training step is kept{names}{again}; detach what is remembered, or use no_grad")
    return Outcome(source="references to the graph after the step")


# --- its options


@_probe("affine=False", "Without γ and β, does it give the normalized values alone?", "training")
def _affine_false(fixture: Fixture) -> Outcome:
    if not fixture.offers("affine"):
        raise NotApplicable("the factory takes no affine")
    subject, x = Subject(fixture, fixture.make(affine=False)), fixture.batch()
    if any(True for _ in subject.layer.parameters()):
        raise Broken("with affine=False there are still parameters")
    return compare(subject.train(x), subject.expected(x), (), "normalize, and nothing after it", what="the output")


@_probe("track_running_stats=False", "Without running statistics, does evaluation use the batch's own?")
def _track_false(fixture: Fixture) -> Outcome:
    if not fixture.offers("track_running_stats"):
        raise NotApplicable("the factory takes no track_running_stats")
    subject, x = Subject(fixture, fixture.make(track_running_stats=False)), fixture.batch()
    if any(True for _ in subject.layer.buffers()):
        raise Broken("with track_running_stats=False there are still buffers")
    subject.learn()
    otherwise = "without running statistics every batch is normalized by its own, in evaluation too"
    return compare(subject.evaluate(x), subject.expected(x), (), otherwise, what="the output in evaluation")


# --- its inputs


@_probe("input untouched", "Does it leave its input as it is?")
def _input_untouched(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    before = x.clone()
    with torch.no_grad():
        subject.layer.train()(x)
        subject.layer.eval()(x)
    words = "it works in place on the tensor that it was given (-=, mul_, ...): make a new one"
    return Outcome("" if torch.equal(x, before) else words, source="every value, exact")


@_probe(
    "channels_last",
    "Does it give the same for the memory format channels_last?",
    "pictures",
    hint="view needs contiguous memory: use reshape, or flatten",
)
def _channels_last(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    expected = Subject(fixture, copied(subject.layer)).train(x).detach()
    measured = subject.train(x.to(memory_format=torch.channels_last))
    otherwise = "the values are taken in the order of memory: go by dimensions, not by view"
    what = "the output, against that of the usual format"
    return compare(measured, expected, (), otherwise, what=what, ulps=64)


@_probe("other dimensions", "For (N, C), (N, C, L) and others: the right result or a clear error?", "training", "plain")
def _other_dimensions(fixture: Fixture) -> Outcome:
    found = []
    for dimensions in (2, 3, 4, 5):
        x = fixture.batch(shape=fixture.shape_of(dimensions))
        if problem := _refused(fixture, x):
            found.append(f"{dimensions} dimensions: {problem}")
    hint = "; look at x.ndim first" if found else ""
    return Outcome(
        "; ".join(found) + hint, source="an error about dimensions, or an output as right as that for the usual shape"
    )


def _refused(fixture: Fixture, x: Tensor) -> str:
    """What is wrong with the answer to an input of another shape: neither right nor a clear error."""
    subject = Subject(fixture)
    try:
        y = subject.train(x)
    except (ValueError, AssertionError):
        return ""
    except Exception as error:
        words = str(error).lower()
        clear = any(
            word in words for word in ("dimension out of range", "expected", "dimensional", "channels", "contain")
        )
        return "" if clear else f"an unclear {type(error).__name__} ({words.strip().splitlines()[0][:80]})"
    if y.shape != x.shape:
        return f"silently the wrong shape, {tuple(y.shape)} for {tuple(x.shape)}"
    error = compare(y, subject.expected(x), what="the output").measured
    own = fixture.batch()
    usual = compare(Subject(fixture).train(own), subject.expected(own), what="the output").measured
    return "silently a wrong result" if error > max(4 * usual, 1e-4) else ""


@_probe("wrong channels", "Is a wrong number of channels an error?", "training")
def _wrong_channels(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    if not any(t.numel() >= fixture.channels for t in subject.tensors().values()):
        raise NotApplicable("the layer has nothing of its own for each channel")
    found = []
    for channels in {1, fixture.channels + 1} - {fixture.channels}:
        x = fixture.batch(shape=(fixture.shape[0], channels, *fixture.shape[2:]))
        try:
            y = Subject(fixture).train(x)
        except Exception:
            continue
        found.append(f"{channels} instead of {fixture.channels} channels silently give the shape {tuple(y.shape)}")
    words = "; ".join(found) + "; compare x.shape[1] with num_features first" if found else ""
    return Outcome(words, source="an error is expected")


# --- tools around it


@_probe("compile", "Does torch.compile give the same outputs, gradients and statistics?", "training")
def _compile(fixture: Fixture) -> Outcome:
    if not _compiler_works():
        raise NotApplicable("torch.compile does not work here")
    subject = Subject(fixture)
    plain = Subject(fixture, copied(subject.layer))
    try:
        measured = _step(torch.compile(subject.layer.train(), backend="eager"), fixture)
    finally:
        torch.compiler.reset()
    expected = _step(plain.layer.train(), fixture)
    otherwise = "look for side effects in forward: what is computed there depends on being run by Python"
    outcome = compare(measured, expected, (), otherwise, what="output and dL/dx, compiled", ulps=64)
    if outcome.diagnosis or not subject.tracks:
        return outcome
    after, wanted = torch.cat(subject.read()).to(fixture.dtype), torch.cat(plain.read())
    words = "the running statistics are not updated when compiled"
    return compare(after, wanted, (), words, what="running statistics, compiled", ulps=64)


def _step(layer: nn.Module, fixture: Fixture) -> Tensor:
    """Output and dL/dx of a step of training."""
    x = fixture.batch().requires_grad_()
    y = layer(x.clone())
    return torch.stack([y.detach(), torch.autograd.grad(y, x, fixture.cotangent())[0]])


@functools.cache
def _compiler_works() -> bool:
    """Whether torch.compile can be used with this Python."""
    try:
        return bool((torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2).all())
    except Exception:
        return False


@_probe("export", "Can a trained layer be exported for evaluation, with the same outputs?")
def _export(fixture: Fixture) -> Outcome:
    subject, x = _trained(fixture), fixture.batch(1)
    expected = subject.evaluate(x).detach()
    program = torch.export.export(subject.layer.eval(), (x,))
    words = "the exported layer evaluates differently"
    return compare(program.module()(x) - subject.lift, expected, (), words, what="the exported layer's output", ulps=64)


# --- the convolution around it


@_probe(
    "output size",
    "With kernels 1, 3, 5 and 7, does stride 1 keep the size and stride 2 halve it?",
    "bnlayer",
    hint="the constructor should be (ni, nf, stride, kernel_size)",
)
def _output_size(fixture: Fixture) -> Outcome:
    wrong = []
    for kernel in (1, 3, 5, 7):
        for stride in (1, 2):
            layer = fixture.make_layer.layer(3, 4, stride=stride, kernel_size=kernel)
            size = layer.train()(fixture.batch(shape=(2, 3, 16, 16))).shape[-1]
            if size != 16 // stride:
                wrong.append(f"kernel {kernel}, stride {stride}: 16 becomes {size}")
    words = "; ".join(wrong) + "; the padding should be half the kernel, kernel_size // 2" if wrong else ""
    return Outcome(words, source="the height and width of the output, exact")


@_probe(
    "no idle bias",
    "Is there no bias in the convolution that the normalization takes away again?",
    "bnlayer",
    "training",
)
def _no_idle_bias(fixture: Fixture) -> Outcome:
    layer, x = (
        fixture.make_layer.layer(fixture.channels, fixture.channels, stride=1, kernel_size=3).train(),
        fixture.batch() - 7,
    )
    before = layer(x).detach()
    idle = []
    for name, module in layer.named_modules():
        bias = getattr(module, "bias", None)
        if isinstance(module, nn.modules.conv._ConvNd) and bias is not None:
            with torch.no_grad():
                bias += 0.5
            if (layer(x) - before).abs().max() < 1e-4:
                idle.append(f"{name}.bias")
    words = f"{', '.join(idle)} changes nothing: the mean is subtracted right after; pass bias=False" if idle else ""
    return Outcome(words, source="the change of the output when the bias changes")
