"""normdoctor's command: exit status, one line for what makes no sense, causes first, JSON and JUnit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from utils import probes
from utils.probes import PROBES

ROOT = Path(__file__).resolve().parent.parent


def shell(module: str, *arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, cwd=ROOT, encoding=encoding, env=env)


@pytest.mark.proof
def test_the_shell_gets_the_status_and_question_marks_for_signs_that_it_does_not_have():
    faults = ("utils.layers:FirstBnLayer", "--only", "eps", "--only", "output size")
    done = shell("utils.probes", *faults, encoding="cp1252")
    assert (done.returncode, done.stderr) == (1, "")
    for words in ("[no eps]", "there is no eps", "kernel_size // 2", "n - 1"):
        assert words in done.stdout
    done = shell("normdoctor", "utils.layers:FirstBatchNorm2d", "--only", "gradient of γ", encoding="cp1252")
    assert "gradient of gamma" in done.stdout
    done = shell("normdoctor", "utils.layers:BatchNorm3d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["normdoctor: 'utils.layers' has no 'BatchNorm3d'; did you mean 'BatchNorm2d'?"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "given: nothing"),
        (["utils.layers"], "package.module:Layer"),
        (["no_such_package:Layer"], "cannot import 'no_such_package'"),
        (["utils.layers:__doc__"], "neither a class nor a factory"),
        (["torch.nn:BatchNorm2d", "--only", "epsilon"], "no probe 'epsilon'"),
        (["torch.nn:BatchNorm2d", "--channels", "many"], "--channels"),
        (["torch.nn:BatchNorm2d", "--channels", "0"], "at least 1; given: 0"),
        (["torch.nn:GroupNorm", "--channels", "6"], "it could not be tested: "),
        (["torch.nn:MultiheadAttention"], "could not be tested"),
        (["torch.nn:BatchNorm2d", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_wrong_arguments_are_explained_in_one_line(arguments, words, capsys):
    assert probes.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err


def test_the_status_is_that_of_the_report(capsys):
    assert probes.main(["utils.layers:BatchNorm2d", "--only", "running mean", "--channels", "3"]) == 0
    out = capsys.readouterr().out
    assert out == "utils.layers:BatchNorm2d: nothing is wrong; 1 of 1 probes applied, 0 failed\n"
    faulty = ["utils.layers:FirstBatchNorm2d", "--only", "training forward"]
    assert probes.main(faulty) == 1
    assert "1. [unbiased normalization]" in capsys.readouterr().out
    assert probes.main([*faulty, "--scoreboard"]) == 1
    assert "measured " in capsys.readouterr().out


NOISY = """from torch import nn

print("loading my package")
Layer = nn.BatchNorm2d


def __getattr__(name):
    if name == "Optional":
        raise ImportError("pip install noisy[extra]")
    raise AttributeError(name)
"""


def test_what_a_module_prints_and_lacks_is_no_part_of_the_report(capsys, tmp_path, monkeypatch):
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert probes.main(["noisy:Layer", "--only", "eps", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"] is True
    assert "loading my package" in err
    assert probes.main(["noisy:Optional"]) == 2
    assert "cannot get 'Optional' of 'noisy': ImportError: pip install noisy[extra]" in capsys.readouterr().err


def test_json_and_junit(capsys, tmp_path):
    arguments = [
        "utils.layers:FirstBatchNorm2d",
        "--only",
        "training forward",
        "--json",
        "--junit",
        str(tmp_path / "x.xml"),
    ]
    assert probes.main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["causes"][0]["cause"] == "unbiased normalization"
    assert ElementTree.parse(tmp_path / "x.xml").getroot().get("failures") == "1"
    assert probes.main(["torch.nn:BatchNorm2d", "--only", "eps", "--junit", str(tmp_path / "no" / "x.xml")]) == 2


def test_other_kinds_layouts_and_profiles(capsys):
    assert probes.main(["torch.nn:LayerNorm", "--kind", "layer", "--only", "training forward", "--ascii"]) == 0
    assert capsys.readouterr().out.isascii()
    shape = [
        "torch.nn:RMSNorm",
        "--kind",
        "rms",
        "--input-shape",
        "8,5,6",
        "--channel-axis",
        "-1",
        "--profile",
        "definition",
    ]
    assert probes.main(shape) == 0
    assert probes.main(["torch.nn:BatchNorm2d", "--device", "no-such-device"]) == 2
    assert probes.main(["torch.nn:BatchNorm2d", "--input-shape", "8"]) == 2


def test_the_list_of_probes(capsys):
    assert probes.main(["--list"]) == 0
    assert [line.partition("  ")[0] for line in capsys.readouterr().out.splitlines()] == [p.name for p in PROBES]


ENDS = """
from torch import nn

class Ends(nn.BatchNorm2d):
    def forward(self, x):
        raise SystemExit(0)

class Half(nn.BatchNorm2d):
    def forward(self, x):
        if not self.training:
            raise NotImplementedError("not yet")
        return super().forward(x)
"""


def test_nothing_that_was_tested_is_no_green(capsys, tmp_path, monkeypatch):
    (tmp_path / "that_ends.py").write_text("import sys; sys.exit(0)", encoding="utf-8")
    (tmp_path / "layers_that_end.py").write_text(ENDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for arguments, words in (
        (["that_ends:Layer"], "cannot import 'that_ends': SystemExit"),
        (["layers_that_end:Ends"], "ends the program"),
        (["torch.nn:BatchNorm2d", "--only", "eps", "--skip", "eps"], "nothing was tested"),
        (["./layers_that_end.py:Half"], "as Python imports it"),
        (["torch.nn:BatchNorm2d", "--channel-axis", "7"], "no batch of up to 5 dimensions with its channels at 7"),
        (["torch.nn:BatchNorm2d", "--input-shape", "8,6,5,5", "--channel-axis", "7"], "no dimension 7"),
    ):
        assert probes.main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert words in err
    assert probes.main(["layers_that_end:Half"]) == 1
    assert "1. [raises an error] it raises NotImplementedError: not yet" in capsys.readouterr().out
    assert probes.main(["torch.nn:RMSNorm"]) == 1
    assert "check it with kind='rms'" in " ".join(capsys.readouterr().out.split())
