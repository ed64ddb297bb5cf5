"""Figures of merit, as pure functions of arrays."""

from __future__ import annotations

from math import comb

import numpy as np
from scipy import stats


def best_of_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Expected best score of k samples, estimated without bias from n >= k samples of every barcode.

    The i-th smallest of n scores is the best of k drawn without replacement with probability C(i-1, k-1) /
    C(n, k).

    Args:
        scores: (barcodes, n).
        k: samples to choose the best of.

    Returns:
        One value for every barcode (barcodes,).
    """
    n = scores.shape[1]
    weights = np.array([comb(i - 1, k - 1) / comb(n, k) for i in range(1, n + 1)])
    return np.sort(scores, axis=1) @ weights


def success_of_k(scores: np.ndarray, k: int, threshold: float) -> np.ndarray:
    """Probability that the best of k samples reaches the threshold, for every barcode (barcodes,)."""
    n = scores.shape[1]
    failures = (scores < threshold).sum(1)
    return np.array([1 - comb(int(f), k) / comb(n, k) for f in failures])


def bootstrap_interval(values: np.ndarray, seed: int = 0, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over barcodes (N,)."""
    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return tuple(map(float, result.confidence_interval))


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Coefficient of determination of predictions (N, ...) against the truth (N, ...)."""
    residual = np.square(truth - predicted).sum()
    return float(1 - residual / np.square(truth - truth.mean(0)).sum())
