"""The machinery behind `check`: limits, differences, cards, and what is refused when an exercise is written down."""

from __future__ import annotations

import linecache
import signal
import threading
import time

import numpy as np
import pytest
import torch
from claim_cards import displayed
from torch import nn

from utils.exercises import check, checking, definitions, examine, limits
from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable, find, of_notebook
from utils.exercises.differences import compare
from utils.exercises.verdicts import Verdict, html, text

COMMON = {"minutes": 3, "difficulty": "★☆☆ easy", "hints": ["Think of `x`.", "Add <one>."], "look": "the start"}


def add_one(x):
    return x + 1


@pytest.fixture
def define(monkeypatch):
    """Makes exercise 1.1 from what is given, and a function that examines an answer to it."""

    def make(kind=Code, **changes):
        base = {
            "truth": add_one,
            "cases": lambda: {"three numbers": (torch.arange(3.0),), "four numbers": (torch.arange(4.0),)},
            "mistakes": [Mistake("twice", "You doubled it.", like=lambda x: 2 * x)],
        }
        made = kind(**{**COMMON, **(base if kind is Code else {}), **changes})
        monkeypatch.setattr(checking, "find", lambda number: made)
        return lambda answer: examine("1.1", answer)

    return make


def cell(source, name="f", number=1):
    """What a learner's cell defines, with its lines where IPython would put them."""
    filename = f"<ipython-input-{number}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names = {"torch": torch, "nn": nn, "time": time}
    exec(compile(source, filename, "exec"), names)
    return names[name]


# --- verdicts on functions


def test_right_wrong_and_not_solved(define):
    judge = define(remark="Fine.")
    assert judge(lambda x: 1 + x) == Verdict("1.1", "right", message="Fine.")
    assert judge(lambda x: x * 2).key == "twice"
    assert judge(lambda x: x.double() + 1).state == "right"
    assert judge(lambda x: (x + 1).tolist()).state == "right"
    assert judge(lambda x: (x + 1).requires_grad_()).state == "right"


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    raise NotImplementedError",
        "def f(x):\n    y = x + 1\n    raise NotImplementedError('later')",
        "def f(x): ...",
        "def f(x):\n    '''With words.'''",
        "def f(x):\n    pass",
        "f = None",
        "f = ...",
    ],
)
def test_what_is_not_solved_yet(define, source):
    assert define()(cell(source)).state == "not solved yet"


def test_pytorchs_not_implemented_is_the_learners_error(define):
    judge = define(cases=lambda: {"text": (torch.arange(3),)})
    verdict = judge(cell("def f(x):\n    return nn.Module()(x)"))
    assert (verdict.state, verdict.key) == ("not right yet", "raises")


@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        (lambda x: None if len(x) else x, "returns_none", "`return` missing"),
        (lambda x: "text", "wrong_type", "it is a str, where a tensor is asked for"),
        (lambda x: (x, torch.ones(7)), "wrong_type", "it is a tuple"),
        (lambda x: x + 1j, "wrong_type", "complex"),
        (lambda x: (x + 1)[None], "wrong_shape", "(1, 3); asked for is (3,)"),
        (lambda x: 5.0, "wrong_shape", "its shape is (); asked for is (3,)"),
        (lambda x: x / 0, "nan", "all of its values are NaN"),
        (lambda x: (x + 1) / (x != 1), "nan", "1 of 3 of its values are infinite, the first at index 1"),
        (lambda x: x + 3, "wrong_values", "index 0: 3, where 1 is right."),
        (lambda x: (x + 1) * (len(x) == 3), "wrong_values", "With four numbers"),
        (lambda x: x + 1 + (x == 2), "wrong_values", "1 of its 3 values are wrong"),
        (lambda x: (x * 1.4).long(), "wrong_values", "whole (torch.int64)"),
        (torch.ones(3), "not_callable", "without calling it; this is a Tensor"),
        ("text", "not_callable", "this is a str"),
    ],
)
def test_what_is_said_about_other_wrong_results(define, answer, key, words):
    verdict = define()(answer)
    assert verdict.key == key
    assert words in verdict.message


def test_an_exception_is_shown_at_the_learners_own_line(define):
    source = (
        "def helper(x):\n    # a comment\n    return torch.cat([x, x], dim=5)\n\n\ndef f(x):\n    return helper(x)\n"
    )
    verdict = define()(cell(source))
    assert verdict.key == "raises"
    assert verdict.message.startswith("Line 3 of the cell, `return torch.cat([x, x], dim=5)`, raises IndexError: Dim")
    assert "The input was: three numbers." in verdict.message
    assert define()(lambda: 1).message.startswith("Your answer cannot be used as the task asks. TypeError")
    assert "SystemExit" in define()(cell("def f(x):\n    exit()\n")).message
    assert "RecursionError" in define()(cell("def f(x):\n    return f(x)\n")).message


