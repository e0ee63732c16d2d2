"""The slides with which a deck ends: the verdicts on its claims, the quiz, the exercises, one sentence."""

import re

from tools.deck_slides import Slide
from tools.deck_words import inline, markdown
from utils.claims.card import VERDICTS, verdict
from utils.claims.made import claim_of

__all__ = ["closing", "exercise", "quiz", "verdicts"]

TASK = re.compile(r"### Exercise (?P<name>.+)\n+\*(?P<time>[^·*]+?) *· *(?P<stars>\S+) *(?P<grade>.+)\*\n*")
SENTENCE = re.compile(r'(?<=[.?!]) +(?=[A-Z"`(])')
VERDICTS_A_SLIDE = 4
TASK_LENGTH = 240  # characters, from which on no further sentence of a task is shown


def verdicts(notebook, deck):
    """Slides with the verdict on each claim that the notebook made."""
    claims = [claim_of(output.metadata.claim["slug"]) for cell in notebook.cells for output in cell.get("outputs", [])
              if "claim" in output.get("metadata", {})]  # fmt: skip
    parts = -(-len(claims) // VERDICTS_A_SLIDE)
    size = -(-len(claims) // parts) if parts else 0
    slides = []
    for part in range(parts):
        shown = claims[part * size : (part + 1) * size]
        slide = Slide(f"c{deck.number}-verdicts{f'-{part + 1}' if part else ''}", deck.title, "verdicts")
        slide.heading = "What is said, and what we found" + (f" ({part + 1} of {parts})" if parts > 1 else "")
        rows = []
        for made in shown:
            sign, color = VERDICTS[verdict(made)]
            rows.append(
                f'<tr><th scope="row">{made.words.number}</th><td>{inline(made.words.sentence)}</td>'
                f'<td class="verdict" style="color: {color}"><span>{sign}</span> {verdict(made)}</td></tr>'
            )
        head = "".join(f'<th scope="col">{name}</th>' for name in ("no.", "what is said", "we found"))
        slide.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
        slide.notes = ["\n".join(f"- {made.words.number}: {made.finding}" for made in shown)]
        slides.append(slide)
    return slides


def quiz(questions, deck):
    """A slide of questions whose answers come one after another; none without questions."""
    if not questions:
        return []
    slide = Slide(f"c{deck.number}-quiz", deck.title, "quiz")
    slide.heading = "Quiz"
    rows = []
    for i, (question, answer) in enumerate(questions):
        rows.append(
            f'<li><p class="question">{inline(question)}</p>'
            f'<p class="answer fragment" data-fragment-index="{i}">{inline(answer)}</p></li>'
        )
    slide.parts.append(f"<ol>{''.join(rows)}</ol>")
    slide.later = len(questions)
    slide.notes = ["From the guide. Let them write before you show the answers."]
    return [slide]


def exercise(source, instead=""):
    """The card of an exercise, from its cell: title, minutes, difficulty, task; empty if the cell is none.

    Args:
        source: of the cell.
        instead: what slides.md says in the place of the task.
    """
    found = TASK.match(source)
    if not found:
        return ""
    number, _, name = found["name"].partition(" · ")
    task = instead or task_of(source[found.end() :])
    return (
        f'<article><p class="no">{number}</p><h3>{inline(name)}</h3><p class="time">{found["time"]} · '
        f'<span aria-hidden="true">{found["stars"]}</span> {found["grade"]}</p>{markdown(task)}</article>'
    )


def task_of(text):
    """A task in a sentence or two: up to its question, or as far as there is room; no list, no table."""
    sentences = SENTENCE.split(re.split(r"\n\s*\n", text.strip())[0].replace("\n", " "))
    asked = [i for i, sentence in enumerate(sentences) if sentence.endswith("?")]
    if asked:
        return " ".join(sentences[: asked[-1] + 1])
    begins = next((i for i, sentence in enumerate(sentences) if sentence.startswith(("Write", "Build"))), 0)
    with_what_it_needs = " ".join(sentences[: begins + 1])
    if len(with_what_it_needs) <= TASK_LENGTH:
        kept, sentences = [with_what_it_needs], sentences[begins:]
    else:
        kept, sentences = sentences[begins : begins + 1], sentences[begins:]
    for sentence in sentences[1:]:
        if len(" ".join([*kept, sentence])) > TASK_LENGTH:
            break
        kept.append(sentence)
    return " ".join(kept)


def closing(deck, last, idea, ahead, shown):
    """The last slide: one sentence, one figure, and where it goes on.

    Args:
        deck: the deck that it ends.
        last: what slides.md says of it, a `SlideText`.
        idea: what the guide says that the one idea is; its first sentence stands in for a missing one.
        ahead: the paragraph that leads to the next notebook.
        shown: the HTML of a figure; empty if it has none.
    """
    slide = Slide(f"c{deck.number}-last", deck.title, "closing")
    slide.heading = last.text or SENTENCE.split(idea)[0] or deck.question
    slide.remarks = [last.remark] if last.remark else []
    slide.notes = [f"**The idea.** {idea}"] if idea else []
    slide.ahead = inline(ahead) if ahead else ""
    if shown:
        slide.parts.append(shown)
    return slide
