"""The index of symptoms: a word of an error message finds its row, and every row leads somewhere."""

import pytest

from utils.symptoms import Symptoms, places, symptoms, threads

INDEX = symptoms().entries


def test_words_of_an_error_message_find_their_row():
    assert list(symptoms("INPLACE modified").entries) == ["modified-inplace"]
    assert "per channel when training" in repr(symptoms("Expected more than 1 value"))


def test_what_is_not_in_the_index_is_said():
    found = symptoms("flux capacitor")
    assert len(found) == 0
    assert "Nothing in the index" in found._repr_html_()


@pytest.mark.parametrize("slug", INDEX)
def test_a_row_is_complete_and_leads_somewhere(slug):
    entry = INDEX[slug]
    assert entry.keys() <= {"see", "why", "do", "claims", "shown", "asked"}
    assert all(entry[name].strip() for name in ("see", "why", "do"))
    assert places(entry) or threads(entry)
    assert all(url.startswith("https://") for _, url in threads(entry))


def test_an_issue_is_named_by_its_number():
    assert threads({"asked": ["https://github.com/pytorch/pytorch/issues/96136"]})[0][0] == "pytorch#96136"


@pytest.mark.parametrize("entry", [{"claims": ["no-such-claim"]}, {"shown": ["no_such_notebook"]}])
def test_a_row_that_leads_nowhere_is_refused(entry):
    with pytest.raises(ValueError, match=r"no[-_]such"):
        places(entry)


def test_code_is_code_in_the_notebook_and_what_looks_like_markup_is_text():
    row = {"see": "`a < b` happens", "why": "x", "do": "y", "asked": ["https://github.com/a/b/issues/1"]}
    html = Symptoms({"row": row})._repr_html_()
    assert "<code>a &lt; b</code> happens" in html
    assert '<a href="https://github.com/a/b/issues/1">b#1</a>' in html
