"""The machinery behind `check`: limits, differences, cards, and what is refused when an exercise is written down."""

from __future__ import annotations

import contextlib
import linecache
import re
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
from claim_lessons import displayed
from torch import nn

from utils import lessons
from utils.exercises import check, checking, examine, limits, memory
from utils.exercises.definitions import Choice, Code, Mistake, Number, Task, Unusable, find, of_notebook
from utils.exercises.differences import compare
from utils.exercises.unsolved import hands_over_a_solution
from utils.exercises.verdicts import Verdict, html, text

COMMON = {"minutes": 3, "difficulty": "★☆☆ easy", "hints": ["Think of `x`.", "Add <one>."], "look": "the start"}


def add_one(x):
    return x + 1


@pytest.fixture
def define(monkeypatch):
    """Makes exercise 1.1, "one", from what is given, and a function that examines an answer to it."""

    def make(kind=Task, **changes):
        if kind is Task:
            changes.setdefault("mistakes", [Mistake("twice", "You doubled it.", like=lambda x: 2 * x)])
            code = {
                "truth": add_one,
                "cases": lambda: {"three numbers": (torch.arange(3.0),), "four numbers": (torch.arange(4.0),)},
            }
            code |= {key: changes.pop(key) for key in ("truth", "cases", "trial", "seconds") if key in changes}
            changes["code"] = Code(**code)
        made = kind(**{**COMMON, **changes})
        monkeypatch.setattr(checking, "find", lambda slug: ("1.1", made))
        return lambda answer: examine("one", answer)

    return make


def cell(source, name="f", number=1):
    """What a learner's cell defines, with its lines where IPython would put them."""
    filename = f"<ipython-input-{number}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names = {"torch": torch, "nn": nn, "time": time, "contextlib": contextlib}
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
        "def f(x):\n    y = x + 1\n    raise NotImplementedError('later')",
        "def f(x): ...",
        "def f(x):\n    '''With words.'''",
        "f = None",
        "f = ...",
    ],
)
def test_what_is_not_solved_yet(define, source):
    assert define()(cell(source)).state == "not solved yet"


@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        (lambda x: None if len(x) else x, "returns_none", "`return` missing"),
        (lambda x: "text", "wrong_type", "it is a str, where a tensor is asked for"),
        (lambda x: (x, torch.ones(7)), "wrong_type", "it is a tuple whose parts differ in shape, or are no numbers"),
        (lambda x: x + 1j, "wrong_type", "complex"),
        (lambda x: 10**30, "wrong_type", "it is a number of 100 bits, too large for a tensor"),
        (lambda x: np.array([x, 1], dtype=object), "wrong_type", "it is an array of object"),
        (lambda x: (x + 1).to_sparse(), "wrong_type", "it is a sparse_coo tensor"),
        (lambda x: (x + 1).to("meta"), "wrong_type", "it is a meta tensor"),
        (lambda x: torch.quantize_per_tensor(x + 1, 0.1, 0, torch.quint8), "wrong_type", "it is a quantized tensor"),
        (lambda x: torch.nested.nested_tensor([x, x]), "wrong_type", "it is a nested tensor"),
        (lambda x: (x + 1)[None], "wrong_shape", "(1, 3), where (3,) is asked for"),
        (lambda x: x / 0, "nan", "all of its values are NaN"),
        (lambda x: (x + 1) / (x != 1), "nan", "1 of 3 of its values are infinite, the first at index 1"),
        (lambda x: x + 3, "wrong_values", "index 0: 3, where 1 is right."),
        (lambda x: (x + 1) * (len(x) == 3), "wrong_values", "With four numbers"),
        (lambda x: x + 1 + (x == 2), "wrong_values", "1 of its 3 values are wrong"),
        (lambda x: (x * 1.4).long(), "wrong_values", "whole (torch.int64)"),
        (torch.ones(3), "not_callable", "without calling it; this is a Tensor"),
    ],
)
def test_what_is_said_about_other_wrong_results(define, answer, key, words):
    verdict = define()(answer)
    assert verdict.key == key
    assert words in verdict.message


