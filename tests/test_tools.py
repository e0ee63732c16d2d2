"""Tests of the commands behind `make` that work on the notebooks: JupyterLab's, the run, the tables of claims."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from claim_lessons import FACT, GAP, HEAD, forget

from tools import broken, claims, lab, review, run

# --- make lab


def test_labs_command_line():
    command = lab.command_line(Path("n.ipynb"), ["--port", "9999"], root_user=False, screen=True)
    assert command[0] == "n.ipynb"
    assert "--ServerApp.ip=127.0.0.1" in command
    assert command[-2:] == ["--port", "9999"]
    assert not any(re.search("token|password|allow", word) for word in command)
    assert "--no-browser" not in command
    assert "--allow-root" in lab.command_line(Path("n.ipynb"), root_user=True)
    assert "--no-browser" in lab.command_line(Path("n.ipynb"), screen=False)


@pytest.mark.parametrize(
    ("env", "platform", "screen"),
    [
        ({}, "linux", False),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "a b"}, "linux", False),
        ({"SSH_TTY": "/dev/ttys1"}, "darwin", False),
        ({}, "win32", True),
    ],
)
def test_whether_there_is_a_screen(env, platform, screen):
    assert lab.has_screen(env, platform) is screen


def server(**changes):
    provider = SimpleNamespace(auth_enabled=True, token="abc", token_generated=True)
    provider.__dict__.update({k: changes.pop(k) for k in list(changes) if hasattr(provider, k)})
    known = {
        "ip": "127.0.0.1",
        "sock": "",
        "port": 8889,
        "base_url": "/",
        "certfile": "",
        "identity_provider": provider,
    }
    return SimpleNamespace(**{**known, **changes})


def test_lab_refuses_to_run_open():
    assert lab.objection(server()) == ""
    assert "127.0.0.1 only" in lab.objection(server(ip="0.0.0.0"))
    assert "127.0.0.1 only" in lab.objection(server(sock="/tmp/s"))
    assert "token off" in lab.objection(server(auth_enabled=False, token=""))


def test_the_address_that_is_printed():
    notebook = lab.ROOT / "notebooks" / "00_is it ready.ipynb"
    assert (
        lab.address(server(), notebook) == "http://127.0.0.1:8889/lab/tree/notebooks/00_is%20it%20ready.ipynb?token=abc"
    )
    assert "abc" not in lab.address(server(token_generated=False), notebook)


def test_lab_stops_when_the_data_fails(monkeypatch, capsys):
    monkeypatch.setattr(lab.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    monkeypatch.setattr(lab, "is_root", lambda: pytest.fail("went on"))
    assert lab.main([]) == 1
    assert "data could not be made ready" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "found"), [("", "00"), ("03", "03"), ("3", "03"), ("03_what", "03"), (" 17 ", "17")])
def test_lab_opens_the_notebook_that_is_named(name, found):
    assert lab.find_notebook(name).name.startswith(f"{found}_")


@pytest.mark.parametrize("name", ["44", "0", "0x", "03 05"])
def test_a_wrong_name_is_one_line_that_says_what_there_is(name, tmp_path):
    (tmp_path / "notebooks").mkdir()
    for there in ("03_does_it.ipynb", "03_does_it_still.ipynb", "04_why.ipynb"):
        (tmp_path / "notebooks" / there).touch()
    for wrong in (name, "03"):
        with pytest.raises(SystemExit) as failure:
            lab.find_notebook(wrong, tmp_path)
        assert "03_does_it, 03_does_it_still" in str(failure.value)
        assert "\n" not in str(failure.value)
        assert ("more than one" if wrong == "03" else "no notebook") in str(failure.value)


def test_lab_gives_a_notebook_and_what_is_jupyterlabs_to_jupyterlab(monkeypatch):
    given = []
    monkeypatch.setattr(lab.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    monkeypatch.setattr(lab, "is_root", lambda: False)
    monkeypatch.setattr(lab, "command_line", lambda notebook, extra, *_: given.extend([notebook.name[:2], *extra]))
    monkeypatch.setattr("jupyterlab.labapp.LabApp.initialize_server", lambda argv: server(ip="0.0.0.0"))
    assert lab.main(["--only", "03", "--port", "9999"]) == 1
    assert given == ["03", "--port", "9999"]
    with pytest.raises(SystemExit, match="no notebook begins with '77'; there are: 00_"):
        lab.main(["--only", "77"])


# --- the notebook run


def notebook(*cells):
    """A notebook of code cells, each a source or a (source, metadata) pair."""
    pairs = [cell if isinstance(cell, tuple) else (cell, {}) for cell in cells]
    made = [nbformat.v4.new_code_cell(source, metadata=metadata) for source, metadata in pairs]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 1"), *made])


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


@pytest.fixture
def series(tmp_path):
    """A folder of notebooks and a function that runs them, as `make run` or `make notebooks` does."""
    folder, executed = tmp_path / "notebooks", tmp_path / "executed"
    folder.mkdir()
    return folder, lambda *words: run.main(list(words), folder, executed), executed


def test_a_series_with_a_failing_notebook(series, capsys, tmp_path, monkeypatch):
    folder, go, executed = series
    foreign = tmp_path / "jupyter" / "kernels" / "python3"  # somebody else's kernel of the same name
    foreign.mkdir(parents=True)
    spec = {"argv": ["no-such-program", "{connection_file}"], "display_name": "X", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    nbformat.write(
        notebook("import os; print(os.path.basename(os.getcwd()))", "1 / 0", "print('never')"), folder / "00_a.ipynb"
    )
    nbformat.write(notebook("import sys; sys.prefix"), folder / "01_b.ipynb")
    assert go() == 1
    said = capsys.readouterr().out
    assert re.search(r"00_a +\d+\.\d s  FAILED\n.*cell 3: ZeroDivisionError: division by zero", said)
    assert re.search(r"01_b +\d+\.\d s  ok", said)
    partial = nbformat.read(executed / "00_a.ipynb", as_version=4)
    assert partial.cells[1].outputs[0].text == "notebooks\n"  # the kernel's folder is the notebook's
    assert partial.cells[2].outputs[0].ename == "ZeroDivisionError"
    assert partial.cells[3].outputs == []
    own = nbformat.read(executed / "01_b.ipynb", as_version=4).cells[1].outputs[0].data["text/plain"]
    assert own == repr(sys.prefix)  # the kernel is that of the environment itself


def test_what_shows_pictures_is_stored_as_it_is_on_the_stand_in(series, monkeypatch):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    folder, go, executed = series
    shown = {"store_output": "stand-in", "tags": ["nbval-ignore-output"]}
    source = "import os; print(os.environ.get('COURSE_DATA', 'the pictures'))"
    nbformat.write(notebook(source, (source, shown)), folder / "00_a.ipynb")
    assert go("--in-place") == 0
    stored = nbformat.read(folder / "00_a.ipynb", as_version=4).cells
    assert [cell.outputs[0].text for cell in stored[1:]] == ["the pictures\n", "stand-in\n"]
    assert [cell.execution_count for cell in stored[1:]] == [1, 2]
    assert go() == 0
    assert nbformat.read(executed / "00_a.ipynb", as_version=4).cells[2].outputs[0].text == "the pictures\n"


def test_in_place_gives_the_committed_form(series):
    folder, go, _ = series
    made = notebook(
        "print('é'); print('two')",
        ("print('picture')", {"store_output": False, "tags": ["nbval-ignore-output"]}),
        ("1 / 0", {"tags": ["raises-exception"]}),
        "",
        ("40 + 2", {"execution": {"iopub.execute_input": "2020-01-01T00:00:00Z"}}),
    )
    made.metadata["kernelspec"] = {"name": "somebody-elses", "display_name": "X", "language": "python"}
    path = folder / "00_a.ipynb"
    nbformat.write(made, path)
    ids = [cell.id for cell in made.cells]
    assert go("--in-place", "00") == 0
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert '\n "cells"' in text
    assert "é" in text
    assert "iopub" not in text
    done = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(done)
    assert (done.nbformat, done.nbformat_minor) == (4, 5)
    assert done.metadata == {"kernelspec": run.KERNELSPEC, "language_info": run.LANGUAGE}
    assert "version" not in done.metadata.language_info
    assert [cell.id for cell in done.cells] == ids
    assert [cell.get("execution_count") for cell in done.cells] == [None, 1, 2, 3, None, 4]
    assert [output.text for output in done.cells[1].outputs] == ["é\ntwo\n"]
    assert done.cells[2].outputs == []
    assert done.cells[3].outputs[0].ename == "ZeroDivisionError"
    assert done.cells[5].outputs[0].execution_count == 4
    assert go("--in-place") == 0
    assert path.read_text(encoding="utf-8") == text  # once more changes nothing


def test_in_place_keeps_the_old_file_when_a_cell_fails_or_warns(series, capsys):
    folder, go, _ = series
    for name, source in (("00_a", "1 / 0"), ("01_b", "import sys; print('careful', file=sys.stderr)")):
        nbformat.write(notebook(source), folder / f"{name}.ipynb")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert go("--in-place") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    said = capsys.readouterr().out
    assert "cell 2 wrote to stderr: careful" in said
    assert said.count("left as it was") == 2


def test_a_cell_that_takes_too_long(series, capsys):
    folder, go, _ = series
    nbformat.write(notebook("import time; time.sleep(60)"), folder / "00_a.ipynb")
    assert go("--timeout", "1") == 1
    assert "cell 2: not done after 1 s" in capsys.readouterr().out


def test_progress_bars_and_paths_are_not_stored():
    made = notebook("bar", "error")
    made.cells[1].outputs = [stream("a"), nbformat.v4.new_output("display_data", data={}), stream("b")]
    trace = f"File {run.ROOT}{os.sep}utils{os.sep}data.py, File {sys.prefix}{os.sep}lib"
    made.cells[2].outputs = [nbformat.v4.new_output("error", ename="E", evalue="e", traceback=[trace])]
    made.metadata["widgets"] = {"state": {}}
    done = run.normalise(made)
    assert [output.text for output in done.cells[1].outputs] == ["ab"]
    assert done.cells[2].outputs[0].traceback == [f"File .{os.sep}utils{os.sep}data.py, File <environment>{os.sep}lib"]
    assert "widgets" not in done.metadata


def test_names_select_notebooks(series):
    folder, *_ = series
    for name in ("00_a", "01_b", "02_c"):
        (folder / f"{name}.ipynb").touch()
    assert [path.stem for path in run.select(folder, ["02", "00"])] == ["00_a", "02_c"]
    assert [path.stem for path in run.select(folder, ["1"])] == ["01_b"]
    assert len(run.select(folder, [])) == 3
    with pytest.raises(SystemExit, match="no notebook begins with '07'; there are: 00_a, 01_b, 02_c"):
        run.select(folder, ["07"])


def test_a_notebook_that_cannot_be_read_is_told_in_one_line(tmp_path):
    (tmp_path / "00_a.ipynb").write_text("<<<<<<< ours", encoding="utf-8")
    _, reason = run.run_one(tmp_path / "00_a.ipynb", tmp_path / "out.ipynb", in_place=False)
    assert reason.startswith("it cannot be read: ")
    assert "\n" not in reason


# --- the tables of claims, and their records

MARKED = "# Course\n\nBefore: |.\n\n<!-- claims -->\nold\n| table |\n<!-- /claims -->\n\nAfter.\n"


@pytest.fixture
def project(course):
    """A project with a README and one lesson, of which one claim is recorded."""
    course.write(HEAD + GAP + FACT)
    course.record()
    course.record("exists", {"sizes": [1, 4]})
    root = course.lesson.parent.parent
    (root / "README.md").write_text(MARKED, encoding="utf-8")
    return root


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_claims_renews_the_readmes_table_and_the_page(project, capsys):
    assert claims.main([], project) == 0
    assert capsys.readouterr().out == "[claims] renewed: README.md, docs/claims.md, docs/symptoms.md\n"
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Course\n\nBefore: |.\n\n<!-- claims -->\n\n")
    assert readme.endswith("\n\n<!-- /claims -->\n\nAfter.\n")
    assert "| table |" not in readme
    page = (project / "docs" / "claims.md").read_text(encoding="utf-8")
    assert "| [7.1](../notebooks/07_is_it.ipynb) | measured | It takes longer without. |" in page
    assert "steps without, minus steps with (above 10): 40 [" in page
    assert "survives Holm's correction" in page
    before = contents(project)
    assert claims.main([], project) == 0
    assert contents(project) == before  # once more changes nothing, and nothing half written is left


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda p: (p / "README.md").write_text("# Course\n"), "README.md needs <!-- claims --> and <!-- /claims -->"),
        (lambda p: (p / "README.md").write_text(MARKED + "<!-- claims -->"), "once each"),
        (lambda p: (p / "README.md").write_text("<!-- /claims --> <!-- claims -->"), "in this order"),
        (lambda p: (p / "README.md").unlink(), "README.md"),
        (lambda p: (p / "lessons" / "nb07" / "claims.toml").write_text("[slower]") and forget(), "claim 7.1, slower"),
    ],
)
def test_claims_says_in_one_line_what_is_wrong_and_writes_nothing(project, capsys, break_it, words):
    break_it(project)
    before = contents(project)
    assert claims.main([], project) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("[claims] ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert contents(project) == before


CLAIMING = """import json, os
from pathlib import Path

