"""Words of a deck: Markdown as HTML, links from deck to deck, formulas that can be read where nothing typesets them."""

import re
from html import escape

__all__ = ["inline", "linked", "markdown", "plain", "readable"]

LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
TOKEN = re.compile(r"\\(?:partial|nabla|sqrt|[td]?frac|hat|dot|overline) |\\[A-Za-z]+|\\.|.", re.DOTALL)
ONE = re.compile(
    r"[\d.]+|[^\W\d_][\u0300-\u036f′]*(?:<su[bp]>\w+</su[bp]>)*|[a-z]{2,}|\([^()]*\)|‖[^‖]*‖(?:<sup>\d</sup>)?"
)
SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "varepsilon": "ε", "eta": "η", "kappa": "κ", "ell": "ℓ",
    "lambda": "λ", "mu": "μ", "pi": "π", "sigma": "σ", "sum": "Σ", "partial": "∂", "nabla": "∇", "cdot": " · ",
    "times": "×", "approx": " ≈ ", "leftarrow": " ← ", "Rightarrow": " ⇒ ", "dots": "…", "ln": "ln ", "tanh": "tanh ",
    "arccos": "arccos ", "quad": "  ", "qquad": "   ", ",": " ", ";": " ", "|": "‖", "le": " ≤ ", "ge": " ≥ ",
}  # fmt: skip
ABOVE = {"hat": "\u0302", "dot": "\u0307", "overline": "\u0304"}
SILENT = {"left", "right", "Big", "big", "Bigl", "Bigr", "textstyle", "displaystyle"}
GROUPS = {"text", "mathrm", "operatorname", "boxed", "underbrace", "mathbf", "{"}


def markdown(text):
    """The HTML of Markdown, its links leading from deck to deck, no header of a table empty."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune  # here: it costs a second

    html = markdown2html_mistune(linked(text))
    html = re.sub(r"<thead>\s*<tr>(?:\s*<th[^>]*></th>)+\s*</tr>\s*</thead>", "", html)
    return re.sub(r"<th[^>]*></th>", "<td></td>", html).replace("<th>", '<th scope="col">').strip()


def inline(text):
    """The HTML of one paragraph, without the paragraph around it."""
    text = re.sub(r"\A(\s*\d+)([.)])", r"\1\\\2", text)  # "20." is a number here, and begins no list
    return re.sub(r"\A<p>(.*)</p>\Z", r"\1", markdown(text), flags=re.DOTALL)


def linked(text):
    """Markdown whose links lead from deck to deck; a link that leads elsewhere in the project is only its words."""

    def replaced(match):
        words, target = match["words"], match["target"]
        if notebook := re.fullmatch(r"(?:\.\./notebooks/)?(\d\d)_\w+\.ipynb", target):
            return f"[{words}]({notebook[1]}.html)"
        return match[0] if re.match(r"https?://|#", target) else words

    return LINK.sub(replaced, text)


def plain(text):
    """A heading's words without Markdown: the name of what stands under it."""
    text = re.sub(r"<[^>]+>", "", readable(LINK.sub(r"\g<words>", text)))
    return re.sub(r"[*`#]|\\(?=\W)", "", text).strip()


def readable(text):
    """Markdown whose formulas are text: $\\hat x_i$ as x̂ with an index, a fraction with a stroke."""
    return FORMULA.sub(lambda match: Formula(match[1] or match[2]).text(), text)


class Formula:
    """Reads a formula, sign after sign."""

    def __init__(self, tex):
        self.left = TOKEN.findall(re.sub(r"\s+", " ", tex.strip()))[::-1]

    def text(self):
        """All of it; or up to the brace that closes a group."""
        made = ""
        while self.left and self.left[-1] != "}":
            made += self.one()
        return re.sub(r" {2,}", lambda match: "  " if len(match[0]) > 3 else " ", made).strip()

    def group(self):
        """What stands in braces, or the one sign that comes next."""
        while self.left and self.left[-1] == " ":
            self.left.pop()
        if not self.left:
            return ""
        if self.left[-1] != "{":
            return self.one().strip()
        self.left.pop()
        made = self.text()
        if self.left:
            self.left.pop()
        return made

    def one(self):
        """The next sign, with what belongs to it."""
        token = self.left.pop()
        name = token.removeprefix("\\").strip() if len(token) > 1 else ""
        if token == "{":
            self.left.append(token)
            return self.group()
        if token in "^_":
            tag = "sup" if token == "^" else "sub"
            return f"<{tag}>{self.group()}</{tag}>"
        if name in {"frac", "tfrac"}:
            over, under = self.group(), self.group()
            return "½" if (over, under) == ("1", "2") else f"{closed(over)}/{closed(under)}"
        if name == "sqrt":
            return f"√{closed(self.group())}"
        if name in ABOVE:
            inside = self.group()
            return inside[:1] + ABOVE[name] + inside[1:] if len(inside) < 3 else f"mean({inside})"
        if name in SILENT:
            return ""
        if name in GROUPS:
            return self.group()
        if name:
            return SIGNS.get(name, escape(name))
        return {"'": "′", "-": "−", "*": "∗"}.get(token, escape(token))


def closed(text):
    """A text in brackets, if it is more than one thing."""
    return text if ONE.fullmatch(text) else f"({text})"