def test_an_exception_is_shown_at_the_learners_own_line(define):
    source = "def helper(x):\n    # a comment\n    return torch.cat([x, x], dim=5)\n\ndef f(x):\n    return helper(x)\n"
    verdict = define()(cell(source))
    assert verdict.key == "raises"
    assert verdict.message.startswith("Line 3 of the cell, `return torch.cat([x, x], dim=5)`, raises IndexError: Dim")
    assert "The input was: three numbers." in verdict.message
    assert define()(lambda: 1).message.startswith("Your answer cannot be used as the task asks. TypeError")
    assert "SystemExit" in define()(cell("def f(x):\n    exit()\n")).message
    assert "RecursionError" in define()(cell("def f(x):\n    return f(x)\n")).message
    # PyTorch's NotImplementedError is the learner's error, and not the stub's.
    assert define()(cell("def f(x):\n    return nn.Module()(x)")).key == "raises"


def test_an_error_in_the_code_that_tries_an_answer_names_no_line():
    """That code stands in `lessons/`, and is not the learner's."""
    verdict = examine("into-a-linear-layer", lambda linear, norm: nn.Linear(1, 1))
    assert verdict.message.startswith("Your answer cannot be used as the task asks. RuntimeError")


def test_mistakes_are_recognised_by_the_exception_or_by_results_and_not_by_errors_alone(define):
    judge = define(mistakes=[Mistake("axis", "There is no such axis.", raising="Dimension out of range")])
    verdict = judge(cell("def f(x):\n    return x.mean(4)\n"))
    assert verdict.key == "axis"
    assert verdict.message.startswith("There is no such axis.\nLine 2 of the cell, `return x.mean(4)`, raises Index")
    assert define(mistakes=[Mistake("axis", "No.", like=lambda x: x.mean(4))])(lambda x: x.sum(7)).key == "raises"
    three = Mistake("three", "It only works for three.", like=lambda x: x * 0 + torch.arange(1.0, 4))
    assert define(mistakes=[three])(lambda x: torch.arange(3) + 1.0 + 0 * x).key == "three"


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
    assert judge(nn.ReLU()).message == "Hand over the class itself, without calling it; this is a ReLU."
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


HANGS = {
    "bare except": """
        while True:
            try: x = x + 1
            except: pass""",
    "except BaseException around a loop": """
        while True:
            try:
                while True: pass
            except BaseException: continue""",
    "finally": """
        while True:
            try: time.sleep(0.01)
            finally: continue""",
    "suppress": """
        while True:
            with contextlib.suppress(BaseException): time.sleep(0.01)""",
}
HANGS_FOR_A_SIGNAL = {
    "sleep": """
        while True:
            try: time.sleep(60)
            except: pass""",
    "an except inside another": """
        while True:
            try:
                try:
                    while True: pass
                except: pass
                while True: pass
            except: pass""",
    "an exit that swallows": """
        class Swallows:
            def __enter__(self): pass
            def __exit__(self, *error): return True
        while True:
            with Swallows():
                while True: pass""",
    "a library": """
        while True:
            try: __import__("random").shuffle(list(range(10**6)))
            except: pass""",
}


@pytest.mark.parametrize(
    ("body", "by_signal"),
    [
        *(pytest.param(body, True, id=f"{name}-signal") for name, body in {**HANGS, **HANGS_FOR_A_SIGNAL}.items()),
        *(pytest.param(body, False, id=f"{name}-thread") for name, body in HANGS.items()),
    ],
)
def test_a_hang_is_stopped(define, monkeypatch, request, body, by_signal):
    if by_signal:
        if not hasattr(signal, "setitimer"):
            pytest.skip("no timers here")
        request.getfixturevalue("alarm")
    monkeypatch.setattr(limits, "_has_signal", lambda: by_signal)
    judge = define(seconds=0.3)
    verdict = judge(cell(f"def f(x):\n        {body}\n"))
    assert verdict.key == "takes_too_long"
    assert verdict.message.startswith("Your code was stopped after 0.3 seconds: does a loop never end? It was at line")
    assert "restart the kernel" not in verdict.message
    assert judge(add_one).state == "right"


