"""Whether records still say what this machine and these versions would: the first epoch of some, once more."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from study.plan import Plan, Record, Run
from study.training import train
from utils.data import ImageData

__all__ = ["Comparison", "again", "draw"]

ACCURACY = 0.05  # in the validation accuracy after one epoch: another processor sums in another order, and training
NORM = 0.02  # makes much of it; relative, in the weights' norm


@dataclass(frozen=True)
class Comparison:
    """A record's first epoch, then and now: validation accuracy and the weights' norm."""

    name: str
    then: tuple[float, float]
    now: tuple[float, float]

    @property
    def agrees(self) -> bool:
        return abs(self.then[0] - self.now[0]) <= ACCURACY and abs(self.now[1] / self.then[1] - 1) <= NORM


def draw(records: Mapping[str, Record], count: int, seed: int) -> list[str]:
    """The names of so many records, at random, of runs that went through."""
    names = sorted(name for name, record in records.items() if not record["stopped"] and record["validation"])
    return random.Random(seed).sample(names, min(count, len(names)))


def again(record: Record, plan: Plan, data: ImageData) -> Comparison:
    """Train the first epoch of a record once more, as the plan has it."""
    run = Run(record["arm"], record["role"], record["rate"], record["seed"], plan.arms[record["arm"]])
    made = train(run, data, record["device"], only=1)
    pairs = [(each["validation"][0], each["norms"][0]) if each["norms"] else (0.0, 0.0) for each in (record, made)]
    return Comparison(run.name, *pairs)