def test_an_expected_exception_gets_its_message_and_the_line(define):
    judge = define(mistakes=[Mistake("axis", "There is no such axis.", raising="Dimension out of range")])
    verdict = judge(cell("def f(x):\n    return x.mean(4)\n"))
    assert verdict.key == "axis"
    assert verdict.message.startswith("There is no such axis.\nLine 2 of the cell, `return x.mean(4)`, raises Index")


def test_errors_alone_do_not_make_a_mistake(define):
    judge = define(mistakes=[Mistake("axis", "Wrong axis.", like=lambda x: x.mean(4))])
    assert judge(lambda x: x.sum(7)).key == "raises"


def test_a_mistake_that_fails_on_some_inputs_is_recognised(define):
    mistake = Mistake("three", "It only works for three.", like=lambda x: x * 0 + torch.arange(1.0, 4))
    assert define(mistakes=[mistake])(lambda x: torch.arange(3) + 1.0 + 0 * x).key == "three"


def test_what_the_input_becomes_and_what_is_printed(define):
    judge = define()
    assert judge(lambda x: x.add_(1)).key == "changes_input"
    verdict = judge(cell("def f(x):\n    print('seen', len(x))\n    return x + 1\n"))
    assert (verdict.state, verdict.printed) == ("right", "seen 3\nseen 4\n")
    verdict = judge(cell("def f(x):\n    print('a' * 1000)\n    return torch.zeros(1).std() + x\n"))
    assert len(verdict.printed) == 401
    warned = judge(cell("def f(x):\n    return torch.zeros(1).std() + x\n"))
    assert warned.key == "nan"
    assert "UserWarning: std()" in warned.printed


def test_a_check_leaves_the_random_numbers_and_the_answer_as_they_were(define):
    judge = define(cases=lambda: {"one": (torch.zeros(2),)}, truth=lambda x: x + torch.rand(2))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert judge(lambda x: torch.rand(2) + x).state == "right"
    assert torch.equal(torch.rand(3), expected)


def test_a_class_is_tried_as_the_exercise_says(define):
    def trial(answer, x):
        layer = answer()
        if not isinstance(layer, nn.Module):
            raise Unusable("It has to be a module.")
        return {"mode": "training" if layer.training else "evaluation", "output": layer(x)}

    judge = define(truth=nn.ReLU, trial=trial, mistakes=[])
    assert judge(nn.ReLU).state == "right"
    assert judge(lambda: nn.ReLU().eval()).message.startswith("With three numbers, look at the mode: it is evaluation,")
    assert judge(dict).message == "It has to be a module."
    assert judge(cell("class f(nn.Module):\n    def forward(self, x):\n        return self.y\n")).key == "raises"


# --- limits