@pytest.mark.parametrize(
    "body",
    [
        "torch.zeros(10**12)",
        "x.repeat(10**10)",
        "torch.rand(10**5, 1) @ torch.rand(1, 10**5)",
        "nn.Linear(10**5, 10**5)",
        "x[None].expand(10**9, -1).contiguous()",
    ],
)
def test_a_huge_tensor_is_refused_before_it_is_made(define, body):
    verdict = define(seconds=60)(cell(f"def f(x):\n    return {body}\n"))
    assert verdict.key == "too_large", verdict.message
    assert "It was at line 2 of the cell, `return " in verdict.message


@pytest.mark.skipif(memory.statm(0) is None, reason="only Linux limits what is no tensor")
@pytest.mark.parametrize("body", ["[0] * 10**11", "__import__('numpy').ones(10**11)"])
def test_a_huge_list_or_array_is_refused(define, body):
    assert define()(cell(f"def f(x):\n    return {body}\n")).key == "too_large"
    resource = pytest.importorskip("resource")
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.getrlimit(resource.RLIMIT_AS)[1]


@posix
@pytest.mark.skipif(memory.statm(1) is None, reason="only Linux says how much is in use")
def test_memory_that_grows_in_small_pieces_is_noticed(define, monkeypatch):
    monkeypatch.setattr(limits, "GROWTH", 64 * memory.MEGABYTE)
    source = "def f(x):\n    kept = []\n    while True:\n        kept.append(torch.ones(10**6))\n"
    assert define()(cell(source)).key == "too_large"


def test_neither_a_large_view_nor_the_ticks_disturb():
    outcome = limits.run(lambda: (time.sleep(0.2), torch.zeros(1).expand(10**10).shape[0]))
    assert (outcome.value, outcome.error, outcome.printed) == ((None, 10**10), None, "")


def test_a_thread_that_cannot_be_stopped_is_said_to_run_on(define, monkeypatch):
    monkeypatch.setattr(limits, "_has_signal", lambda: False)
    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    # A real interrupt that waits for a thread in C makes Python 3.11 hang while coverage traces it.
    monkeypatch.setattr(limits, "_interrupt", lambda worker: None)
    gate = threading.Event()
    verdict = define(seconds=0.3)(lambda x: gate.wait(20) or x + 1)
    gate.set()
    assert verdict.key == "takes_too_long"
    assert verdict.message.endswith("But that did not succeed, and it is still running: restart the kernel.")


@posix
@pytest.mark.parametrize("by_signal", [True, False])
def test_an_import_is_not_stopped_half_way(define, monkeypatch, tmp_path, by_signal):
    monkeypatch.setattr(limits, "_has_signal", lambda: by_signal)
    monkeypatch.setattr(limits, "PATIENCE", 5)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"slowly_imported_{by_signal}".lower()
    (tmp_path / f"{name}.py").write_text("import time\n\nfor _ in range(6):\n    time.sleep(0.1)\ndone = True\n")
    verdict = define(seconds=0.3)(cell(f"def f(x):\n    import {name}\n    return x + {name}.done\n"))
    assert verdict.state == "right", verdict.message


