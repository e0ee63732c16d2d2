"""normdoctor against layers that others wrote: no sound one is blamed, and of each faulty one the cause is named.

`kit_mutants` has single faults, made by text replacement in three sound layers, by a hand that had not seen the kit;
`kit_correct` sound layers in as many ways of writing. `kit_causes.toml` says which cause is right for each fault, which
are missed, and which the kit does not ask for. All of them take ten minutes (`make proofs`, where their coverage is not
counted); every sixtieth is a test.
"""

import functools
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from kit_correct import VARIANTS, Variant
from kit_mutants import BASES, MUTANTS, Mutant, build
from normdoctor import Report, check_normalization

CAUSES = tomllib.loads((Path(__file__).parent / "kit_causes.toml").read_text(encoding="utf-8"))
NAMED, MISSED, NOT_ASKED = CAUSES["named"], CAUSES["missed"], CAUSES["not_asked"]
ASKED = [mutant for mutant in MUTANTS if mutant.name not in NOT_ASKED]
KINDS = {"formula", "gradient", "running", "mode", "state", "dtype"}
OWN = {2: {"no forward mode"}}  # base 2 is an autograd function without a jvp, and is told so


@functools.cache
def report(name: str) -> Report:
    return check_normalization(build(next(m for m in MUTANTS if m.name == name)), title=name)


def causes(mutant: Mutant) -> list[str]:
    """What the kit says is wrong, without what is so of the sound layer already."""
    return [f.cause for f in report(mutant.name).causes if f.cause not in OWN.get(mutant.base, set())]


def blamed(variant: Variant) -> Report:
    options = dict(variant.options)
    return check_normalization(variant.make, options.pop("kind", "batch"), title=variant.name, **options)


def each(some: list, every: int, name: Callable[[object], str] = lambda one: one.name):
    return pytest.mark.parametrize("one", some[::every], ids=name)


def test_the_table_of_causes_speaks_of_all_faults_and_of_no_other():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 200
    assert sorted([*NAMED, *MISSED, *NOT_ASKED]) == sorted(names)
    assert {mutant.kind for mutant in MUTANTS} >= KINDS
    assert len(VARIANTS) >= 60
    assert len(MISSED) <= 0.03 * len(ASKED)


@pytest.mark.parametrize("base", range(len(BASES)))
def test_the_layers_that_the_faults_are_made_in_are_sound(base):
    sound = Mutant("sound", base, (), (), "", "")
    assert {f.cause for f in check_normalization(build(sound)).causes} == OWN.get(base, set())


@each([m for m in ASKED if m.name in NAMED], 60)
def test_the_cause_of_a_fault_is_named(one):
    assert NAMED[one.name] in causes(one), report(one.name).causes


@each(VARIANTS, 10)
def test_a_sound_layer_is_not_blamed(one):
    assert blamed(one).ok, blamed(one).causes


@pytest.mark.proof
@pytest.mark.no_cover
def test_of_all_faults_97_in_100_are_named_and_none_is_passed_over():
    wrong = {m.name: causes(m) for m in ASKED if NAMED.get(m.name) not in causes(m)}
    silent = [m.name for m in ASKED if not causes(m) and not report(m.name).notes]
    assert not silent
    assert len(wrong) <= 0.03 * len(ASKED), wrong
    assert set(wrong) <= set(MISSED), wrong


@pytest.mark.proof
@pytest.mark.no_cover
def test_of_all_sound_layers_none_is_blamed():
    assert [v.name for v in VARIANTS if not blamed(v).ok] == []
