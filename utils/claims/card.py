"""The card that shows a claim: what was said, what was found, how sure, at which scale."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

from utils import study
from utils.claims.made import Claim
from utils.claims.verdicts import HOLDS, NOT, OPEN, UNDECIDED, Judged
from utils.claims.words import reference
from utils.tables import Markup, html_table

__all__ = ["VERDICTS", "badge", "html", "kind", "text", "verdict"]

CAVEAT = "holds, with a caveat"
VERDICTS = {  # a sign for those who see no colour, a colour for the others
    HOLDS: ("✔", "#00674F"),
    CAVEAT: ("◐", "#0B5C8A"),
    NOT: ("✘", "#A33A00"),
    UNDECIDED: ("?", "#5A5A5A"),
    OPEN: ("○", "#5A5A5A"),
}
KINDS = {  # what a verdict of each kind rests on
    "identity": "algebra, shown to within rounding",
    "fact": "one witness is enough",
    "measured": "95 % intervals over seeds and pictures",
    "open": "nobody here can tell",
}


def verdict(made: Claim) -> str:
    """The verdict as it is shown."""
    return CAVEAT if made.has_caveat else made.verdict


def badge(shown: str) -> str:
    """A verdict with its sign, white on its colour."""
    sign, color = VERDICTS[shown]
    style = f"background: {color}; color: white; padding: 2px 10px; border-radius: 4px"
    return f'<strong style="{style}">{sign} {shown}</strong>'


def kind(made: Claim) -> str:
    """The kind of a claim in a frame, and what its verdict rests on."""
    name = made.words.kind
    return f'<span style="border: 1px solid; padding: 1px 8px; border-radius: 4px" title="{KINDS[name]}">{name}</span>'


def text(made: Claim, problem: str = "") -> str:
    """A card for a terminal; a claim that was just contradicted shows no verdict."""
    if problem:
        return f"Claim {made.words.number} is contradicted by what was just measured."
    return f"Claim {made.words.number}: {verdict(made) if _stands(made) else 'not recorded yet'}. {made.finding}"


def html(made: Claim, now: list[Judged], here: str, problem: str = "") -> str:
    """A claim's card, with what was just measured on the data set in use, `here`.

    What was just measured stands in <data> elements, which nbval leaves out: it differs from machine to machine.
    """
    words = made.words
    if problem:
        shown, color = "<strong>contradicted by what was just measured</strong>", VERDICTS[NOT][1]
        found = f"<p><data>{escape(problem)}</data></p>"
    elif not _stands(made):
        shown, color = "<strong>not recorded yet</strong>: run <code>make claims</code>", VERDICTS[OPEN][1]
        found = ""
    else:
        shown, color = badge(verdict(made)), VERDICTS[verdict(made)][1]
        label = "It would be decided by:" if words.kind == "open" else "Found:"
        found = f"<p><strong>{label}</strong> {escape(made.finding)}</p>"
    by = f" <em>({escape(words.by)})</em>" if words.by else ""
    here = here if words.pictures else ""
    measured = "" if problem else _just_now(now, here)
    after = "" if problem else _after_hours(made)
    table = "" if problem else _table(made, now, here)
    said = f"“{escape(words.sentence)}”" if words.said == "quote" else escape(words.sentence)
    return (
        f'<div style="border-left: 6px solid {color}; padding: 4px 16px; margin: 8px 0">'
        f"<p><strong>Claim {words.number}</strong> &nbsp; {shown} &nbsp; {kind(made)}</p>"
        f'<p style="font-size: 115%">{said}{by}</p>{found}{measured}{after}{_details(made, table)}</div>'
    )


def _columns(made: Claim) -> dict[str, str]:
    """The heads of the columns for what is recorded → the data set: one column where no pictures play a part."""
    names = list(made.arms)
    return dict(zip(names if made.words.pictures else ["recorded"], names, strict=False))


def _stands(made: Claim) -> bool:
    """Whether there is a verdict: an open question has none to wait for."""
    return bool(made.arms) or made.words.kind == "open"


def _just_now(now: list[Judged], here: str) -> str:
    """In a line, what just came out, each estimand with its rule; the table below says of what it is."""
    if not now:
        return ""
    on = f", on <data>{here}</data>" if here else ""
    said = _by_rule((f"<data>{escape(_cell(one))}</data>", one.estimand.rule, one.estimand.caveat) for one in now)
    return f"<p><strong>Just now</strong>{on}: {said}</p>"


def _by_rule(answers: Iterable[tuple[str, str, bool]]) -> str:
    """Answers, each with its rule and whether it is a caveat's: a rule that several in a row share stands once."""
    said = []
    for (rule, caveat), group in groupby(answers, key=lambda one: one[1:]):
        *most, last = (each for each, *_ in group)
        together = f"{', '.join(most)} and {last} (each holds if" if most else f"{last} (holds if"
        said.append(f"{'but: ' if caveat else ''}{together} {escape(rule)})")
    return "; ".join(said)


