"""One way to leave the formula."""

from dataclasses import dataclass, replace

from normdoctor.causes import Cause, cause
from normdoctor.formula import Formula

__all__ = ["Option", "option"]


@dataclass(frozen=True)
class Option:
    """One way to leave the formula: what is changed in it, and the cause."""

    changes: tuple[tuple[str, str], ...]
    cause: Cause

    def of(self, formula: Formula) -> Formula:
        """The formula with this change."""
        return replace(formula, **dict(self.changes))


def option(stage: list[Option], name: str, words: str, *silences: str, **changes: str) -> None:
    """Enter an option into its stage, and its cause into the table of causes.

    Args:
        stage: where it is tried.
        name, words: of the cause.
        silences: probes that fail in consequence; those that go with the name are added.
        changes: fields of the formula, and what stands in them.
    """
    if name.startswith("other"):
        silences = (*silences, "empty batch")
    if "eps" in name:
        silences = (*silences, "constant channel", "wrong eps")
    if "order" in name:
        silences = (*silences, "vmap in evaluation", "NaN")
    if "count" in name:
        silences = (*silences, "few images")
    if "axes" in name or "values" in name or "within" in name or "part of" in name:
        silences = (*silences, "other dimensions", "one channel", "vmap in evaluation")
    known = cause(name, words, *silences)
    stage.append(Option(tuple(changes.items()), replace(known, words=words)))
