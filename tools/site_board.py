"""The board of claims, the paper by its sentences, the index of symptoms and the works cited, as pages of the site."""

import re
from html import escape

from utils import study
from utils.claims import board, collect
from utils.claims.board import page as file_of
from utils.claims.card import VERDICTS, verdict
from utils.claims.words import KINDS, references
from utils.symptoms import places, symptoms, threads
from utils.tables import with_code

__all__ = ["block", "claims_page", "linked_claims", "look", "references_page", "symptoms_page"]

SCALES = {"exact": "exact, at any scale", "minute": "a minute", "hours": "hours as well"}
STAR = '<span class="star" title="survives Holm’s correction">*</span>'


def inline(text):
    """A text with `code` in it, as HTML."""
    return with_code(escape(text, quote=False))


def block(html):
    """HTML in a page that is written in Markdown."""
    return f"~~~~~{{raw}} html\n{html}\n~~~~~\n"


def choice(name, label, options):
    shown = "".join(f'<option value="{escape(key)}">{escape(text)}</option>' for key, text in options.items())
    return f'<label>{label} <select name="{name}"><option value="">all</option>{shown}</select></label>'


def filters(what, *choices, example=""):
    """A form that filters the entries behind it; it is shown where scripts run."""
    return (
        f'<form class="filters" role="search" aria-label="Filter {what}">{"".join(choices)}'
        f'<label class="text">with the words <input type="search" name="text" placeholder="{escape(example)}"></label>'
        f'<output aria-live="polite"></output></form>'
    )


def address(made):
    """Where a claim's card stands on the site."""
    return f"notebooks/{file_of(made).removesuffix('.ipynb')}.html#claim-{made.words.slug}"


def look(shown):
    """The class of a verdict, which gives it its colour."""
    return "v-caveat" if "caveat" in shown else f"v-{shown.split()[0]}"


def badge(shown):
    """A verdict with its sign, on its colour."""
    return f'<strong class="verdict {look(shown)}">{VERDICTS[shown][0]} {shown}</strong>'


def scale(made):
    """At which scale a claim was tested: a key of SCALES."""
    if made.words.kind in ("identity", "fact"):
        return "exact"
    return "hours" if study.verdicts()["claims"].get(made.words.slug) else "minute"


def entry(made, starred):
    """A claim on the board."""
    words, shown = made.words, verdict(made)
    after = study.verdicts()["claims"].get(words.slug)
    said = f"“{escape(words.sentence)}”" if words.said == "quote" else escape(words.sentence)
    by = f'<span class="by">{escape(words.by)}</span>' if words.by else ""
    rows = "".join(
        f'<tr><th scope="row">{escape(each.estimand.what)}<br><small>holds if {escape(each.estimand.rule)}</small></th>'
        f"<td>{escape(name)}</td><td>{escape(each.text)} {VERDICTS[each.verdict][0]}</td></tr>"
        for name, judged in made.judged.items()
        for each in judged
    )
    table = (
        "<details><summary>The numbers</summary>"
        f'<div class="table-wrapper"><table><tbody>{rows}</tbody></table></div></details>'
        if rows
        else ""
    )
    label = "It would be decided by:" if words.kind == "open" else "Found:"
    hours = f'<p class="hours">after hours: {badge(after)}</p>' if after else ""
    return (
        f'<li id="{words.slug}" data-kind="{words.kind}" data-verdict="{escape(shown)}" data-scale="{scale(made)}">'
        f'<p class="head"><a href="{address(made)}" aria-label="Claim {words.number}, in its notebook">'
        f"{words.number}</a>"
        f"{badge(shown)}{STAR if starred else ''}"
        f'<span class="kind">{words.kind}</span></p><p class="said">{said} {by}</p>{hours}'
        f'<p class="found"><b>{label}</b> {escape(made.finding)}</p>{table}</li>'
    )


