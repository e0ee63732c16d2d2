"""A claim is put to the test each time its notebook runs."""

from collections.abc import Mapping, Sequence

import numpy as np

from utils import data
from utils.claims import card
from utils.claims.made import Claim, claim_of
from utils.claims.records import keep
from utils.claims.verdicts import HOLDS, NOT, Judged, judge

__all__ = ["ClaimError", "claim"]


class ClaimError(AssertionError):
    """What was just measured contradicts what was recorded."""


def claim(slug: str, arms: Mapping[str, Sequence[float] | np.ndarray | float] | None = None) -> None:
    """Put a claim to the test, and show it as a card.

    What is claimed, which arms are compared and what would have to come out stands in `lessons/nbNN/claims.toml`. The
    verdict on the card is computed from what `make claims` has recorded; beside it stands what was just measured.

    Args:
        slug: names the claim for good, as in "before-or-after-relu".
        arms: arm → its values, (S,), a number for each seed or case; or (S, P), whether each of P test pictures was
            answered right; or a single number. None for an open question.

    Raises:
        ClaimError: an estimand that holds as it was recorded does not hold by what was just measured, or the reverse.
        ValueError: an unknown slug; an arm that is missing, has too few seeds, or is NaN.
    """
    made = claim_of(slug)
    rows = {name: np.atleast_1d(np.asarray(values, dtype=float)) for name, values in (arms or {}).items()}
    recording = bool(rows) and keep(slug, data.in_use(), rows)  # also what cannot be judged: it is what came out
    now = judge(made.words, rows)
    if recording:
        return  # what was recorded before may have had other arms
    before = made.judged.get(data.in_use(), [])
    problem = "; ".join(_contradiction(*pair) for pair in zip(before, now, strict=False) if _contradicts(*pair))
    _display(made, now, problem)
    if problem:
        raise ClaimError(f"claim {made.words.number} is contradicted: {problem}")


def _contradicts(before: Judged, now: Judged) -> bool:
    return {before.verdict, now.verdict} == {HOLDS, NOT}


def _contradiction(before: Judged, now: Judged) -> str:
    return f"{now.estimand.what}: {now.text}, where {before.text} was recorded ({now.estimand.rule})"


def _display(made: Claim, now: list[Judged], problem: str) -> None:
    from IPython.display import display  # here, so that the tools can read claims without IPython

    display(
        {"text/plain": card.text(made, problem), "text/html": card.html(made, now, data.in_use(), problem)},
        metadata={"claim": {"slug": made.words.slug, "number": made.words.number, "problem": problem}},
        raw=True,
    )
