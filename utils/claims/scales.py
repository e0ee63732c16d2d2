"""Which claims the study asks again, by the same rule: the effect after a minute, and after hours."""

from dataclasses import dataclass

from utils import study
from utils.claims.board import collect
from utils.claims.records import DATA_SETS
from utils.claims.verdicts import of_interval

__all__ = ["Pair", "at_both_scales"]


@dataclass(frozen=True)
class Pair:
    """A difference of accuracies, measured at both scales.

    Attributes:
        number, what: of the claim, and what is compared.
        holds: where it would have to lie, as the study's plan says.
        minute, hours: the estimate, and the ends of its interval, after a minute on CIFAR-10 and after hours.
        verdicts: by these two intervals and that rule; the verdict of the claim rests on more.
    """

    number: str
    what: str
    holds: tuple[float, float]
    minute: tuple[float, float, float]
    hours: tuple[float, float, float]
    verdicts: tuple[str, str]


def at_both_scales(before: str = "100") -> list[Pair]:
    """Each difference in points that the study has come to the end of, in the order of the claims; errors as `collect`.

    The same is an accuracy on test pictures that has the same rule, or is the only one of its claim in both places,
    unless the plan says that no minute has asked it.

    Args:
        before: only of notebooks whose number is smaller.
    """
    known, plan, pairs = study.verdicts()["estimands"], study.read_plan()["questions"], []
    for made in collect(before):
        now = [each for each in made.judged.get(DATA_SETS[0], []) if not each.estimand.caveat]
        now = [each for each in now if each.estimand.show == "points"]
        asked = study.estimands_about(made.words.slug)
        for question, name in asked:
            given, alone = plan[question]["estimands"][name], len(now) == len(asked) == 1
            if "value" in given or not given.get("minute", True):
                continue
            holds = tuple(given["holds"])
            once = next((each for each in now if alone or tuple(each.estimand.holds) == holds), None)
            then = known.get(question, {}).get(name)
            if once is None or then is None:
                continue
            now.remove(once)
            found = once.found
            pairs.append(
                Pair(
                    made.words.number, once.estimand.what, holds, (found.value, found.low, found.high),
                    (then["value"], then["low"], then["high"]),
                    (of_interval((found.low, found.high), holds), then["verdict"]),
                )
            )  # fmt: skip
    return pairs
