"""Whether records still say what this machine and these versions would: the first epoch of some, once more.

On the same processor, with the same torch, a run repeats itself to the last digit, and another arm does not. Elsewhere
sums are rounded otherwise, and at a large rate some tens of steps make as much of it as another seed would: there a
comparison can only be rough.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from study.plan import Plan, Record, Run
from study.training import train
from utils.data import ImageData
from utils.machine import processor

__all__ = ["Comparison", "again", "draw", "made_here"]

EXACT = {"loss": 6e-4, "norm": 1e-5, "accuracy": 0}  # relative: a record keeps four digits of the loss
ROUGH = {"loss": 0.05, "norm": 0.03, "accuracy": 0.15}  # relative, relative, and as it is: what another make may do


@dataclass(frozen=True)
class Comparison:
    """A record's first epoch, then and now.

    Attributes:
        name: of the run.
        loss: of all parts of a curve that lie in the first epoch, (parts,), then and now.
        norm, accuracy: of the weights; on held-out pictures; then and now.
    """

    name: str
    loss: tuple[np.ndarray, np.ndarray]
    norm: tuple[float, float]
    accuracy: tuple[float, float]

    @property
    def exactly(self) -> bool:
        """Whether every digit of the record came again."""
        return all(np.allclose(*getattr(self, name), rtol=near, atol=2e-5) for name, near in EXACT.items())

    @property
    def agrees(self) -> bool:
        """Whether it is as near as another make of processor would be."""
        loss = [float(parts.mean()) for parts in self.loss] if len(self.loss[0]) else [1.0, 1.0]
        return self.exactly or (
            abs(loss[1] / loss[0] - 1) <= ROUGH["loss"]
            and abs(self.norm[1] / self.norm[0] - 1) <= ROUGH["norm"]
            and abs(self.accuracy[1] - self.accuracy[0]) <= ROUGH["accuracy"]
        )

    @property
    def words(self) -> str:
        """What came out, for a line of the command."""
        how = "agrees" if self.exactly else "agrees roughly, not to the last digit" if self.agrees else "DIFFERS"
        loss = (float(parts.mean()) if len(parts) else np.nan for parts in self.loss)
        numbers = zip(("loss", "norm", "accuracy"), (tuple(loss), self.norm, self.accuracy), strict=True)
        return f"{how}: " + "; ".join(f"{what} {then:.4g} then, {now:.4g} now" for what, (then, now) in numbers)


def made_here(record: Record) -> bool:
    """Whether it was made on this make of processor, with this torch, so that it may come again to the last digit."""
    there = (record["machine"], record["torch"].split("+")[0], record["device"])
    return there == (processor(), torch.__version__.split("+")[0], "cpu")


def draw(records: Mapping[str, Record], count: int, seed: int) -> list[str]:
    """The names of so many records, at random, of runs that went through.

    Of those made on this make of processor with this torch, if there are enough; else of the final runs (a search has
    larger rates, at which a comparison of two makes means little), those of this make if there are enough.
    """
    names = sorted(name for name, record in records.items() if not record["stopped"] and record["validation"])
    final = [name for name in names if records[name]["role"] != "search"]
    here = [name for name in names if made_here(records[name])]
    make = [name for name in final if records[name]["machine"] == processor()]
    names = next((some for some in (here, make) if len(some) >= count), final)
    return random.Random(seed).sample(names, min(count, len(names)))


def again(record: Record, plan: Plan, data: ImageData) -> Comparison:
    """Train the first epoch of a record once more, as the plan has it.

    Raises:
        ValueError: it was made on a device that is not here.
    """
    run = Run(record["arm"], record["role"], record["rate"], record["seed"], plan.arms[record["arm"]])
    kind = torch.device(record["device"]).type
    if kind != "cpu" and not getattr(torch, kind).is_available():
        raise ValueError(f"{run.name} was made on {kind}, which is not here")
    torch.set_num_threads(record["threads"])
    made = train(run, data, record["device"], only=1)
    steps = len(made["loss"])
    whole = np.array_split(np.arange(len(record["validation"]) * steps), len(record["loss"]))  # as it was thinned
    inside = [part for part in whole if part[-1] < steps]
    now = np.array([np.mean(made["loss"][part[0] : part[-1] + 1]) for part in inside])
    norm, accuracy = (tuple((each[name] or [0.0])[0] for each in (record, made)) for name in ("norms", "validation"))
    return Comparison(run.name, (np.array(record["loss"][: len(now)]), now), norm, accuracy)
