import numpy as np
import pytest

from streamqrs.latency import Delays


def test_quantiles_are_within_a_bin():
    values = np.random.default_rng(0).lognormal(1, 1, 20_000)
    delays = Delays()
    for value in values:
        delays.add(float(value))
    q = delays.quantiles()
    assert q.count == 20_000
    assert q.mean == pytest.approx(values.mean())
    assert q.sd == pytest.approx(values.std())
    assert q.max == values.max()
    for got, percent in ((q.p5, 5), (q.p50, 50), (q.p95, 95), (q.p99, 99)):
        assert got == pytest.approx(np.percentile(values, percent), rel=0.03)


def test_out_of_range_is_counted_all_the_same():
    delays = Delays()
    for value in (-5.0, 1e9):
        delays.add(value)
    assert delays.quantiles().count == 2
    assert Delays().quantiles() is None
