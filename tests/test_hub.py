"""The measurement of JupyterHub: what is read from /proc, the hub's configuration, the student, the table.

Nothing here needs JupyterHub: where a hub must run, a script stands in for it.
"""

import ast
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import hub, hub_server, hub_student, hub_table, hub_usage  # noqa: E402
from benchmarks.hub_server import Failure  # noqa: E402
from benchmarks.hub_usage import Usage  # noqa: E402

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' /proc")

ROLLUP = """\
55d0c0a00000-7ffd1a5f9000 ---p 00000000 00:00 0                          [rollup]
Rss:               1000 kB
Pss:                600 kB
Shared_Clean:       500 kB
Private_Clean:      100 kB
Private_Dirty:      300 kB
SwapPss:             10 kB
"""
STAT = "7 (a (strange) name) S 1 7 7 0 -1 4194560 100 200 0 0 150 50 30 20 20 0 1 0 100 0 0"


# --- what the processes take


def test_memory_is_read_from_the_rollup():
    assert hub_usage.memory(ROLLUP) == (410 * 1024, 610 * 1024, 1010 * 1024)


def test_processor_time_of_a_process_with_any_name():
    assert hub_usage.cpu_seconds(STAT, ticks=100) == 2.5


@pytest.mark.parametrize(
    ("student", "command", "part"),
    [
        ("ada", "python bin/jupyterhub-singleuser --log-level=ERROR", "server"),
        ("ada", "python -m ipykernel_launcher -f file", "kernel"),
        ("", "node bin/configurable-http-proxy --ip 127.0.0.1", "proxy"),
        ("", "python bin/jupyterhub -f jupyterhub_config.py", "hub"),
    ],
)
def test_whose_a_process_is(student, command, part):
    environment = {"JUPYTERHUB_USER": student} if student else {}
    assert hub_usage.part_of(environment, command.split()) == (student, part)


def test_only_marked_processes_are_found(tmp_path):
    for pid, mark in (("1", "ours"), ("2", "another's"), ("3", "")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "environ").write_text(f"JUPYTERHUB_USER=ada\0{hub_usage.MARK}={mark}\0" if mark else "A=B\0")
        (tmp_path / pid / "cmdline").write_text("python\0-m\0ipykernel_launcher\0")
    (tmp_path / "4").mkdir()  # it ended while one looked
    (tmp_path / "self").mkdir()
    assert hub_usage.marked("ours", tmp_path) == {1: ("ada", "kernel")}
    assert hub_usage.read_usage(4, tmp_path) == Usage()


def test_a_real_process_is_found_and_measured():
    code = "print(sum(range(3_000_000)), flush=True); input()"
    environment = {**os.environ, hub_usage.MARK: "test-of-the-hub", "JUPYTERHUB_USER": "ada"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:
        process.stdout.readline()
        with hub_usage.Sampler("test-of-the-hub", seconds=0.05) as sampler:
            time.sleep(0.2)
        process.communicate(b"\n")
    assert len(sampler.samples) >= 3
    usage = sampler.samples[-1]["ada", "kernel"]
    assert 1e6 < usage.uss <= usage.pss <= usage.rss < 1e9
    assert usage.cpu > 0
    assert hub_usage.marked("test-of-the-hub") == {}


HUB, PROXY = Usage(100, 110, 120, 2.0), Usage(50, 55, 60, 0.5)
SAMPLES = [
    {("", "hub"): Usage(90, 95, 100, 1.0), ("", "proxy"): PROXY},
    {
        ("", "hub"): HUB,
        ("", "proxy"): PROXY,
        ("a", "server"): Usage(10, 15, 20, 1.0),
        ("a", "kernel"): Usage(300, 400, 500, 1.0),
        ("b", "server"): Usage(11, 16, 22, 1.5),
        ("b", "kernel"): Usage(310, 400, 500, 2.0),
    },
    {
        ("", "hub"): HUB,
        ("", "proxy"): PROXY,
        ("a", "server"): Usage(10, 15, 20, 1.25),
        ("a", "kernel"): Usage(200, 300, 400, 3.0),
        ("b", "server"): Usage(11, 16, 22, 1.75),
        ("b", "kernel"): Usage(320, 410, 510, 4.0),
    },
]


def test_the_peak_is_each_ones_own_moment():
    assert hub_usage.peak(SAMPLES, "a")["a", "kernel"].uss == 300
    assert hub_usage.peak(SAMPLES, "b")["b", "kernel"].uss == 320


def test_what_is_shared_counts_once():
    own, once = 100 + 50 + 10 + 300 + 11 + 310, 20 + 10 + 11 + 200  # hub, proxy, servers, kernels
    assert hub_usage.whole(SAMPLES[1]) == own + once


# --- the hub


def text_of_config(tmp_path, **environment):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "configurable-http-proxy").touch()
    return hub_server.config(tmp_path / "venv", tmp_path, [1001, 1002, 1003], ["ada", "bob"], environment)


