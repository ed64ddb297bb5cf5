"""Metrics as pure functions of arrays."""

from __future__ import annotations

from math import comb

import numpy as np
from scipy import stats

BOOTSTRAPS = 2000


def best_of_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the expected best score of k samples, estimated without bias from n >= k samples per barcode.

    The i-th smallest of n scores is the best of k scores, drawn without replacement, with probability C(i-1,
    k-1) / C(n, k).

    Args:
        scores: (barcodes, n).
        k: number of samples.

    Returns:
        One value per barcode (barcodes,).
    """
    n = scores.shape[1]
    weights = np.array([comb(i - 1, k - 1) / comb(n, k) for i in range(1, n + 1)])
    return np.sort(scores, axis=1) @ weights


def success_of_k(scores: np.ndarray, k: int, threshold: float) -> np.ndarray:
    """Return the probability (barcodes,) that the best of k samples of a barcode reaches the threshold."""
    n = scores.shape[1]
    failures = (scores < threshold).sum(1)
    return np.array([1 - comb(int(f), k) / comb(n, k) for f in failures])


def bootstrap_interval(values: np.ndarray, seed: int = 0, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over barcodes (N,)."""
    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return float(low), float(high)


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the coefficient of determination of predictions (N, ...) against the truth (N, ...)."""
    residual = np.square(truth - predicted).sum()
    return float(1 - residual / np.square(truth - truth.mean(0)).sum())


def r_squared_interval(
    predicted: np.ndarray, truth: np.ndarray, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of R2 over barcodes.

    Args:
        predicted: predictions (barcodes, n, ...), n per barcode.
        truth: (barcodes, ...).
        seed: seed of the resampling.
        confidence: probability that the interval covers.
    """
    count, n = predicted.shape[:2]
    truth, predicted = truth.reshape(count, 1, -1), predicted.reshape(count, n, -1)
    residual = np.square(predicted - truth).mean(1).sum(1)  # (barcodes,)
    rows = np.random.default_rng(seed).integers(0, count, (BOOTSTRAPS, count))
    values = truth[:, 0][rows]  # (BOOTSTRAPS, barcodes, traits)
    spread = np.square(values - values.mean(1, keepdims=True)).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one barcode has no variance
        found = 1 - residual[rows].sum(1) / spread
    found = found[np.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    return float(np.quantile(found, tail)), float(np.quantile(found, 1 - tail))


def share_interval(shares: np.ndarray) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share, given the shares of N barcodes (N,).

    It also has a width if the barcodes are few and all agree; a bootstrap would not.
    """
    n, share, z = len(shares), float(np.mean(shares)), float(stats.norm.ppf(0.975))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def mean_pairwise_distance(embeddings: np.ndarray) -> np.ndarray:
    """Return the diversity: the mean cosine distance between two samples of a barcode.

    Args:
        embeddings: unit vectors (barcodes, n, E), n >= 2.

    Returns:
        One value per barcode (barcodes,).
    """
    n = embeddings.shape[1]
    squared = np.square(embeddings.sum(1)).sum(-1)  # sum of all n^2 cosines
    return 1 - (squared - n) / (n * (n - 1))


def frechet_distance(real: np.ndarray, drawn: np.ndarray) -> float:
    """Return the squared Frechet distance between normal distributions of features (N, E) and (M, E).

    This is the formula of FID (Heusel et al. 2017). With fewer pictures than features it is biased upwards:
    compare systems with equal numbers of pictures, not with published values.
    """
    means, covariances = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in (real, drawn)), strict=True)
    # The trace of a product's square root is the sum of the square roots of its eigenvalues (>= 0).
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)
    trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.sqrt(eigenvalues).sum()
    return float(np.square(means[0] - means[1]).sum() + trace)


def kernel_distance(real: np.ndarray, drawn: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy of features (N, E) and (M, E), with a cubic
    kernel.

    This is the formula of KID (Binkowski et al. 2018). If both come from one distribution, its mean is 0 for
    any number of pictures, so it can be negative.
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def without_diagonal(x: np.ndarray) -> float:
        values = kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    return float(without_diagonal(real) + without_diagonal(drawn) - 2 * kernel(real, drawn).mean())
