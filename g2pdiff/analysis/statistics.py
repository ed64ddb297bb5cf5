"""Means, slopes and their 95 % intervals, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value with the ends of its 95 % interval; NaN if there are too few data for it."""

    value: float
    low: float
    high: float


def _with_interval(value: float, error: float, freedom: int) -> Estimate:
    """Return an estimate from a standard error by Student's t."""
    from scipy import stats

    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    return Estimate(float(value), float(value - half), float(value + half))


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of N values and its Student interval.

    >>> mean, low, high = mean_interval([1, 2, 3])
    >>> print(f"{mean:.1f} ({low:.1f} to {high:.1f})")
    2.0 (-0.5 to 4.5)
    """
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2:
        return Estimate(float(numbers.mean()), float("nan"), float("nan"))
    return _with_interval(numbers.mean(), numbers.std(ddof=1) / np.sqrt(len(numbers)), len(numbers) - 1)


def rank_agreement(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Return Spearman's rank correlation of two rows of N numbers, -1 to 1; NaN if one is constant."""
    from scipy import stats

    result: Any = stats.spearmanr(first, second)
    return float(result.statistic)


def relative_slope(values: np.ndarray, tens: np.ndarray, groups: Sequence[int] | None = None) -> Estimate:
    """Return the growth per unit of `tens`, in per cent of the value at its origin.

    Ordinary least squares with one slope and one level per group (analysis of covariance). The interval is
    that of the slope, divided by the value at the origin.

    >>> slope, low, high = relative_slope(np.array([1.0, 1.1, 1.2, 1.3]), np.array([0, 1, 2, 3]))
    >>> print(f"{slope:.1f} % per unit")
    10.0 % per unit

    Args:
        values: measurements (N,), at least two more than there are groups.
        tens: regressor (N,), such as (|latitude| - 30) / 10.
        groups: group of each measurement (N,), if groups differ in level; by default one group.
    """
    _, members = np.unique(np.zeros(len(values)) if groups is None else groups, return_inverse=True)

    def within(numbers: np.ndarray) -> np.ndarray:
        return numbers - (np.bincount(members, numbers) / np.bincount(members))[members]

    deviations = within(tens)
    spread = np.square(deviations).sum()
    slope = (deviations * values).sum() / spread
    residuals = within(values) - slope * deviations
    freedom = len(values) - len(set(members)) - 1
    error = np.sqrt(np.square(residuals).sum() / freedom / spread)
    percent = 100 / (values.mean() - slope * tens.mean())
    return _with_interval(percent * slope, abs(percent) * error, freedom)


def slope_over_groups(values: np.ndarray, tens: np.ndarray, groups: Sequence[int]) -> Estimate:
    """Return the mean of the groups' own slopes, each as `relative_slope`, with its interval over the groups.

    The points of one group share a noise, so the scatter round one line says nothing of another noise. The
    interval over groups does.

    Args:
        values: measurements (N,), three or more at distinct `tens` per group.
        tens: regressor (N,), as of `relative_slope`.
        groups: group of each measurement (N,), two groups or more.
    """
    members = np.asarray(groups)
    slopes = [relative_slope(values[members == group], tens[members == group]).value for group in set(groups)]
    return mean_interval(slopes)