def test_the_configuration_is_loopback_only(tmp_path):
    settings = {}
    for node in ast.parse(text_of_config(tmp_path, OMP_NUM_THREADS="1")).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                settings[ast.unparse(target)] = ast.unparse(node.value)
    door = {name for name in settings if re.search(r"(^|_|\.)(ip|url|hub_ip)$", name)} - {"c.Spawner.default_url"}
    assert door == {
        "c.JupyterHub.bind_url", "c.JupyterHub.hub_ip", "c.ConfigurableHTTPProxy.api_url", "c.Spawner.ip",
    }  # fmt: skip
    for name in door:
        assert re.fullmatch(r"'(http://)?127\.0\.0\.1(:\d+)?'", settings[name]), name
    assert settings["c.Spawner.environment"] == "{'OMP_NUM_THREADS': '1'}"
    assert settings["c.Authenticator.allowed_users"] == "set(['ada', 'bob'])"


def test_no_password_stands_in_the_configuration(tmp_path):
    text = text_of_config(tmp_path)
    assert "c.SharedPasswordAuthenticator.user_password = os.environ.pop(" in text
    assert "token" not in text.lower()


def test_passwords_and_marks_are_drawn_anew():
    one, two = (hub_server.Hub(Path("venv"), "python", ["ada"]) for _ in range(2))
    assert one.password != two.password
    assert one.mark != two.mark
    assert min(len(one.password), len(one.mark)) >= 32


def test_free_ports_differ():
    assert len(set(hub_server.free_ports(5))) == 5


def test_the_kernel_is_the_courses_and_imports_this_repository():
    spec = hub_server.kernel("python-of-the-course")
    assert spec["argv"][0] == "python-of-the-course"
    assert spec["env"]["PYTHONPATH"] == str(ROOT)


