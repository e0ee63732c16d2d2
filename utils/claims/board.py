"""All claims in one table: those that the executed notebooks of a folder hold."""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

from utils.claims.card import VERDICTS, Arm, Claim, badge, numbers, repeated
from utils.tables import Markup, html_table, markdown_table

__all__ = ["Board", "board", "collect"]

NONE_YET = "No claims yet: run the other notebooks of this folder, and save them."


class Board:
    """All claims in one table, for a notebook (HTML), a page (Markdown) and a terminal."""

    def __init__(self, claims: Iterable[Claim]):
        self.claims = sorted(claims, key=lambda c: tuple(map(int, c.number.split("."))))

    def __len__(self) -> int:
        return len(self.claims)

    def __repr__(self) -> str:
        if not self.claims:
            return NONE_YET
        return "\n".join(f"{c.number:>5}  {c.verdict:<28} {c.sentence}" for c in self.claims)

    def _repr_html_(self) -> str:
        if not self.claims:
            return f"<p>{NONE_YET}</p>"
        rows = (
            (Markup(f'<a href="{escape(c.notebook)}">{c.number}</a>'), c.sentence, c.source, Markup(badge(c.verdict)))
            for c in self.claims
        )
        return html_table(("", "claim", "said by", "verdict"), rows)

    def markdown(self, folder: str = "", measured: bool = False) -> str:
        """A Markdown table; links lead into `folder`. With `measured`, also what was measured and the margins.

        Without a claim there is no table: the text is empty.
        """
        if not self.claims:
            return ""
        header = ["", "claim", "said by", "verdict", *(["found", "measured", "margin", "control"] if measured else [])]
        rows = []
        for c in self.claims:
            row = [f"[{c.number}]({folder}{c.notebook})", c.sentence, c.source, f"{VERDICTS[c.verdict][0]} {c.verdict}"]
            if measured:
                over = f" ({repeated(c)})" if c.over else ""
                arms = "; ".join(f"{arm.name} {numbers(arm)}" for arm in c.arms)
                row += [c.finding, f"{c.unit}{over}: {arms}", c.margin, c.control]
            rows.append(row)
        return markdown_table(header, rows)


def collect(folder: Path | str, before: str = "100") -> list[Claim]:
    """The claims stored in the executed notebooks of a folder.

    Args:
        folder: holds NN_*.ipynb.
        before: only notebooks whose number is smaller ("14": all up to 13).

    Raises:
        ValueError: the folder holds no such notebook, a file is no notebook, a claim failed when its notebook was
            executed, or two claims have the same number.
    """
    paths = [path for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")) if int(path.name[:2]) < int(before)]
    if not paths:
        raise ValueError(f"{folder} holds no notebooks NN_*.ipynb: name the folder that holds the course's")
    found: dict[str, Claim] = {}
    for path in paths:
        for made in map(_restored, _cards(path)):
            if made.number in found:
                raise ValueError(f"two claims have the number {made.number}: renumber one, in {path.name}")
            found[made.number] = made
    return list(found.values())


def _cards(path: Path) -> list[dict]:
    """What `_display` stored with each card of a notebook, and the notebook's name."""
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no notebook: execute it again") from error
    metadata = [output.get("metadata", {}) for cell in cells for output in cell.get("outputs", [])]
    return [{**each["claim"], "notebook": path.name} for each in metadata if "claim" in each]


def _restored(stored: dict) -> Claim:
    problem = stored.pop("problem", "")
    if problem:
        raise ValueError(f"{stored['notebook']}: {problem}")
    arms = (
        Arm(arm["name"], *(float(arm[key]) for key in ("median", "least", "greatest")), arm["count"])
        for arm in stored.pop("arms")
    )
    return Claim(**stored, arms=tuple(arms))


def board(folder: Path | str = ".", before: str = "100") -> Board:
    """The board of all claims that the executed notebooks of a folder hold; arguments and errors as `collect`."""
    return Board(collect(folder, before))