def claims_page(links):
    """The board: every claim, with filters."""
    whole = board()
    entries = "\n".join(entry(made, made.words.slug in whole.surviving) for made in whole.claims)
    dispute = f"https://github.com/{links.repository}/issues/new?template=dispute-a-claim.yml"
    form = filters(
        "the claims",
        choice("kind", "kind", {kind: kind for kind in KINDS}),
        choice("verdict", "verdict", {name: f"{sign} {name}" for name, (sign, _) in VERDICTS.items()}),
        choice("scale", "tested over", SCALES),
        example="learning rate",
    )
    return (
        f"# The board of claims\n\n{whole.count()}\n\nWhat is said about batch normalization, put to the test. What is"
        " compared and the smallest effect that would matter were written down first; the verdict is computed, from"
        " 95 % intervals over seeds and test pictures on two data sets. “Undecided” means that a minute on a laptop"
        f" cannot tell, or that the data sets disagree. You found something else? [Dispute a claim]({dispute}).\n\n"
        + block(f'{form}<ol class="board entries">\n{entries}\n</ol>')
        + f"\n{whole.chance()}\n\n{about_verdicts(links)}"
    )


def about_verdicts(links):
    """How a verdict is reached, as docs/claims.md says it."""
    page = links.root / "docs" / "claims.md"
    text = page.read_text("utf-8")
    text = text[text.index("**How a verdict is reached.**") : text.index("\n| ")]
    return links.on_site(text, page).strip() + "\n"


def linked_claims(text):
    """A page on which claims are named by their slugs: each leads to its card."""
    made = {each.words.slug: each for each in collect()}

    def lead(found):
        claim = made.get(found[1])
        if not claim:
            return found[0]
        return f'<a href="{address(claim)}"><span class="number">{claim.words.number}</span> {found[1]}</a>'

    return re.sub("`(.+?)`", lead, text)


def symptoms_page():
    """The index of symptoms: by what one sees, with a field for a word of it."""
    entries = []
    for slug, each in symptoms().entries.items():
        claims = dict(zip((number for number, _ in places(each)), each.get("claims", []), strict=False))
        where = ", ".join(
            f'<a href="notebooks/{to.removesuffix(".ipynb")}.html{"#claim-" + claims[text] if text in claims else ""}">'
            f"{text}</a>"
            for text, to in places(each)
        )
        asked = ", ".join(f'<a href="{escape(to)}">{escape(text)}</a>' for text, to in threads(each))
        entries.append(
            f'<li id="{slug}"><p class="see">{inline(each["see"])}</p><dl><dt>why</dt><dd>{inline(each["why"])}</dd>'
            f"<dt>what to do</dt><dd>{inline(each['do'])}</dd>"
            + (f"<dt>shown in</dt><dd>{where}</dd>" if where else "")
            + (f"<dt>asked in</dt><dd>{asked}</dd>" if asked else "")
            + "</dl></li>"
        )
    return (
        "# The index of symptoms\n\nWhat goes wrong with batch normalization, by what one sees, in the order of a"
        " network's life. Look for a word of your error message.\n\n"
        + block(
            f'{filters("the symptoms", example="inplace operation")}<ol class="symptoms entries">\n'
            + "\n".join(entries)
            + "\n</ol>"
        )
    )


def references_page():
    """The works that are cited, by author and year, each with its DOI."""
    works = sorted(references().values(), key=lambda work: (names(work), year(work)))
    lines = []
    for work in works:
        place = f" *{work['container-title']}*." if work.get("container-title") else ""
        doi, url = work.get("DOI"), work.get("URL")
        link = f" [doi:{doi}](https://doi.org/{doi})" if doi else f" [{url}]({url})" if url else ""
        cited = ", ".join(cited_in(work["id"]))
        when = f" ({year(work)})" if year(work) else ""
        lines.append(
            f"- {names(work)}{when}. {work['title'].rstrip('.')}.{place}{link}{f' — claims {cited}' if cited else ''}"
        )
    return "# Works cited\n\nAnd the claims that are theirs.\n\n" + "\n".join(lines) + "\n"


def names(work):
    """The authors of a work."""
    people = [
        one.get("literal") or f"{one['family']}, {one.get('given', '')[:1]}.".replace(", .", "")
        for one in work.get("author", [])
    ]
    return ", ".join(people[:-1]) + " & " + people[-1] if len(people) > 1 else "".join(people)


def year(work):
    return str(work.get("issued", {}).get("date-parts", [[""]])[0][0])


def cited_in(source):
    """Links to the claims whose source a work is."""
    found = [made for made in collect() if made.words.source == source]
    return [f'<a href="{address(made)}">{made.words.number}</a>' for made in found]
