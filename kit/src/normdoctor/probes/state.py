"""The probes of a layer's state: registered, saved, moved, and what holds on to it."""

import gc
import io
import weakref

import torch
from torch import Tensor, nn

from normdoctor.case import Case, in_mode
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken

__all__ = ["STATE", "trained"]

STATE: list[Probe] = []
_probe = registrar(STATE, "engineering")

KEYS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
PLAIN = "not registered"
REGISTER = "plain attributes are not part of a module's state: register_buffer"


def trained(case: Case) -> Specimen:
    """A subject that has seen three batches, if it can be trained."""
    subject = Specimen(case)
    subject.learn()
    return subject


@_probe("graph released", "After a training step, does nothing hold on to its autograd graph?", "training")
def graph_released(case: Case) -> Outcome:
    subject = Specimen(case)
    again = ""
    sizes = []
    for _ in range(3):
        sizes.append(sum(t.numel() for t in subject.tensors().values()))
        leaf = case.batch().requires_grad_()
        alive = weakref.ref(leaf)
        try:
            subject.train(leaf * 1).backward(case.cotangent())
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            again = "; the second step fails: it goes back through the graph of the first"
    del leaf
    if alive() is not None:
        gc.collect()
    holding = [name for name, t in subject.tensors().items() if t.grad_fn is not None]
    if holding or alive() is not None or again:
        names = f" by {', '.join(holding)}" if holding else ""
        words = f"the graph of a training step is kept{names}{again}; detach what is remembered, or use no_grad"
        raise Broken(words, "graph kept")
    if sizes[2] > sizes[1]:
        words = f"it grows: {sizes[2] - sizes[1]} more numbers are kept with each batch; keep only what is needed"
        raise Broken(words, "grows with each batch")
    return Outcome(source="references to the graph after the step")


@_probe(
    "state_dict keys",
    "Does its state_dict have PyTorch's names, so that weights can be exchanged?",
    "batch",
    profile="drop-in",
)
def state_dict_keys(case: Case) -> Outcome:
    subject = Specimen(case)
    kernels = [name for name, module in subject.layer.named_modules() if isinstance(module, nn.modules.conv._ConvNd)]
    paths = [key.rpartition(".") for key in subject.layer.state_dict()]
    names = {name for path, _, name in paths if path not in kernels}
    names |= {name for name in subject.tensors() if name in KEYS}  # whether they are registered is another question
    parameters = dict(subject.layer.named_parameters())
    if known := [n for n in parameters if n.rpartition(".")[2] in ("running_mean", "running_var")]:
        raise Broken(
            f"{', '.join(known)}: a running statistic is a parameter: register_buffer", "statistics as parameters"
        )
    wanted = {"weight"} if subject.affine()[0] is not None else set()
    wanted |= {"bias"} if subject.affine()[1] is not None else set()
    wanted |= {"running_mean", "running_var"} if subject.tracks else set()
    wanted |= {"num_batches_tracked"} if subject.tracks and not case.frozen else set()
    missing, more = ", ".join(sorted(wanted - names)), ", ".join(sorted(names - KEYS))
    found = [f"the state_dict lacks PyTorch's {missing}"] * bool(missing)
    found += [f"the state_dict has what PyTorch's has not: {more}"] * bool(more)
    return Outcome("; ".join(found), source="names of parameters and buffers", cause="other names" if found else "")


@_probe(
    "state_dict shapes",
    "Are γ, β and the running statistics kept as PyTorch keeps them, one number a channel, (C,)?",
    "batch",
    profile="drop-in",
)
def state_dict_shapes(case: Case) -> Outcome:
    state = Specimen(case).layer.state_dict()
    odd = [
        f"{key} {tuple(t.shape)}"
        for key, t in state.items()
        if key.rpartition(".")[2] in KEYS - {"num_batches_tracked"}
        and t.shape != (case.channels,)
        and not (case.adapted and t.ndim == 4)
    ]
    odd += [
        f"{key} {tuple(t.shape)} of {t.dtype}"
        for key, t in state.items()
        if key.rpartition(".")[2] == "num_batches_tracked" and (t.ndim or t.dtype != torch.int64)
    ]
    dtypes = [t.dtype for t in state.values() if t.is_floating_point()]
    odd += [
        f"{key} of {t.dtype}"
        for key, t in state.items()
        if t.is_floating_point() and t.dtype != max(dtypes, key=dtypes.count)
    ]
    words = (
        f"{', '.join(odd)}: PyTorch's are ({case.channels},) and of the layer's dtype, the count int64" if odd else ""
    )
    return Outcome(words, source="the shapes", cause="other shapes" if odd else "")