def test_jupyterlab_is_the_range_of_the_course():
    [wanted] = [name for name in hub_server.PACKAGES if name.startswith("jupyterlab")]
    assert f'"{wanted}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_jupyterhub_is_not_in_the_lock():
    assert not re.search(r"^jupyterhub\b", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_an_environment_without_jupyterhub_is_left_alone(tmp_path):
    with pytest.raises(Failure, match=r"has no JupyterHub\. Install it there: .*'jupyterhub>="):
        hub_server.prepare(tmp_path, "pypi")
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_fails_leaves_nothing(tmp_path, monkeypatch, capsys):
    def fail(command):
        (tmp_path / "venv").mkdir()
        raise Failure("could not install JupyterHub (no network)")

    monkeypatch.setattr(hub_server, "_install", fail)
    with pytest.raises(Failure, match="no network"):
        hub_server.prepare(tmp_path / "venv", "pypi")
    assert not (tmp_path / "venv").exists()


def test_a_program_that_is_not_there():
    with pytest.raises(Failure, match=r"no no-such-npm here: .*--proxy pypi"):
        hub_server._install(["no-such-npm"])


def test_the_proxy_for_node_comes_first(tmp_path):
    with pytest.raises(Failure, match="has no configurable-http-proxy"):
        hub_server.proxy(tmp_path)
    for kind, folder in (("pypi", "bin"), ("npm", "node/node_modules/.bin")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "configurable-http-proxy").touch()
        assert hub_server.proxy(tmp_path)[0] == kind


def stand_in(tmp_path, script):
    """An environment whose `jupyterhub` is this script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("jupyterhub", "configurable-http-proxy"):
        (folder / name).write_text(f"#!{sys.executable}\n{script}")
        (folder / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise SystemExit('sorry, no')", "did not come up: sorry, no"),
        ("import errno, os; raise OSError(errno.EADDRINUSE, os.strerror(98))", "took one of its ports .* run it again"),
    ],
)
def test_a_hub_that_does_not_come_up(tmp_path, script, reason):
    with pytest.raises(Failure, match=reason), hub_server.Hub(stand_in(tmp_path, script), sys.executable, ["ada"]):
        pass


def test_what_was_started_is_ended_even_if_it_does_not_want_to(tmp_path, monkeypatch):
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], start_new_session=True)\n"
        "time.sleep(30)\n"
    )
    monkeypatch.setattr(hub_server, "UP_SECONDS", 1)
    monkeypatch.setattr(hub_server, "DOWN_SECONDS", 0.2)
    monkeypatch.setattr(hub_server, "ASKED_SECONDS", 0.5)
    running = hub_server.Hub(stand_in(tmp_path, script), sys.executable, ["ada"])
    seen = []
    monkeypatch.setattr(running, "reason", lambda: seen.extend(hub_usage.marked(running.mark)) or "too slow")
    with pytest.raises(Failure, match="too slow"), running:
        pass
    assert len(seen) == 2
    assert hub_usage.marked(running.mark) == {}
    assert not running._work.exists()


# --- the student


def test_the_cells_that_are_run(tmp_path):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# A"]},
        {"cell_type": "code", "metadata": {}, "source": ["x = 1\n", "x"]},
        {"cell_type": "code", "metadata": {}, "source": []},
        {"cell_type": "code", "metadata": {"tags": ["raises-exception"]}, "source": "1/0"},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert hub_student.code_cells(path) == [(2, "x = 1\nx", False), (4, "1/0", True)]


@pytest.mark.parametrize(
    ("events", "ready"),
    [
        ([{"progress": 50}, {"progress": 100, "ready": True}], True),
        ([{"progress": 50}, {"failed": True}, {"ready": True}], False),
        ([{"progress": 50}], False),
    ],
)
def test_the_hubs_progress(events, ready):
    lines = [line for event in events for line in (f"data: {json.dumps(event)}\n".encode(), b"\n")]
    assert hub_student.parse_progress(iter([b":keepalive\n", *lines])) is ready


class Socket:
    """A kernel's end of the connection: answers each request with these outcomes, in turn."""

    def __init__(self, *outcomes):
        self.outcomes, self.waiting = list(outcomes), [b"a widget's picture"]

    def send(self, text):
        request = json.loads(text)
        status = self.outcomes.pop(0) if self.outcomes else "ok"
        parent = {"msg_id": request["header"]["msg_id"]}
        states = [("iopub", {"execution_state": "busy"}), ("iopub", {"execution_state": status})]
        if status in ("ok", "error"):
            states = [
                ("shell", {"status": status, "ename": "E", "evalue": "v"}),
                ("iopub", {"execution_state": "idle"}),
            ]
        for channel, content in states:
            self.waiting.append(json.dumps({"channel": channel, "content": content, "parent_header": parent}))

    def recv(self):
        return self.waiting.pop(0) if self.waiting else ""


@pytest.mark.parametrize(
    ("outcomes", "may_fail", "failure"),
    [
        (("ok", "ok"), False, None),
        (("ok", "error"), True, None),
        (("ok", "error"), False, r"cell 2: E: v"),
        (("ok", "restarting"), False, "the kernel died"),
        (("ok", "never"), False, "the server has closed the connection"),
    ],
)
def test_running_the_cells(outcomes, may_fail, failure):
    student = hub_student.Student("http://127.0.0.1:1", "ada", "secret")
    student._socket = Socket(*outcomes)
    if failure is None:
        student.run([(1, "x", False), (2, "y", may_fail)])
    else:
        with pytest.raises(Failure, match=failure):
            student.run([(1, "x", False), (2, "y", may_fail)])


def test_a_door_that_nobody_opens():
    [port] = hub_server.free_ports(1)
    with pytest.raises(Failure, match="/hub/login did not answer"):
        hub_student.Student(f"http://127.0.0.1:{port}", "ada", "secret").log_in()


# --- the command


class Actor:
    """A student who does nothing, or fails at something."""

    def __init__(self, name, fails=""):
        self.name, self._fails = name, fails

    def __getattr__(self, step):
        def do(*_):
            if step == self._fails:
                raise Failure(f"{step} failed")

        return do


def test_everybody_has_a_lesson():
    times = hub.everybody([Actor("b"), Actor("a")], "path", [])
    assert list(times) == ["a", "b"]
    assert set(times["a"]) == {"server_s", "kernel_s", "cells_s"}


@pytest.mark.parametrize("step", ["log_in", "wait_for_server", "open", "run"])
def test_one_failure_ends_the_lesson_and_says_whose(step):
    with pytest.raises(Failure, match=f"b: {step} failed"):
        hub.everybody([Actor("a"), Actor("b", step), Actor("c")], "path", [])
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("lesson of ")]:
        thread.join(10)
        assert not thread.is_alive(), "somebody still waits for b"


