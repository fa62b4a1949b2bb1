"""Every parser that reads from outside, given what nobody should send: the targets of fuzz/, a few inputs each."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[1] / "fuzz"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FUZZ / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TARGETS = load("targets").TARGETS
run = load("run")
SLOW = {"network"}  # each input is a file of its own for ONNX Runtime
SIMPLE = sorted(set(TARGETS) - SLOW)


@pytest.mark.parametrize("name", SIMPLE)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_of_any_kind_are_taken_or_refused(name, data):
    target, seeds = TARGETS[name]
    seed = data.draw(st.sampled_from(seeds))
    at = data.draw(st.integers(0, len(seed)))
    middle = data.draw(st.binary(max_size=40))
    cut = data.draw(st.integers(0, 40))
    target(seed[:at] + middle + seed[at + cut :])


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_mutated_seeds_are_taken_or_refused(name):
    target, seeds = TARGETS[name]
    rng = random.Random(name)
    for _ in range(5 if name in SLOW else 40):
        target(run.mutate(rng.choice(seeds), rng))


def test_the_fuzzer_finds_what_it_should(tmp_path):
    def careless(data):
        if b"7" in data:
            raise KeyError("a crash that nobody declared")

    tried, findings = run.fuzz("careless", careless, [b"123456"], 0.5, 0, tmp_path)
    assert tried > 10
    assert len(findings) == 1
    assert "KeyError" in findings[0]
    assert b"7" in next(tmp_path.iterdir()).read_bytes()
