"""`normdoctor package.module:Layer`, or `python -m normdoctor …`: what is wrong with a layer, from a shell."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from torch import nn

from normdoctor import PROBES, _required, check_batchnorm, from_bnlayer
from normdoctor.subject import Fixture, first_line, isolated

__all__ = ["main"]


class _Stop(Exception):
    """The arguments make no sense; the message says why, in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise _Stop(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the scoreboard of a layer, and what is wrong with it.

    Args:
        arguments: of the command; those of this process by default.

    Returns:
        The exit status: 0 if all is well, 1 if a probe failed or raised, 2 if the layer could not be tested.
    """
    parser = _Parser(prog="normdoctor", description="Tell what is wrong with a batch-normalization layer.")
    parser.add_argument("layer", nargs="?", help="package.module:Layer, a class or a factory (num_features) -> layer")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this probe only; may be repeated")
    parser.add_argument("--skip", action="append", metavar="NAME", default=[], help="leave this probe out")
    parser.add_argument("--channels", type=_count, default=6, help="how many channels to ask for (default: 6)")
    parser.add_argument("--list", action="store_true", help="list the probes and their questions")
    try:
        options = parser.parse_args(arguments)
        if options.list:
            width = max(len(probe.name) for probe in PROBES)
            _say("\n".join(f"{probe.name:<{width}}  {probe.question}" for probe in PROBES))
            return 0
        make_layer = _imported(options.layer)
        _require_that_it_runs(make_layer, options.channels)
        report = check_batchnorm(
            make_layer, only=options.only, skip=options.skip, num_features=options.channels, title=options.layer
        )
    except (_Stop, ValueError, TypeError) as error:
        _say(f"{parser.prog}: {error}", sys.stderr)
        return 2
    _say(report)
    if not report.ok:
        _say(f"\nWhat is wrong\n{report.details()}")
    return 0 if report.ok else 1


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of channels, at least 1; given: {text}")
    return int(text)


def _say(what: object, stream: TextIO | None = None) -> None:
    """Print; a sign that the terminal's encoding does not have becomes a question mark."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(str(what).encode(encoding, "replace").decode(encoding), file=stream)


def _require_that_it_runs(make_layer: Callable[..., nn.Module], channels: int) -> None:
    """Raise _Stop unless the layer can be made and takes an ordinary batch, in training or in evaluation."""
    if _required(make_layer) == 2:
        make_layer = from_bnlayer(make_layer)
    with isolated():
        fixture, reason = Fixture(make_layer, channels), ""
        for training in (True, False):
            try:
                fixture.make().train(training)(fixture.batch())
            except Exception as error:
                reason = f"{type(error).__name__}: {first_line(error)}"
            else:
                return
    raise _Stop(
        f"it could not be tested, {reason}. Name a function of the number of channels that makes the layer, "
        "such as `lambda n: MyLayer(n, …)` under a name of its own."
    )


def _imported(path: str | None) -> Callable[..., nn.Module]:
    module, colon, name = (path or "").partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # as `python -m` has it; a console script does not
        sys.path.insert(0, str(Path.cwd()))
    if not (module and colon and name):
        raise _Stop(f"name a layer as package.module:Layer; given: {path or 'nothing'}")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise _Stop(f"cannot import {module!r}: {type(error).__name__}: {first_line(error)}") from None
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1)
            raise _Stop(f"{module!r} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        found = getattr(found, part)
    if not callable(found):
        raise _Stop(f"{path} is no class and no factory: it is of type {type(found).__name__}")
    return found