SECONDS = {"server_s": 1.0, "kernel_s": 2.0, "cells_s": 3.0}


def test_the_summary():
    found = hub_table.summary({"a": SECONDS, "b": SECONDS}, SAMPLES)
    assert found["students"][0] == {
        "name": "a", **SECONDS,
        "server": {"uss": 10, "pss": 15, "rss": 20, "cpu_s": 1.25},
        "kernel": {"uss": 300, "pss": 400, "rss": 500, "cpu_s": 3.0},
    }  # fmt: skip
    assert found["hub"]["rss"] == 120
    assert found["everything"] == max(map(hub_usage.whole, SAMPLES))


def result(*students):
    part = {"uss": 100e6, "pss": 150e6, "rss": 200e6, "cpu_s": 1.0}
    rows = [
        {"name": str(n), "server_s": n, "kernel_s": n, "cells_s": 10.0 * n, "server": part, "kernel": part}
        for n in students
    ]
    return {"students": rows, "hub": part, "proxy": part, "everything": 1e9, "load_before": 0.5, "browsers_cpu_s": 1.0}


def test_the_table():
    lines = hub_table.table(result(1), result(1, 2, 6)).splitlines()
    assert lines[:5] == [
        "|  | one alone | 3 at once: median | slowest, largest |",
        "| --- | --: | --: | --: |",
        "| from the login to the server's page, s | 1.0 | 2.0 | 6.0 |",
        "| from there until the kernel answers, s | 1.0 | 2.0 | 6.0 |",
        "| all cells of the notebook, s | 10.0 | 20.0 | 60.0 |",
    ]
    assert "| of both, their own (USS), MB | 200 | 200 | 200 |" in lines
    assert "| processor time of hub and proxy, s | 2.0 | 2.0 |  |" in lines
    assert {line.count("|") for line in lines} == {5}


def test_the_conditions_name_no_machine_and_no_path(monkeypatch):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("CIFAR10_DIR", "/somewhere")
    whole = {
        "machine": hub.machine(),
        "versions": {"jupyterhub": "6.0"},
        "notebook": "02_what",
        "data": hub.data_in_use(),
        "alone": result(1),
        "together": result(1, 2),
    }
    text = "\n".join(hub_table.conditions(whole))
    assert "jupyterhub 6.0" in text
    assert "CIFAR10_DIR" in text
    assert "/" not in text
    assert os.uname().nodename not in text


def test_the_command_line(capsys):
    options, notebook = hub.arguments_of([])
    assert options.students == 8
    assert notebook.name.startswith("02_")
    assert Path(options.python).is_absolute()
    wrong = (["--students", "0"], ["--notebook", "99"], ["--notebook", "0"], ["--python", "no-such-python"])
    for arguments, words in zip(wrong, ("a student", "0 notebooks", "notebooks begin", "no no-such"), strict=True):
        with pytest.raises(SystemExit):
            hub.arguments_of(arguments)
        assert words in capsys.readouterr().err


def test_a_python_without_the_course():
    with pytest.raises(Failure, match=r"has no no-such-package: name the course's Python with --python"):
        hub.versions(sys.executable, "no-such-package")


def test_a_failure_is_one_line(monkeypatch, tmp_path, capsys):
    def fail(*_):
        raise Failure("the hub did not come up: why")

    monkeypatch.setattr(hub, "measure", fail)
    assert hub.main([], tmp_path / "hub.json") == 1
    assert capsys.readouterr().err == "[hub] the hub did not come up: why\n"
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_written(monkeypatch, tmp_path, capsys):
    whole = {
        "machine": hub.machine(), "versions": {}, "notebook": "02_what", "data": "x", "trial": result(1),
        "alone": result(1), "together": result(1, 2),
    }  # fmt: skip
    monkeypatch.setattr(hub, "measure", lambda *_: whole)
    assert hub.main([], tmp_path / "build" / "hub.json") == 0
    assert json.loads((tmp_path / "build" / "hub.json").read_text())["together"]["students"][1]["cells_s"] == 20
    assert "[hub] written: build/hub.json" in capsys.readouterr().out
