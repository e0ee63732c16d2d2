"""What the probes found: causes first, then a scoreboard; as text in a terminal and as a table in a notebook."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["SYMBOLS", "VERDICTS", "Details", "Finding", "Report", "Result"]

SYMBOLS = {"pass": "✓", "fail": "✗", "raised": "!", "not applicable": "–"}
VERDICTS = tuple(SYMBOLS)


@dataclass(frozen=True)
class Result:
    """What one probe found.

    Attributes:
        probe: its name.
        question: what it asks, in one sentence.
        verdict: "pass", "fail", "raised" (an exception that the layer should not raise) or "not applicable".
        measured: the number it measured, None if there is none.
        tolerance: how large that may be, None if there is no number.
        source: what was measured, and where the tolerance comes from.
        diagnosis: on a failure the likely cause and where to look; if not applicable, why not; else empty.
        causes: the names of the report's findings that explain a failure.
    """

    probe: str
    question: str
    verdict: str
    measured: float | None = None
    tolerance: float | None = None
    source: str = ""
    diagnosis: str = ""
    causes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing to mend: passed, or not applicable."""
        return self.verdict in ("pass", "not applicable")

    @property
    def numbers(self) -> str:
        """What was measured against what; empty if nothing was."""
        if self.measured is None:
            return self.source
        return f"measured {self.measured:.2g}, tolerance {self.tolerance:.2g} ({self.source})"

    def __repr__(self) -> str:
        return f"{self.probe}: {self.verdict}" + (f". {self.diagnosis}" if self.diagnosis else "")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        cause: its name, a key of `CAUSES`; or "unexplained".
        words: what is wrong; after a colon, what to do.
        probes: the names of the probes that fail because of it.
    """

    cause: str
    words: str
    probes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.cause}: {self.words} [{', '.join(self.probes)}]"


class _Table:
    """Rows of results under a title, as text and as HTML; the verdict always as a word."""

    def __init__(self, title: str, results: Sequence[Result]):
        self.title, self._results = title, tuple(results)

    @property
    def summary(self) -> str:
        """How many there are of each verdict, in one line; verdicts that did not occur are left out, save "pass"."""
        counts = {verdict: sum(r.verdict == verdict for r in self._results) for verdict in VERDICTS}
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict] or verdict == "pass")

    def _html(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        left = ' style="text-align:left"'
        head = "".join(f'<th scope="col"{left}>{escape(name)}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row"{left}>{escape(row[0])}</th>'
            + "".join(f"<td{left}>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        caption = f"<caption{left}>{escape(f'{self.title}: {self.summary}')}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Report(_Table):
    """All results of one layer: iterate over them, or take one by name, `report["running variance"]`.

    It shows itself as a table of probe, verdict and question, the same on every machine as long as the verdicts are;
    numbers and diagnoses are in `details()`.

    Attributes:
        causes: what is wrong, each with the probes that it explains; what explains most of the formula first.
        notes: what was found out about the layer, and is no fault.
        untestable: why the layer could be made and run in no mode; empty if it could.
    """

    def __init__(
        self,
        title: str,
        results: Sequence[Result],
        causes: Sequence[Finding] = (),
        notes: Sequence[str] = (),
        untestable: str = "",
    ):
        super().__init__(title, results)
        self.causes, self.notes, self.untestable = tuple(causes), tuple(notes), untestable

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, name: str) -> Result:
        """The result of the probe of that name; raises `KeyError` if there is none."""
        for result in self._results:
            if result.probe == name:
                return result
        raise KeyError(f"no probe {name!r} in this report; there are: {', '.join(r.probe for r in self._results)}")

    @property
    def ok(self) -> bool:
        """It could be tested, and no probe failed or raised."""
        return not self.failed and not self.untestable

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the probes that failed or raised, in order."""
        return tuple(r.probe for r in self._results if not r.ok)

    @property
    def ran(self) -> tuple[str, ...]:
        """The names of the probes that applied."""
        return () if self.untestable else tuple(r.probe for r in self._results if r.verdict != "not applicable")

    def details(self, every: bool = False) -> "Details":
        """Diagnosis and numbers of the probes that failed or raised; with `every=True`, of all of them."""
        return Details(self.title, self._results if every else [r for r in self._results if not r.ok])

    def __repr__(self) -> str:
        name = max((len(r.probe) for r in self._results), default=0)
        verdict = max((len(r.verdict) for r in self._results), default=0)
        lines = [f"{SYMBOLS[r.verdict]} {r.verdict:<{verdict}}  {r.probe:<{name}}  {r.question}" for r in self._results]
        return "\n".join([f"{self.title}: {self.summary}", *lines])

    def _repr_html_(self) -> str:
        rows = [(r.probe, f"{SYMBOLS[r.verdict]} {r.verdict}", r.question) for r in self._results]
        return self._html(("probe", "verdict", "question"), rows)


class Details(_Table):
    """Diagnoses and numbers of some results; the numbers may differ from one machine to the next."""

    def __repr__(self) -> str:
        blocks = [
            "\n".join(
                filter(
                    None,
                    [
                        f"{SYMBOLS[r.verdict]} {r.probe}: {r.verdict}",
                        r.diagnosis and f"    {r.diagnosis}",
                        r.numbers and f"    {r.numbers}",
                    ],
                )
            )
            for r in self._results
        ]
        return "\n".join([f"{self.title}: {self.summary}", *blocks])

    def _repr_html_(self) -> str:
        rows = [(r.probe, f"{SYMBOLS[r.verdict]} {r.verdict}", r.diagnosis, r.numbers) for r in self._results]
        return self._html(("probe", "verdict", "diagnosis", "numbers"), rows)
