"""All claims in one table: those of the lessons, as they stand."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from html import escape

from utils import lessons, study
from utils.claims.card import VERDICTS, badge, verdict
from utils.claims.made import Claim, claim_of
from utils.claims.records import DATA_SETS
from utils.claims.verdicts import HOLDS, LEVEL, NOT, power, survive
from utils.claims.words import KINDS, VALUES
from utils.tables import Markup, html_table, markdown_table

__all__ = ["Board", "board", "collect", "holm"]

NONE_YET = "No claims yet."


class Board:
    """Claims in one table, with their kinds, for a notebook (HTML), a page (Markdown) and a terminal.

    Args:
        claims: its rows.
        among: all claims of which these were chosen, so that stars correct for every test that was made; None if all.
    """

    def __init__(self, claims: Iterable[Claim], among: Iterable[Claim] | None = None):
        self.claims = sorted(claims, key=lambda c: tuple(map(int, c.words.number.split("."))))
        self.among = self.claims if among is None else list(among)
        self.surviving = holm(self.among)

    def __len__(self) -> int:
        return len(self.claims)

    def __repr__(self) -> str:
        lines = (f"{c.words.number:>5}  {verdict(c):<24} {c.words.sentence}" for c in self.claims)
        return "\n".join(lines) or NONE_YET

    def _repr_html_(self) -> str:
        if not self.claims:
            return f"<p>{NONE_YET}</p>"
        rows = (
            (Markup(f'<a href="{escape(page(c))}">{c.words.number}</a>'), c.words.kind, c.words.sentence, c.words.by,
             Markup(badge(verdict(c)) + self._mark(c)), Markup(_after_hours(c, badge)))
            for c in self.claims
        )  # fmt: skip
        header = ("", "kind", "claim", "said by", "after a minute", "after hours")
        return html_table(header, rows) + f"<p>{escape(self.chance())}</p>"

    def _mark(self, made: Claim) -> str:
        return " *" if made.words.slug in self.surviving else ""

    def count(self) -> str:
        """How many claims there are of each kind, and what became of them."""
        kinds = Counter(c.words.kind for c in self.claims)
        verdicts = Counter(verdict(c) for c in self.claims)
        refuted = [c for c in self.claims if verdict(c) == NOT]
        ours = sum(c.words.said == "ours" for c in refuted)
        words = {"identity": "identities", "fact": "facts"}
        if not len(self):
            return NONE_YET
        return (
            f"{len(self)} claims: "
            + ", ".join(f"{kinds[kind]} {words.get(kind, kind)}" for kind in KINDS if kinds[kind])
            + ". Their verdicts: "
            + "; ".join(f"{verdicts[name]} {name.replace(', with', ' with')}" for name in VERDICTS if verdicts[name])
            + "."
            + f" Of those that do not hold, {len(refuted) - ours} are what others say, {ours} our own." * bool(refuted)
        )

    def chance(self) -> str:
        """How many verdicts chance alone would give, and what the star means."""
        tests = sum(c.words.kind == "measured" for c in self.among)
        decided = sum(c.words.kind == "measured" and c.verdict in (HOLDS, NOT) for c in self.among)
        return (
            f"Of {tests} measured claims {decided} are decided. If every effect lay on the very edge of its rule, "
            f"chance alone would decide {(1 - LEVEL) * tests:.1f} of them on one data set. * = survives Holm's "
            f"correction for {tests} tests ({len(self.surviving)} do)."
        )

    def markdown(self, folder: str = "", measured: bool = False) -> str:
        """A Markdown table; links lead into `folder`. With `measured`, also what was compared and what came out."""
        if not self.claims:
            return ""
        header = ["", "kind", "claim", "said by", "verdict"]
        rows = [
            [f"[{c.words.number}]({folder}{page(c)})", c.words.kind, c.words.sentence, c.words.by,
             _signed(verdict(c)) + self._mark(c)]
            for c in self.claims
        ]  # fmt: skip
        if measured:
            header += ["after hours", "found", *DATA_SETS, "power"]
            rows = [[*row, _after_hours(c, _signed), *_measured(c)] for row, c in zip(rows, self.claims, strict=True)]
        return markdown_table(header, rows)


def _signed(shown: str) -> str:
    return f"{VERDICTS[shown][0]} {shown}"


def _after_hours(made: Claim, show: Callable[[str], str]) -> str:
    """The study's verdict; empty where it does not ask."""
    if found := study.verdicts()["claims"].get(made.words.slug):
        return show(found)
    if study.estimands_about(made.words.slug):
        return "not run yet"
    return "not run: for a GPU" if study.estimands_about(made.words.slug, "gpu") else ""


def _measured(made: Claim) -> list[str]:
    """What was found, each estimand on each data set, and the least power of all."""
    cells = [
        "; ".join(f"{each.estimand.what} ({each.estimand.rule}): {each.text}" for each in made.judged.get(name, []))
        for name in DATA_SETS
    ]
    powers = [power(each) for rows in made.judged.values() for each in rows if each.estimand.scale not in VALUES]
    known = [each for each in powers if not math.isnan(each)]
    return [made.finding, *cells, f"{min(known):.2f}" if known else ""]


def page(made: Claim) -> str:
    """The file of the notebook that tests a claim."""
    number = lessons.lesson_of("claims", made.words.slug)
    return next(path.name for path in (lessons.LESSONS.parent / "notebooks").glob(f"{number}_*.ipynb"))


def holm(claims: Iterable[Claim]) -> set[str]:
    """The slugs of the decided claims that survive the correction for all measured ones (Holm, 1979)."""
    measured = [c for c in claims if c.words.kind == "measured" and c.arms]
    return survive({c.words.slug: c.p for c in measured if c.verdict in (HOLDS, NOT)}, len(measured))


def collect(before: str = "100") -> list[Claim]:
    """All claims of the lessons, in order; only of notebooks whose number is smaller ("14": all up to 13).

    Raises:
        ValueError: a claim's words or records are not in order; the text says which.
    """
    there = (number for number in lessons.numbers() if int(number) < int(before))
    return [claim_of(slug) for number in there for slug in lessons.slugs(number, "claims")]


def board(before: str = "100") -> Board:
    """The board of all claims of the lessons; arguments and errors as `collect`."""
    return Board(collect(before))