@pytest.fixture
def alarm():
    """The signal's handler and its timer are as before."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def posix(test):
    missing = not hasattr(signal, "setitimer")
    return pytest.mark.skipif(missing, reason="no timers here")(pytest.mark.usefixtures("alarm")(test))


@posix
@pytest.mark.parametrize(
    "body",
    [
        "while True:\n        pass",
        "time.sleep(60)",
        "while True:\n        x = x + 1",
        "while True:\n        try:\n            time.sleep(60)\n        except Exception:\n            pass",
    ],
)
def test_a_hang_is_stopped(define, body):
    judge, start = define(seconds=0.3), time.monotonic()
    verdict = judge(cell(f"def f(x):\n    {body}\n"))
    assert time.monotonic() - start < 20
    assert verdict.key == "takes_too_long"
    assert verdict.message.startswith("Your code was stopped after 0.3 seconds: does a loop never end? It was at line")
    assert judge(add_one).state == "right"


@posix
def test_the_tick_does_not_disturb_what_is_quick():
    slept = limits.run(lambda: (time.sleep(0.2), 7)[1], seconds=5)
    assert (slept.value, slept.error, slept.printed) == (7, None, "")


@pytest.mark.parametrize(
    "body",
    [
        "torch.zeros(10**12)",
        "torch.ones(1, 3, 10**5, 10**5)",
        "torch.arange(10**11)",
        "torch.eye(10**6)",
        "x.repeat(10**10)",
        "torch.rand(10**5, 1) * torch.rand(1, 10**5)",
        "torch.rand(10**5, 1) @ torch.rand(1, 10**5)",
        "torch.nn.functional.one_hot(torch.arange(10**5))",
        "nn.Linear(10**5, 10**5)",
        "x[None].expand(10**9, -1).contiguous()",
    ],
)
def test_a_huge_tensor_is_refused_before_it_is_made(define, body):
    verdict = define(seconds=60)(cell(f"def f(x):\n    return {body}\n"))
    assert verdict.key == "too_large", verdict.message
    assert "It was at line 2 of the cell, `return " in verdict.message


@pytest.mark.skipif(limits._statm(0) is None, reason="only Linux limits what is no tensor")
@pytest.mark.parametrize("body", ["[0] * 10**11", "bytearray(10**11)", "__import__('numpy').ones(10**11)"])
def test_a_huge_list_or_array_is_refused(define, body):
    assert define()(cell(f"def f(x):\n    return {body}\n")).key == "too_large"
    resource = pytest.importorskip("resource")
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.getrlimit(resource.RLIMIT_AS)[1]


@posix
@pytest.mark.skipif(limits._statm(1) is None, reason="only Linux says how much is in use")
def test_memory_that_grows_in_small_pieces_is_noticed(define, monkeypatch):
    monkeypatch.setattr(limits, "GROWTH", 64 * limits.MEGABYTE)
    source = "def f(x):\n    kept = []\n    while True:\n        kept.append(torch.ones(10**6))\n"
    assert define()(cell(source)).key == "too_large"


def test_a_large_view_is_no_large_tensor():
    outcome = limits.run(lambda: torch.zeros(1).expand(10**10).shape[0])
    assert (outcome.value, outcome.error) == (10**10, None)


def test_without_signals_a_second_thread_keeps_the_time(define, monkeypatch):
    monkeypatch.setattr(limits, "_has_signal", lambda: False)
    judge = define(seconds=0.3)
    assert judge(add_one).state == "right"
    assert judge(lambda x: torch.zeros(10**12)).key == "too_large"
    verdict = judge(cell("def f(x):\n    while True:\n        pass\n"))
    assert verdict.key == "takes_too_long"
    assert "restart the kernel" not in verdict.message


def test_a_thread_that_cannot_be_stopped_is_said_to_run_on(define, monkeypatch):
    monkeypatch.setattr(limits, "_has_signal", lambda: False)
    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    # A real interrupt that waits for a thread in C makes Python 3.11 hang while coverage traces it.
    monkeypatch.setattr(limits, "_interrupt", lambda worker: None)
    gate = threading.Event()
    verdict = define(seconds=0.3)(lambda x: gate.wait(20) or x + 1)
    gate.set()
    assert verdict.key == "takes_too_long"
    assert verdict.message.endswith("It could not be stopped and still runs: restart the kernel.")


@posix
@pytest.mark.parametrize("by_signal", [True, False])
def test_an_import_is_not_stopped_half_way(define, monkeypatch, tmp_path, by_signal):
    monkeypatch.setattr(limits, "_has_signal", lambda: by_signal)
    monkeypatch.setattr(limits, "PATIENCE", 5)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"slowly_imported_{by_signal}".lower()
    (tmp_path / f"{name}.py").write_text("import time\n\nfor _ in range(10):\n    time.sleep(0.1)\ndone = True\n")
    verdict = define(seconds=0.3)(cell(f"def f(x):\n    import {name}\n    return x + {name}.done\n"))
    assert verdict.state == "right", verdict.message


def test_out_of_the_main_thread_there_is_no_signal():
    found = []
    thread = threading.Thread(target=lambda: found.extend([limits._has_signal(), limits.run(lambda: 3).value]))
    thread.start()
    thread.join()
    assert found == [False, 3]


def test_an_interrupt_of_the_user_goes_through(define):
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        define()(interrupted)


def test_where_linux_does_not_say(define, monkeypatch):
    monkeypatch.setattr(limits, "_statm", lambda column: None)
    assert define()(add_one).state == "right"


# --- differences


def test_patterns_in_the_numbers():
    true = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    axes = ("picture", "channel", "place")
    assert "All are 0.5 times what is right." in compare(true / 2, true).text
    assert "All have the wrong sign." in compare(-true, true).text
    changed = true.clone()
    changed[:, 2] += 1
    assert compare(changed, true, axes=axes).text.endswith("Only channel 2 is wrong.")
    assert "picture 0, channel 2, place" in compare(changed, true, axes=axes).text
    assert compare(changed, true).text.endswith("Only axis 1, index 2 is wrong.")
    assert "its only value: 2, where 3 is right" in compare(2, torch.tensor(3.0)).text


def test_what_counts_as_equal():
    true = torch.tensor([1.0, float("nan")])
    assert compare([1, float("nan")], true) is None
    assert "nan is right" in compare([1, 2.0], true).text
    assert compare(np.array([1, np.nan]), true) is None
    assert compare(true.view(1, 2), true, form=torch.squeeze) is None
    assert compare("abc", "abc") is None
    assert compare(torch.zeros(500), "abc").text.endswith("…, not abc.")


# --- letters and numbers


def test_letters_and_numbers(define):
    letters = define(Choice, right="b", wrong={"a": "No.", "c": "Neither."})
    assert [letters(x).key for x in ("b", " B)", "a", "z", 2, ["b"])] == ["", "", "a", "no_option", *["no_option"] * 2]
    assert letters("z").message == 'Give one letter of "a", "b", "c".'
    numbers = define(Number, right=0.5, tolerance=0.01, mistakes=[Mistake("other", "The other half?", value=0.7)])
    assert [numbers(x).key for x in (0.505, 0.7, 0.6, 0.4)] == ["", "other", "too_high", "too_low"]
    assert numbers(None).state == "not solved yet"
    assert numbers(0.6).message == "0.6 is too high. Look again at the start."
    assert numbers("0.5").message == "Give one number, such as 0.5; this is a str."


# --- cards


def card_of(define, answer):
    define(hints=["Think of `x`.", "Add <one>."])
    with displayed() as outputs:
        check("1.1", answer)
    return outputs[0]


def test_the_card_before_it_is_solved(define):
    card = card_of(define, None)
    assert card.data["text/plain"] == "Exercise 1.1: not solved yet.\n3 minutes, ★☆☆ easy."
    page = card.data["text/html"]
    assert "○ not solved yet" in page
    assert "3 minutes · ★☆☆ easy" in page
    assert card.metadata["exercise"] == {"number": "1.1", "state": "not solved yet", "key": ""}


def test_the_hints_are_folded_each_inside_the_one_before(define):
    page = card_of(define, lambda x: x).data["text/html"]
    first, second = page.index("Hint 1 of 2"), page.index("Hint 2 of 2")
    assert first < page.index("<code>x</code>") < second < page.index("Add &lt;one&gt;.") < page.index("</details>")
    assert page.endswith("</details></details></div>")
    assert "<details open" not in page


def test_a_right_card_folds_what_it_explains_and_has_no_hints():
    exercise = Number(**COMMON, right=1, tolerance=0, remark="Because.")
    page = html(Verdict("1.1", "right", message="Because."), exercise)
    assert "<details><summary>Why, and what to take along</summary><p>Because.</p></details>" in page
    assert "Hint" not in page


def test_what_the_learner_wrote_is_escaped():
    verdict = Verdict("1.1", "not right yet", "raises", "Line `<b>` raises.\nMore.", "<i>\n")
    exercise = Number(**COMMON, right=1, tolerance=0)
    page = html(verdict, exercise)
    assert "<p>Line <code>&lt;b&gt;</code> raises.</p><p>More.</p>" in page
    assert "<pre>&lt;i&gt;\n</pre>" in page
    assert text(verdict, exercise) == "Exercise 1.1: not right yet.\nLine <b> raises.\nMore.\nYour code printed: <i>\n"


# --- writing exercises down


@pytest.mark.parametrize(("changes", "words"), [({"difficulty": "hard"}, "a difficulty is"), ({"hints": []}, "hints")])
def test_an_exercise_that_is_not_written_down_well(changes, words):
    with pytest.raises(ValueError, match=words):
        Number(**{**COMMON, **changes}, right=1, tolerance=0)
    with pytest.raises(ValueError, match="given: 4"):
        Number(**{**COMMON, "hints": ["x"] * 4}, right=1, tolerance=0)


def test_exercises_are_found_by_their_number(monkeypatch):
    assert find("2.1") is of_notebook("02")["2.1"]
    assert of_notebook("99") == {}
    with pytest.raises(ValueError, match=r"no exercise '2\.9'; this notebook has 2\.1, 2\.2"):
        check("2.9", 1)
    for number in ("99.1", "x", 2.1):
        with pytest.raises(ValueError, match=r'write it as in "2\.1"'):
            find(number)

    def broken(name):
        raise ModuleNotFoundError("no numpy", name="numpy")

    monkeypatch.setattr(definitions.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError):
        of_notebook("02")
