"""`normdoctor package.module:Layer`, or `python -m normdoctor …`: what is wrong with a layer, from a shell."""

import argparse
import contextlib
import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from torch import nn

from normdoctor.checking import CONVENTIONS, KINDS, PROBES, check_normalization
from normdoctor.isolation import first_line
from normdoctor.output import as_json, as_junit, as_text, plain_ascii
from normdoctor.probe import PROFILES

__all__ = ["main"]


class _Stop(Exception):
    """The arguments make no sense; the message says why, in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Stop(message)


def _parser() -> _Parser:
    parser = _Parser(
        prog="normdoctor",
        description="Tell what is wrong with a normalization layer.",
        epilog="Exit status: 0 nothing is wrong, 1 something is, 2 it could not be tested.",
    )
    parser.add_argument("layer", nargs="?", help="package.module:Layer, a class or a factory (num_features) -> layer")
    parser.add_argument("--kind", default="batch", choices=list(KINDS), help="what it should be (%(default)s)")
    parser.add_argument("--profile", default="drop-in", choices=PROFILES, help="how much to ask (%(default)s)")
    parser.add_argument(
        "--conventions", default="torch", choices=list(CONVENTIONS), help="of momentum and variance (%(default)s)"
    )
    parser.add_argument("--only", action="append", metavar="PROBE", help="run this probe only; may be repeated")
    parser.add_argument("--skip", action="append", metavar="PROBE", default=[], help="leave this probe out")
    parser.add_argument("--all", action="store_true", help="also the slow probes: compile, export, PyTorch's own cases")
    parser.add_argument("--channels", type=_count, help="how many channels to ask for (6)")
    parser.add_argument("--input-shape", type=_shape, metavar="N,C,...", help="shape of a batch, as the layer wants it")
    parser.add_argument("--channel-axis", type=int, metavar="K", help="which dimension the channels are (1, or -1)")
    parser.add_argument("--device", default="cpu", help="where to make and run it (%(default)s)")
    parser.add_argument(
        "--scoreboard", action="store_true", help="print every probe, and the numbers of those that fail"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    parser.add_argument("--junit", metavar="FILE", help="also write JUnit's XML")
    parser.add_argument(
        "--ascii", action="store_true", help="print ASCII alone, as where the terminal has nothing else"
    )
    parser.add_argument("--list", action="store_true", help="list the probes and their questions")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong with a layer.

    Args:
        arguments: of the command; those of this process by default.

    Returns:
        The exit status: 0 if all is well, 1 if something is wrong, 2 if the layer could not be tested.
    """
    try:
        options = _parser().parse_args(arguments)
        if options.list:
            width = max(len(probe.name) for probe in PROBES)
            _say("\n".join(f"{p.name:<{width}}  {p.profile:<11}  {p.question}" for p in PROBES), options.ascii)
            return 0
        _check_device(options.device)
        try:
            report = check_normalization(
                _imported(options.layer),
                options.kind,
                only=options.only,
                skip=options.skip,
                everything=options.all,
                profile=options.profile,
                conventions=options.conventions,
                num_features=options.channels or 6,
                input_shape=options.input_shape,
                channel_axis=options.channel_axis,
                device=options.device,
                title=options.layer,
            )
        except SystemExit:
            raise _Stop(f"{options.layer} ends the program") from None
        if options.json:
            _say(as_json(report))
        if options.junit:
            Path(options.junit).write_text(as_junit(report), encoding="utf-8")
        if report.untestable:
            raise _Stop(
                f"it could not be tested: {report.untestable}. Write a function of the number of channels that "
                "returns the layer, wrapped so that it needs x alone, and name that; or give --input-shape."
            )
        if not report.ran:
            raise _Stop("none of the probes that were asked for applies to this layer: nothing was tested")
    except (_Stop, ValueError, TypeError, OSError) as error:
        _say(f"normdoctor: {first_line(error) if isinstance(error, OSError) else error}", stream=sys.stderr)
        return 2
    if not options.json:
        _say(as_text(report), options.ascii)
        if options.scoreboard:
            _say(f"\n{report}" + (f"\n\n{report.details()}" if report.failed else ""), options.ascii)
    return 0 if report.ok else 1


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of channels, at least 1; given: {text}")
    return int(text)


def _shape(text: str) -> tuple[int, ...]:
    parts = text.replace("x", ",").split(",")
    if len(parts) < 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"positive numbers, such as 8,6,5,5; given: {text}")
    return tuple(int(part) for part in parts)


def _check_device(name: str) -> None:
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise _Stop(f"there is no device {name!r} here: {first_line(error)}") from None


def _say(what: object, plain: bool = False, stream: TextIO | None = None) -> None:
    """Print; in ASCII if asked for, or if the terminal's encoding lacks a sign."""
    stream, text = stream or sys.stdout, str(what)
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = True
    print(plain_ascii(text) if plain else text, file=stream)


def _imported(path: str | None) -> Callable[..., nn.Module]:
    module, colon, name = (path or "").partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # as `python -m` has it; a console script does not
        sys.path.insert(0, str(Path.cwd()))
    if module.endswith(".py") or "/" in module:
        raise _Stop(f"name the module as Python imports it, package.module, not its file; given: {module}")
    if not (module and colon and name):
        raise _Stop(f"name a layer as package.module:Layer; given: {path or 'nothing'}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no part of a report
            found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise _Stop(f"cannot import {module!r}: {type(error).__name__}: {first_line(error)}") from None
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(found), 1)
            raise _Stop(f"{module!r} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")) from None
        except Exception as error:  # a module that imports only when it is asked
            raise _Stop(f"cannot get {name!r} of {module!r}: {type(error).__name__}: {first_line(error)}") from None
    if not callable(found):
        raise _Stop(f"{path} is neither a class nor a factory: it is of type {type(found).__name__}")
    return found
