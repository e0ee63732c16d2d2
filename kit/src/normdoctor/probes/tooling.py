"""The probes of the tools around a layer: compiled, exported, differentiated forwards, mapped over a batch."""

import functools
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from normdoctor.case import Case, copied, in_mode
from normdoctor.double import Double
from normdoctor.probe import Make, Outcome, Probe, compare, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import NotApplicable

__all__ = ["TOOLING"]

TOOLING: list[Probe] = []
_probe = registrar(TOOLING, "engineering")


@_probe(
    "forward derivative",
    "Does forward-mode differentiation give the same derivative as backward?",
    "training",
    what="the directional derivative, forwards",
    profile="drop-in",
    ulps=1024,
    hint="a hand-written backward pass has no forward mode: give its Function a jvp, or use autograd's own",
    cause="no forward mode",
)
def forward_derivative(case: Case, new: Make) -> Tensor:
    subject, x, v = new(), case.batch(), case.cotangent(1)
    if isinstance(subject, Double):
        leaf = x.double().requires_grad_()
        return torch.autograd.functional.jvp(subject.train, leaf.detach(), v.double())[1]
    with forward_ad.dual_level():
        y = subject.train(forward_ad.make_dual(x, v))
        tangent = forward_ad.unpack_dual(y).tangent
    return torch.zeros_like(x) if tangent is None else tangent


@_probe(
    "vmap in evaluation",
    "Can evaluation be mapped over single images with torch.func.vmap?",
    "running",
    profile="drop-in",
    hint="something in forward looks at a value, or changes one: in evaluation it need not",
    cause="not mappable",
)
def vmap_in_evaluation(case: Case) -> Outcome:
    if case.hints.call or case.axis != 1 or isinstance(Specimen(case).layer, torch.jit.ScriptModule):
        raise NotApplicable("its input is not (N, C, ...)")
    subject = Specimen(case)
    subject.learn()
    layer, x = in_mode(subject.layer, False), case.batch(1)
    with torch.no_grad():
        usual = layer(x)
        if not isinstance(usual, Tensor):
            raise NotApplicable("its output is not a tensor")
        measured = torch.func.vmap(lambda image: layer(image[None])[0], randomness="same")(x)
    return compare(
        measured,
        usual.double(),
        "mapped over images it gives something else",
        what="evaluation, mapped",
        ulps=64,
        cause="not mappable",
    )


@_probe(
    "compile",
    "Does torch.compile give the same outputs, gradients and statistics?",
    "training",
    slow=True,
    hint="something in forward stops the compiler: side effects, values that are looked at",
    cause="compiled otherwise",
)
def compiled(case: Case) -> Outcome:
    if not _compiler_works():
        raise NotApplicable("torch.compile does not work here")
    subject = Specimen(case)
    plain = Specimen(case, copied(subject.layer))
    measured = _step(_compiled(lambda x: subject.layer(x)), subject, case)
    expected = _step(lambda x: plain.layer(x), plain, case)
    words = "look for side effects in forward: what is computed there depends on being run by Python"
    what, cause = "output and dL/dx, compiled", "compiled otherwise"
    outcome = compare(measured, expected, words, what=what, ulps=64, cause=cause)
    if outcome.diagnosis or not subject.tracks:
        return outcome
    after, wanted = torch.cat(subject.read()).to(case.dtype), torch.cat(plain.read())
    words = "the running statistics are not updated when compiled"
    return compare(after, wanted, words, what="running statistics, compiled", ulps=64, cause=cause)


def _compiled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Compiled under a code object of its own, so that nobody else's compiled code is touched."""
    assert isinstance(function, types.FunctionType)
    fresh = types.FunctionType(function.__code__.replace(), function.__globals__, None, None, function.__closure__)
    return torch.compile(fresh, backend="eager")


class _StandIn(nn.Module):
    """Something that is called as the layer is."""

    def __init__(self, run: Callable[[Tensor], Tensor]):
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def _step(run: Callable[[Tensor], Tensor], subject: Specimen, case: Case) -> Tensor:
    """Output and dL/dx of a step of training."""
    in_mode(subject.layer, True)
    leaf = case.batch().requires_grad_()
    y = case.call(_StandIn(run), leaf.clone())
    return torch.stack([y.detach(), torch.autograd.grad(y, leaf, case.cotangent().to(y.dtype))[0]])


@functools.cache
def _compiler_works() -> bool:
    """Whether torch.compile can be used with this Python."""
    try:
        return bool((torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2).all())
    except Exception:
        return False


@_probe(
    "export",
    "Can a trained layer be exported for evaluation, with the same outputs?",
    slow=True,
    cause="not exportable",
)
def exported(case: Case) -> Outcome:
    if case.hints.call or isinstance(Specimen(case).layer, torch.jit.ScriptModule):
        raise NotApplicable("its call is not the usual one")
    subject, x = Specimen(case), case.batch(1)
    subject.learn()
    expected = subject.evaluate(x).detach()
    given = x if case.axis == 1 else x.movedim(1, case.axis)
    program = torch.export.export(in_mode(subject.layer, False), (given,))
    words = "the exported layer evaluates differently"
    measured = case.call(_StandIn(program.module()), x) - subject.lift
    return compare(measured, expected, words, what="the exported layer's output", ulps=64, cause="not exportable")


@_probe(
    "PyTorch's own cases",
    "Does it do what PyTorch's layer does, in the cases with which PyTorch tests its own?",
    "training",
    "plain",
    "guessed",
    "linear",
    "batch",
    slow=True,
    profile="drop-in",
    cause="unlike PyTorch's",
)
def pytorchs_cases(case: Case) -> Outcome:
    name = f"BatchNorm{max(len(case.shape) - 2, 1)}d"
    cases = _cases(name)
    tried, source = 0, f"outputs and what is remembered, in PyTorch's cases for {name}"
    for arguments, settings, x in cases:
        theirs = getattr(nn, name)(*arguments, **settings)
        try:
            ours = case.make_layer(*arguments, **settings)
        except TypeError:
            continue  # an option that it does not offer
        for training in (True, False):
            wanted = in_mode(theirs, training)(x)
            try:
                measured = case.call(in_mode(ours, training), x)
            except TypeError:
                break  # nor this one
            words = f"with {', '.join(map(str, [*arguments, *(f'{k}={v}' for k, v in settings.items())]))} it differs"
            outcome = compare(measured, wanted.double(), words, what=source, ulps=1024, cause="unlike PyTorch's")
            if outcome.diagnosis:
                return outcome
        tried += 1
    if not tried:
        raise NotApplicable("its constructor takes none of the arguments of PyTorch's cases")
    return Outcome(source=f"{source}: {tried} of {len(cases)}")


@functools.cache
def _cases(name: str) -> list[tuple[tuple, dict, Tensor]]:
    """The cases of PyTorch's module tests, which are not public: (arguments, settings, input)."""
    allowed = "__allow_nonbracketed_mutation_flag"  # the import freezes PyTorch's flags: they are let loose again
    flags = torch.backends.flags_frozen.__globals__
    before = flags.get(allowed)
    try:
        from torch.testing._internal.common_modules import module_db

        info = next(info for info in module_db if info.module_cls.__name__ == name)
        found = info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True)
        made = [(one.constructor_input, one.forward_input.args[0]) for one in found]
        return [(constructor.args, constructor.kwargs, x) for constructor, x in made]
    except Exception:
        raise NotApplicable("PyTorch's own cases are not to be had here (they need expecttest)") from None
    finally:
        if before is not None:
            flags[allowed] = before
