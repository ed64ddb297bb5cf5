import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from g2pdiff.analysis.statistics import mean_interval, relative_slope, slope_over_groups


def test_a_mean_has_students_interval():
    values = [0.1, 0.4, 0.35, 0.2]
    estimate = mean_interval(values)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert estimate.value == pytest.approx(np.mean(values))
    assert (estimate.low, estimate.high) == pytest.approx(expected)


def test_one_value_has_no_interval():
    assert mean_interval([0.3]).value == 0.3
    assert math.isnan(mean_interval([0.3]).low)


@given(st.floats(-10, 10), st.floats(0.1, 5))
def test_a_slope_is_relative_to_the_length_at_the_origin(percent, length):
    tens = np.linspace(-3, 5, 9)
    slope = relative_slope(length * (1 + percent / 100 * tens), tens)
    assert slope.value == pytest.approx(percent, abs=1e-6)
    assert slope.low <= slope.value + 1e-6 and slope.high >= slope.value - 1e-6


def test_a_slopes_interval_covers_as_often_as_it_says():
    rng, tens = np.random.default_rng(0), np.linspace(-3, 5, 17)
    covered = 0
    for _ in range(400):
        slope = relative_slope(1 + 0.05 * tens + 0.05 * rng.normal(size=17), tens)
        covered += slope.low <= 5 <= slope.high
    assert 0.91 <= covered / 400 <= 0.99


@pytest.mark.parametrize(("places", "replicates"), [(17, 2), (5, 10), (3, 3)])
def test_the_interval_covers_as_often_where_each_replicate_is_relative_to_its_own_mean(places, replicates):
    rng = np.random.default_rng(0)
    tens = np.tile(np.linspace(-3, 5, places), replicates)
    groups = np.repeat(np.arange(replicates), places)
    covered = 0
    for _ in range(1000):
        sizes = rng.uniform(0.5, 2, replicates)[groups]
        lengths = sizes * (1 + 0.03 * rng.normal(size=len(tens)))
        means = np.bincount(groups, lengths) / places
        slope = relative_slope(lengths / means[groups], tens, groups)
        covered += slope.low <= 0 <= slope.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_a_group_that_lacks_places_does_not_tilt_the_slope():
    tens = np.array([0, 1, 2, 3, 0, 1.0])
    groups = [0, 0, 0, 0, 1, 1]
    lengths = 1 + 0.1 * tens
    means = np.array([lengths[:4].mean()] * 4 + [lengths[4:].mean()] * 2)
    apart = relative_slope(lengths + np.array([0, 0, 0, 0, 0.7, 0.7]), tens, groups)
    assert apart.high - apart.low == pytest.approx(0, abs=1e-6)
    assert relative_slope(lengths / means, tens, groups).value == pytest.approx(10, rel=0.15)


def test_a_slope_is_ordinary_least_squares():
    rng, tens = np.random.default_rng(0), np.linspace(-3, 5, 17)
    values = 1 + 0.05 * tens + 0.05 * rng.normal(size=17)
    fit = stats.linregress(tens, values)
    half = stats.t.ppf(0.975, 15) * fit.stderr
    expected = [100 * slope / fit.intercept for slope in (fit.slope, fit.slope - half, fit.slope + half)]
    assert relative_slope(values, tens) == pytest.approx(expected)


def test_an_interval_over_groups_covers_where_each_has_a_slope_of_its_own():
    rng = np.random.default_rng(0)
    tens, groups = np.tile(np.arange(-3.0, 6), 5), np.repeat(np.arange(5), 9)
    covered = {"groups": 0, "line": 0}
    for _ in range(400):
        own = 0.05 + 0.01 * rng.normal(size=5)
        lengths = 1 + own[groups] * tens + 0.01 * rng.normal(size=45)
        for name, found in (
            ("groups", slope_over_groups(lengths, tens, groups.tolist())),
            ("line", relative_slope(lengths, tens, groups.tolist())),
        ):
            covered[name] += found.low <= 5 <= found.high
    assert 0.93 <= covered["groups"] / 400 <= 0.97
    assert covered["line"] / 400 < 0.8