def test_out_of_the_main_thread_the_limits_are_kept():
    outcomes = []

    def work():
        outcomes.extend([limits.run(lambda: 3), limits.run(lambda: torch.zeros(10**12)), limits._has_signal()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    value, large, by_signal = outcomes
    assert (value.value, type(large.error), by_signal) == (3, limits.TooLarge, False)


def test_an_interrupt_of_the_user_goes_through(define):
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        define()(interrupted)


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
    assert compare(2, torch.tensor(3.0)).text == "it is 2, where 3 is right."


def test_what_counts_as_equal():
    true = torch.tensor([1.0, float("nan")])
    assert "nan is right" in compare([1, 2.0], true).text
    assert compare(np.array([1, np.nan]), true) is None
    assert compare(true.view(1, 2), true, form=torch.squeeze) is None
    assert compare("abc", "abc") is None
    assert compare(torch.zeros(500), "abc").text.endswith("…, not abc.")


# --- letters and numbers


def test_what_are_no_letters_and_no_numbers(define):
    letters = define(Choice, right="b", wrong={"a": "No.", "c": "Neither."})
    assert [letters(x).key for x in (" B)", "a", "z", ["b"])] == ["", "a", "no_option", "no_option"]
    assert letters("z").message == 'Give one letter of "a", "b", "c".'
    numbers = define(Number, right=0.5, tolerance=0.01, mistakes=[Mistake("other", "The other half?", value=0.7)])
    assert [numbers(x).key for x in (torch.tensor([0.5]), 0.7, 10**30)] == ["", "other", "too_high"]
    assert numbers(None).state == "not solved yet"
    assert numbers(0.6).message == "0.6 is too high. Look again at the start."
    assert numbers("0.5").message == "Give one number, such as 0.5; this is a str."
    others = (10**400, 1j, torch.tensor(1j), torch.ones(2), torch.ones(1, device="meta"), [], np.array(["0.5"]))
    assert {numbers(x).key for x in others} == {"wrong_type"}


# --- cards


def test_the_card_and_the_hints_folded_each_inside_the_one_before(define):
    define()
    with displayed() as outputs:
        check("one", None)
    [card] = outputs
    assert card.data["text/plain"] == "Exercise 1.1: not solved yet.\n3 minutes, ★☆☆ easy."
    assert card.metadata["exercise"] == {"number": "1.1", "state": "not solved yet", "key": ""}
    page = card.data["text/html"]
    assert "○ not solved yet" in page
    assert "3 minutes · ★☆☆ easy" in page
    first, second = page.index("Hint 1 of 2"), page.index("Hint 2 of 2")
    assert first < page.index("<code>x</code>") < second < page.index("Add &lt;one&gt;.") < page.index("</details>")
    assert page.endswith("</details></details></div>")
    assert "<details open" not in page


def test_a_right_card_has_no_hints_and_what_the_learner_wrote_is_escaped():
    exercise = Number(**COMMON, right=1, tolerance=0, remark="Because.")
    page = html(Verdict("1.1", "right", message="Because."), exercise)
    assert re.search(r"<details><summary>Why, and what to take away</summary><p [^>]*>Because.</p></details>", page)
    assert "Hint" not in page
    verdict = Verdict("1.1", "not right yet", "raises", "Line `<b>` raises.\nMore.", "<i>\n")
    page = html(verdict, exercise)
    assert re.search(r"<p [^>]*>Line <code>&lt;b&gt;</code> raises.</p><p [^>]*>More.</p>", page)
    assert re.search(r"<pre [^>]*>&lt;i&gt;\n</pre>", page)
    assert text(verdict, exercise) == "Exercise 1.1: not right yet.\nLine <b> raises.\nMore.\nYour code printed: <i>\n"


def shown(source, **names):
    """The card that a cell shows: its state, the first line of its text, and its page."""
    with displayed() as outputs:
        exec(source, {"check": check, **names})
    [card] = outputs
    return card.metadata["exercise"]["state"], card.data["text/plain"].split("\n")[0], card.data["text/html"]


@pytest.mark.parametrize("named", ["f_solution", "LayerSolution"])
def test_a_solution_passes_and_is_not_called_right(define, named):
    """What is called right, in green, is the learner's; a solution under "not solved yet" passes, in grey."""
    define()
    state, said, page = shown(f'check("one", {named})', **{named: add_one})
    assert (state, said) == ("right", "Exercise 1.1: the solution passes.")
    assert "the solution passes" in page
    assert "✔" not in page
    assert "#00674F" not in page
    state, said, page = shown(f'f = {named}\ncheck("one", f)', **{named: add_one})
    assert (state, said) == ("right", "Exercise 1.1: right.")
    assert "✔ right" in page
    assert shown(f'check("one", {named})', **{named: None})[0] == "not solved yet"
    assert shown(f'check("one", {named})', **{named: abs})[0] == "not right yet"


def test_only_the_variable_that_is_handed_over_counts():
    found = []
    space = {"look": lambda *_: found.append(hands_over_a_solution(sys._getframe(1))), "a_solution": 1, "a": 1}
    exec("def f():\n    look('a_solution', a)\n    a_solution\n    look('it', a_solution)\n\nf()", space)
    exec("look(1, a_solution)\nlook(1, a)\nlook('a_solution', 1)\na_solution", space)
    assert found == [False, True, True, False, False]


# --- writing exercises down


def test_an_exercise_that_is_not_written_down_well():
    for changes, words in (({"difficulty": "hard"}, "a difficulty"), ({"hints": []}, "0"), ({"hints": ["x"] * 4}, "4")):
        with pytest.raises(ValueError, match=words):
            Number(**{**COMMON, **changes}, right=1, tolerance=0)


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Writes the exercises of a notebook 50 into a folder `lessons` of their own: the words, and what is computed."""
    monkeypatch.setattr(lessons, "LESSONS", tmp_path)
    caches = lessons.table, lessons.load_module, of_notebook

    def write(words, computed=""):
        module = f"from utils.exercises.definitions import Code\n\nEXERCISES = {{{computed}}}\n"
        (tmp_path / "nb50").mkdir()
        (tmp_path / "nb50" / "exercises.toml").write_text(words, encoding="utf-8")
        (tmp_path / "nb50" / "exercises.py").write_text(module)
        for cached in caches:
            cached.cache_clear()

    yield write
    for cached in caches:
        cached.cache_clear()


WORDS = """
minutes = 3
difficulty = "★☆☆ easy"
hints = ["One\\n  line."]
look = "the start"
"""


def test_words_and_code_of_a_lesson_make_an_exercise(written):
    mistakes = """
mistakes.twice = "You\\ndoubled it."
mistakes.axis.raising = "no  axis"
mistakes.axis.message = "No such axis."
"""
    computed = '"add": Code(truth=len, cases=dict, mistakes={"twice": min})'
    letters = f'[letter]{WORDS}right = "b"\nwrong.a = "No,\\nnever."\n'
    written(f"[add]{WORDS}{mistakes}{letters}[half]{WORDS}right = 0.5\ntolerance = 0.1\n", computed)
    assert list(of_notebook("50")) == ["add", "letter", "half"]
    number, task = find("add")
    assert (number, task.code.truth, task.hints) == ("50.1", len, ["One line."])
    assert task.mistakes == [
        Mistake("twice", "You doubled it.", like=min),
        Mistake("axis", "No such axis.", raising="no  axis"),
    ]
    assert isinstance(find("letter")[1], Choice)
    assert find("letter")[1].mistakes == [Mistake("a", "No, never.")]
    assert find("half")[1] == Number(**{**COMMON, "hints": ["One line."]}, right=0.5, tolerance=0.1, mistakes=[])


@pytest.mark.parametrize(
    ("words", "computed", "told"),
    [
        (f"[add]{WORDS}", "", "neither `right` in exercises.toml nor a Code in exercises.py"),
        ("", '"add": Code(truth=len, cases=dict)', "has no words for add"),
        (f"[add]{WORDS}", '"add": Code(truth=len, cases=dict, mistakes={"twice": min})', "no message for twice"),
    ],
)
def test_words_that_do_not_fit_the_code(written, words, computed, told):
    written(words, computed)
    with pytest.raises(ValueError, match=told):
        of_notebook("50")


def test_exercises_are_found_by_their_slug():
    number, exercise = find("thirty-and-ten")
    assert exercise == of_notebook(number.split(".")[0].zfill(2))["thirty-and-ten"]
    assert of_notebook("99") == {}
    with pytest.raises(ValueError, match="no lesson has exercise 'thirty'; there is: thirty-and-ten"):
        check("thirty", 1)
