"""The smallest batch for which a layer gives something else than it should."""

from collections.abc import Iterator

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.double import Double
from normdoctor.formula import Formula
from normdoctor.probe import compare
from normdoctor.specimen import Specimen

__all__ = ["smallest_example"]


def _batches(case: Case) -> Iterator[Tensor]:
    """One channel's values, few and small first; all channels alike."""
    for values in ([0, 1], [0, 2], [1, 3], [0, 1, 2], [0, 0, 4], [1, 2, 4, 8], [-1, 0, 3, 1], [10, 11, 12, 14]):
        shape = (len(values), 1, *[1] * (len(case.shape) - 2))
        yield torch.tensor(values, dtype=case.dtype).view(shape).expand(-1, case.channels, *shape[2:]).contiguous()


def smallest_example(case: Case, formula: Formula) -> str:
    """In words: what goes in, what comes out, and what should; empty if none of a few small batches shows it."""
    for mode in ("training", "evaluation"):
        for x in _batches(case):
            try:
                subject = Specimen(case)
                double = Double(Specimen(case), formula)
                if mode == "training":
                    y, right = subject.train(x), double.train(x)
                else:
                    subject.learn()
                    double.learn()
                    y, right = subject.evaluate(x), double.evaluate(x)
            except Exception:
                continue
            if compare(y, right, what="").diagnosis:
                given, got, wanted = (
                    ", ".join(f"{v:.4g}" for v in t[:, 0].detach().flatten().tolist()) for t in (x, y, right)
                )
                return f"in {mode}, for a channel of {given} it gives {got}; {wanted} would be right"
    return ""
