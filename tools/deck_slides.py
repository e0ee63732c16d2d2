"""One slide: what stands on it, as HTML, what its lecturer is told, and which parts of it come later."""

import re
from html import escape

from tools.deck_code import highlighted, pixels
from tools.deck_figures import figure, is_figure
from tools.deck_scales import large, small
from tools.deck_words import inline, markdown, plain, readable

__all__ = ["Slide"]

HEADING = re.compile(r"\A#+ +(?P<words>.+)\n*")
PREDICT = re.compile(r"(?m)^> \*\*Predict\.\*\* *")


class Slide:
    """A slide that is being filled.

    Attributes:
        kind: opening, pause, predict, figure, listing, words, verdicts, quiz, exercises or closing: how it is laid out.
        name: its id in the page.
        heading: its first heading, in Markdown.
        where: what stands in its foot: the notebook that it is from.
        parts: HTML, from top to bottom.
        later: how many fragments it has.
        scales: what is guessed on it.
        guessed: HTML of what was guessed before it.
        remarks, notes: for the speaker, in Markdown; the remarks first.
        seconds: how long it is planned to take; 0 if it is not planned.
    """

    def __init__(self, name, where="", kind=""):
        self.kind, self.name, self.where, self.heading = kind, name, where, ""
        self.parts, self.later, self.scales, self.guessed = [], 0, (), ""
        self.remarks, self.notes, self.seconds, self.label = [], [], 0, ""

    def text(self, text, build=False):
        """Put Markdown on it; a first heading becomes the slide's."""
        found = HEADING.match(text)
        if found and not self.heading:
            self.heading = found["words"]
            text = text[found.end() :]
        if PREDICT.search(text):
            self.label, text = "Predict", PREDICT.sub("> ", text)
        if text.strip():
            html = markdown(text)
            self.parts.append(f'<div class="text">{self.built(html) if build else html}</div>')

    def built(self, html):
        """A text whose list items, or without a list its paragraphs, come one after another, but for the first."""
        tag = "li" if "<li>" in html else "p"
        first, *rest = html.split(f"<{tag}>")
        made = [first]
        for i, part in enumerate(rest):
            made.append(
                f"<{tag}>" if i == 0 else f'<{tag} class="fragment" data-fragment-index="{self.later + i - 1}">'
            )
            made.append(part)
        self.later += max(0, len(rest) - 1)
        return "".join(made)

    def code(self, code, outputs, told):
        """Put code on it, and what a cell puts out."""
        printed = "".join(output.text for output in outputs if output.output_type == "stream")
        above = [re.sub(r"<[^>]+>", "", part) for part in self.parts if part.startswith('<div class="text"')]
        size = pixels(code, printed, sum(map(len, above)))
        if code:
            margin = told.lines[0] - 1 if told.lines else 0
            blocks = [(begin - margin, end - margin) for begin, end in told.blocks]
            html = highlighted(code, blocks, self.later)
            self.later += len(blocks)
            self.parts.append(f'<div class="code" style="font-size: {size}px" tabindex="-1">{html}</div>')
        for output in outputs:
            self.output(output, size)

    def output(self, output, size):
        """Put something on it that a cell puts out."""
        data = output.get("data", {})
        if is_figure(output):
            html, count = figure(output, f"Figure: {plain(self.heading)}", self.later)
            self.later += count
            self.kind = self.kind or "figure"
        elif output.output_type == "stream":
            html = f'<pre class="output" style="font-size: {size}px">{escape(output.text.rstrip())}</pre>'
        elif "text/html" in data:
            html = f'<div class="output">{data["text/html"]}</div>'
        else:
            html = f'<pre class="output" style="font-size: {size}px">{escape(data.get("text/plain", ""))}</pre>'
        self.parts.append(html)

    def thing(self, html):
        """Put something to touch on it, which takes all of its room."""
        self.kind = "thing"
        self.parts.append(html)

    def ask(self, scales):
        """Make it a question, with scales to point at."""
        self.scales = (*self.scales, *scales)
        self.label = self.label or "Your guess"
        drawn = []
        for scale in scales:
            of = f" of {scale.name}" if scale.name else ""
            ends = " or ".join(scale.marks) if scale.choice else f"from {scale.marks[0]} to {scale.marks[-1]}"
            drawn.append(large(scale, f"Your guess{of}: {ends}", half=len(scales) > 1))
        self.parts.append(f'<div class="scales">{"".join(drawn)}</div>')

    def recall(self, asked):
        """Show in its foot what was guessed on the slide before it."""
        self.guessed = "".join(small(scale, f"{asked.name}-{i}") for i, scale in enumerate(asked.scales))

    def told(self):
        """HTML of what its lecturer is told; formulas are text, for nothing typesets them there."""
        text = "\n\n".join([*(f"**{remark}**" for remark in self.remarks), *self.notes])
        return markdown(readable(text)) if text.strip() else ""

    def finish(self):
        """Say how it is laid out, if nothing has said so yet."""
        if self.label:
            self.kind = "predict"
        elif not self.kind:
            printed = any("<pre" in part or 'class="output"' in part for part in self.parts)
            self.kind = "listing" if printed else "words"
        return self

    @property
    def heading_html(self):
        return inline(self.heading)

    @property
    def says_predict(self):
        """Whether its heading is the word that stands above all questions."""
        return self.heading.strip(" .") == "Predict"

    @property
    def wide(self):
        """Whether its words need the whole width: a table, a formula of its own, code."""
        return any(sign in part for part in self.parts for sign in ("<table", "$$", "<pre"))