def _table(made: Claim, now: list[Judged], here: str) -> str:
    if not now:
        return ""
    rows, columns = [], _columns(made)
    for place, each in enumerate(now):
        estimand = each.estimand
        what = f"{'But: ' if estimand.caveat else ''}{estimand.what}"
        recorded = [_cell(made.judged[name][place]) for name in columns.values()]
        rows.append([what, estimand.rule, *recorded, Markup(f"<data>{escape(_cell(each))}</data>")])
    just_now = Markup(f"just now, <data>{here}</data>") if here else "just now"
    return html_table(("compared", "holds if", *columns, just_now), rows)


def _after_hours(made: Claim) -> str:
    """What the study says of a claim; where it does not ask, that, if the minute could not tell."""
    slug = made.words.slug
    if not (about := study.estimands_about(slug)):
        if study.estimands_about(slug, "gpu"):
            return "<p><strong>After hours:</strong> not run; the study's larger plan, for a GPU, asks this.</p>"
        told = not _stands(made) or made.verdict != UNDECIDED
        return "" if told else "<p><strong>After hours:</strong> the study does not ask this.</p>"
    known = study.verdicts()
    if slug not in known["claims"]:
        questions = ", ".join(dict.fromkeys(question for question, _ in about))
        return f"<p><strong>After hours:</strong> the study has yet to answer its question “{questions}”.</p>"
    answers = [known["estimands"][question][name] for question, name in about]
    what = f"{answers[0]['what']}: " if len(answers) == 1 else ""  # of several, the table below says of what each is
    said = _by_rule((escape(_after(each)), each["rule"], False) for each in answers)
    lasts = " At twice the epochs the effect differs." if any(each["lasts"] is False for each in answers) else ""
    lengths = " and ".join(dict.fromkeys(each["length"] for each in answers))
    return (
        f"<p><strong>After hours:</strong> {badge(known['claims'][slug])} {escape(what)}{said}. Runs of {lengths}; "
        f"the study's plan says how.{lasts}</p>"
    )


def _cell(each: Judged) -> str:
    return f"{each.text} {VERDICTS[each.verdict][0]}"


def _after(answer: dict) -> str:
    return f"{answer['text']} {VERDICTS[answer['verdict']][0]}"


def _details(made: Claim, table: str) -> str:
    """What is compared, all that came out, and how it was measured: folded away, so that a card fits on a screen."""
    words, parts = made.words, [table] if table else []
    if words.protocol:
        parts.append(f"<p>{escape(words.protocol)}</p>")
    parts += [f"<p>{escape(each.what)}: {escape(each.why)}</p>" for each in words.estimands if each.why]
    known = study.verdicts()
    if words.slug in known["claims"] and len(asked := study.estimands_about(words.slug)) > 1:
        answers = [known["estimands"][question][name] for question, name in asked]
        rows = [(each["what"], each["rule"], _after(each)) for each in answers]
        parts.insert(1, html_table(("compared after hours", "holds if", ""), rows))
    for data_set, arm, grid in ((name, *each) for name, grids in words.rates.items() for each in grids.items()):
        tried = ", ".join(f"{rate}: {share:.3g}" for rate, share in grid.items())
        where = f", on the {data_set}" if data_set == "stand-in" else ""
        best = f"rate {max(grid, key=grid.get)}, by accuracy on held-out training examples"
        parts.append(f"<p>{escape(arm)}{where}: {best} ({escape(tried)})</p>")
    if made.arms:
        names = list(dict.fromkeys(arm for arms in made.arms.values() for arm in arms))
        columns = _columns(made)
        rows = [(arm, *(_spread(made.arms[name].get(arm)) for name in columns.values())) for arm in names]
        parts.append(html_table((words.unit, *columns), rows))
    if words.source:
        work = reference(words.source)
        link = f' <a href="{escape(work["url"])}">{escape(work["url"])}</a>' if work["url"] else ""
        parts.append(f"<p>Source: {escape(work['full'])}{link}</p>")
    return f"<details><summary>What is compared, and how</summary>{''.join(parts)}</details>" if parts else ""


def _spread(row) -> str:
    """An arm's mean, and of several values the least, the greatest and their number."""
    if row is None:
        return ""
    means = row.reshape(len(row), -1).mean(1)
    if len(means) == 1:
        return f"{means[0]:.3g}"
    return f"{means.mean():.3g} [{means.min():.3g}, {means.max():.3g}], {len(means)}"