@_probe("registered", "Is all that it remembers in parameters and buffers, each a tensor of its own?")
def registered(case: Case) -> Outcome:
    subject = trained(case)
    known = {id(t) for t in [*subject.layer.parameters(), *subject.layer.buffers()]}
    held = [
        *subject.layer.named_parameters(remove_duplicate=False),
        *subject.layer.named_buffers(remove_duplicate=False),
    ]
    places: dict[int, str] = {}
    for name, t in held:
        if t.numel() and (other := places.setdefault(t.data_ptr(), name)) != name:
            raise Broken(f"{other} and {name} are one and the same tensor: give each its own", "one tensor for two")
    counters = [n for n in subject.tensors() if n.rpartition(".")[2] == "num_batches_tracked"]
    if lost := [n for n in counters if n not in subject.layer.state_dict()]:
        buffers = dict(subject.layer.named_buffers())
        words = "the buffer is not persistent, so that it is not saved" if lost[0] in buffers else REGISTER
        raise Broken(f"{', '.join(lost)}: {words}", PLAIN)
    with torch.no_grad():
        expected = subject.copy().evaluate(case.batch(1))
    loose = [n for n, t in subject.tensors().items() if id(t) not in known and _matters(case, subject, n, expected)]
    if loose:
        raise Broken(f"{', '.join(loose)}: {REGISTER}", PLAIN)
    fresh = Specimen(case)
    later = dict(subject.layer.named_parameters())
    statistics = [
        n
        for n, p in fresh.layer.named_parameters()
        if n not in (case.gamma_name, case.beta_name)
        and not case.adapted
        and p.requires_grad
        and n in later
        and p.shape == later[n].shape
        and not torch.equal(p, later[n])
    ]
    if statistics:
        words = f"{', '.join(statistics)}: running statistics are parameters, which an optimizer moves: register_buffer"
        raise Broken(words, "statistics as parameters")
    saved = set(subject.layer.state_dict())
    left = [n for n, _ in subject.layer.named_buffers() if n not in saved]
    left = [n for n in left if _matters(case, subject, n, expected)]
    if left:
        raise Broken(
            f"{', '.join(left)}: the buffer is not persistent, so that it is not saved: persistent=True", PLAIN
        )
    return Outcome(source="tensors that evaluation depends on")


def _matters(case: Case, subject: Specimen, name: str, expected: Tensor) -> bool:
    """Whether evaluation gives something else when this tensor is changed."""
    other = subject.copy()
    found = other.tensors().get(name)
    if found is None or not found.is_floating_point():
        return False
    with torch.no_grad():
        found += 1.0
        return not torch.equal(other.evaluate(case.batch(1)), expected)


@_probe("save and load", "Is a trained layer the same after saving and loading (weights_only) its state_dict?")
def save_and_load(case: Case) -> Outcome:
    subject, other, x = trained(case), Specimen(case), case.batch(1)
    file = io.BytesIO()
    torch.save(subject.layer.state_dict(), file)
    file.seek(0)
    words = f"the running statistics are not in the state_dict: {REGISTER}"
    try:
        other.layer.load_state_dict(torch.load(file, weights_only=True))
    except RuntimeError as error:
        line = " ".join(str(error).split())[:110]
        if set(subject.layer.state_dict()) - set(Specimen(case).layer.state_dict()):
            raise Broken(
                "the statistics exist only after a training batch, so that a trained layer's state_dict does not "
                "load into a new one: create them in __init__",
                "statistics appear late",
            ) from None
        raise Broken(f"a trained layer's state_dict does not load into a new one ({line})", "state grows") from None
    with torch.no_grad():  # as one evaluates
        expected = subject.evaluate(x)
        try:
            measured = other.evaluate(x)
        except Exception as error:
            raise Broken(f"{words} ({type(error).__name__} after loading)", PLAIN) from None
    outcome = compare(measured, expected, words, what="evaluation after loading", ulps=8, cause=PLAIN)
    mine, theirs = subject.layer.state_dict(), other.layer.state_dict()
    if outcome.diagnosis and any(not torch.equal(mine[key], theirs[key]) for key in mine if key in theirs):
        raise Broken("what was loaded is not what was saved: state_dict, or loading, changes it", "loading changes it")
    return outcome


@_probe("to(dtype, device)", "Do .to(dtype) and .to(device) take the statistics along?")
def to_device(case: Case) -> Outcome:
    subject, x = trained(case), case.batch(1).double()
    with torch.no_grad():
        expected = subject.copy().evaluate(case.batch(1))
    needed = {n for n in subject.tensors() if _matters(case, subject, n, expected)}
    subject.layer.double()
    if stuck := [n for n, p in subject.layer.named_parameters() if p.dtype != x.dtype]:
        raise Broken(f".double() leaves {', '.join(stuck)} as it was: do not override _apply", "not moved")
    left = [f"{n} ({t.dtype})" for n, t in subject.tensors().items() if n in needed and t.dtype != x.dtype]
    y = subject.evaluate(x).detach()
    if not left and case.hints.device == "cpu":
        subject.layer.to("meta")
        left = [f"{n} ({t.device})" for n, t in subject.tensors().items() if n in needed and t.device.type != "meta"]
    if left:
        buffers = dict(subject.layer.named_buffers())
        if all(name.partition(" ")[0] in buffers for name in left):
            raise Broken(f"left behind: {', '.join(left)}: they are buffers; do not override _apply", "not moved")
        raise Broken(f"left behind: {', '.join(left)}; {REGISTER}", PLAIN)
    if y.dtype != x.dtype:
        raise Broken("the output does not follow the layer's dtype", "other dtype out")
    if case.hints.device == "cpu" and case.call(in_mode(subject.layer, False), x, device="meta").device.type != "meta":
        raise Broken("the output does not follow the layer's device: make nothing on a fixed device", "own device")
    if case.hints.device == "cpu" and not case.frozen and subject.momentum is not None:
        try:
            y = case.call(in_mode(subject.layer, True), x, device="meta")
        except RuntimeError as error:
            if "item()" in str(error):
                return Outcome(source="the output in float64, and of evaluation on the device meta")
            raise
        left = [n for n, t in subject.tensors().items() if n in needed and t.device.type != "meta"]
        if y.device.type != "meta" or left:
            raise Broken(f"training on another device makes {', '.join(left) or 'the output'} on the CPU", "own device")
    return Outcome(source="the output in float64, and on the device meta")