seeds = int(os.environ["COURSE_SEEDS"])
name = "stand-in" if os.environ.get("COURSE_DATA") else "CIFAR-10"
rows = {{"without": " ".join(["50", "51"] * (seeds // 2)), "with": "{steps}" }}
Path(os.environ["COURSE_RECORD"], "slower.json").write_text(json.dumps({{name: rows}}))"""


def test_recording_runs_on_both_data_sets_and_keeps_what_could_not_be_renewed(project, capsys):
    path = project / "notebooks" / "07_is_it.ipynb"
    nbformat.write(notebook(CLAIMING.format(steps="1 2 3")), path)
    assert claims.main(["--record", "07"], project) == 0
    kept = json.loads((project / "lessons" / "nb07" / "claims.json").read_text("utf-8"))
    assert list(kept) == ["slower", "exists"]
    assert kept["slower"]["stand-in"] == {"without": "50 51 50 51 50 51", "with": "1 2 3"}
    assert list(kept["slower"]) == ["CIFAR-10", "stand-in"]
    nbformat.write(notebook(CLAIMING.format(steps="7 8 9") + "\n1 / 0"), path)
    assert claims.main(["--record"], project) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert json.loads((project / "lessons" / "nb07" / "claims.json").read_text("utf-8")) == kept
    assert not {"COURSE_RECORD", "COURSE_SEEDS", "COURSE_DATA"} & set(os.environ)


def test_without_cifar_10_its_record_stays_and_that_is_said(project, capsys):
    there = (project / "lessons" / "nb07" / "claims.json").read_text("utf-8")
    always = CLAIMING.replace('"stand-in" if os.environ.get("COURSE_DATA") else "CIFAR-10"', '"stand-in"')
    nbformat.write(notebook(always.format(steps="1 2 3")), project / "notebooks" / "07_is_it.ipynb")
    assert claims.main(["--record", "07"], project) == 1
    assert "no CIFAR-10 here" in capsys.readouterr().err
    kept = json.loads((project / "lessons" / "nb07" / "claims.json").read_text("utf-8"))
    assert kept["slower"]["CIFAR-10"] == json.loads(there)["slower"]["CIFAR-10"]


def test_a_notebook_that_is_moved_while_it_runs_is_not_recorded(project, capsys):
    path = project / "notebooks" / "07_is_it.ipynb"
    before = (project / "lessons" / "nb07" / "claims.json").read_text("utf-8")
    moving = f"{CLAIMING.format(steps='1 2 3')}\nPath({str(path)!r}).unlink(missing_ok=True)"
    nbformat.write(notebook(moving), path)
    claims.main(["--record", "07"], project)
    assert "07_is_it.ipynb was moved while it ran" in capsys.readouterr().err
    assert (project / "lessons" / "nb07" / "claims.json").read_text("utf-8") == before


# --- make broken


BREAKABLE = """import json, os
from pathlib import Path

effect = 40
assert effect == 40
rows = {"without": " ".join(str(20 + effect + i) for i in range(5)), "with": "20 21 22 23 24"}
Path(os.environ["COURSE_RECORD"], "slower.json").write_text(json.dumps({"CIFAR-10": rows}))"""


@pytest.mark.parametrize(
    ("exchanged", "words", "status"),
    [
        ("'effect = 40' = 'effect = 0'", "red         slower: holds; broken: does not hold", 0),
        ("'effect = 40' = 'effect = 41'", "STILL GREEN slower: holds; broken: holds", 1),
        ("'effect = 50' = 'effect = 0'", "FAILED      slower: holds; broken: no code cell holds 'effect = 50'", 1),
        ("'Path(os' = 'Path(so'", "FAILED      slower: holds; broken: it did not reach the claim", 1),
        (
            """'"20 21' = '"nan 21'""",
            "red         slower: holds; broken: none, the arm 'with' holds NaN or infinity: "
            "judge runs that fail by their number (failures)",
            0,
        ),
        (
            """'"with":' = '"With":'""",
            "FAILED      slower: holds; broken: none, there is no arm 'with'; there are: without, With",
            1,
        ),
    ],
)
def test_a_broken_experiment_must_change_the_verdict(project, course, capsys, exchanged, words, status):
    course.write(HEAD + GAP + f"[slower.broken]\n{exchanged}")
    nbformat.write(notebook(BREAKABLE), project / "notebooks" / "07_is_it.ipynb")
    assert broken.main(["07"], project / "notebooks") == status
    assert capsys.readouterr().out == f"[broken] {words}\n"


# --- make review


@pytest.fixture
def repository(tmp_path):
    """A git repository with one notebook, a function that stores the notebook, and one that runs `make review`."""
    path = tmp_path / "notebooks" / "00_a.ipynb"
    made = notebook("import torch\n\nx = 1\nprint(x)", "print('more')")
    made.cells[1].outputs = [stream("1\n")]
    run.write(made, path)
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "a"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    return made, path, lambda *words: review.main(list(words), tmp_path)


def test_a_one_line_change_is_one_line_to_read_whatever_the_outputs(repository, capsys):
    made, path, go = repository
    made.cells[1].source = "import torch\n\nx = 2\nprint(x)"
    for count, cell in enumerate(made.cells[1:], 70):
        cell.outputs, cell.execution_count = [stream("2\n" * 100)], count
    run.write(made, path)
    assert go("main") == 0
    said = capsys.readouterr().out
    assert "=== 00_a.ipynb" in said
    read = [line for line in said.splitlines() if line.startswith(("-", "+"))]
    assert [line[0] + line[1:].strip() for line in read] == ["-x = 1", "+x = 2"]


def test_tags_and_new_and_moved_notebooks_are_shown_and_outputs_alone_are_named(repository, capsys):
    made, path, go = repository
    made.cells[1].outputs = []
    run.write(made, path)
    assert go() == 0
    assert capsys.readouterr().out == "[review] against main; only outputs differ in: 00_a.ipynb\n"
    made.cells[1].metadata["tags"] = ["setup"]
    run.write(made, path)
    path.rename(path.with_name("01_a.ipynb"))
    run.write(notebook(), path.with_name("02_b.ipynb"))
    subprocess.run(["git", "add", "."], cwd=path.parent, check=True)
    assert go() == 0
    said = capsys.readouterr().out
    assert re.search(r"=== 01_a.ipynb \(was 00_a.ipynb\)\n## added /cells/1/metadata/tags:\n\+  \['setup'\]", said)
    assert "=== 02_b.ipynb: new" in said
    assert go("no-such-branch") == 1
    assert "no-such-branch" in capsys.readouterr().err
