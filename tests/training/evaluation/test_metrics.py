"""Figures of merit against hand-made cases."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.metrics import (
    best_of_k,
    bootstrap_interval,
    frechet_distance,
    kernel_distance,
    mean_pairwise_distance,
    r_squared,
    r_squared_interval,
    share_interval,
    success_of_k,
)
from training.stages.losses import info_nce, min_snr_weight

samples = st.lists(st.floats(-1, 1), min_size=3, max_size=7)


@given(samples, st.integers(1, 3))
def test_best_of_k_is_the_mean_over_all_choices_of_k(scores, k):
    expected = np.mean([max(choice) for choice in combinations(scores, k)])
    assert best_of_k(np.array([scores]), k)[0] == pytest.approx(expected, abs=1e-9)


@given(samples, st.integers(1, 3))
def test_success_of_k_is_the_share_of_choices_that_reach_the_threshold(scores, k):
    expected = np.mean([max(choice) >= 0.2 for choice in combinations(scores, k)])
    assert success_of_k(np.array([scores]), k, 0.2)[0] == pytest.approx(expected, abs=1e-9)


def test_best_of_one_is_the_mean_and_best_of_all_the_maximum():
    scores = np.array([[0.1, 0.5, 0.3], [0.0, 0.2, 0.4]])
    assert best_of_k(scores, 1) == pytest.approx(scores.mean(1))
    assert best_of_k(scores, 3) == pytest.approx(scores.max(1))


def test_bootstrap_covers_the_mean_and_narrows_with_more_barcodes():
    rng = np.random.default_rng(0)
    few, many = rng.normal(1, 1, 20), rng.normal(1, 1, 2000)
    low, high = bootstrap_interval(many)
    assert low < many.mean() < high
    assert high - low < 0.2 * np.subtract(*bootstrap_interval(few)[::-1])
    assert bootstrap_interval(np.array([0.3, 0.3])) == (0.3, 0.3)


def test_r_squared_of_truth_mean_and_nonsense():
    truth = np.array([1.0, 2.0, 3.0])
    assert r_squared(truth, truth) == 1
    assert r_squared(np.full(3, 2.0), truth) == 0
    assert r_squared(-truth, truth) < 0


def test_the_interval_of_r_squared_holds_it_and_narrows_with_more_barcodes():
    rng = np.random.default_rng(0)

    def estimate(count):
        truth = rng.normal(size=(count, 2))
        predicted = truth[:, None] + 0.5 * rng.normal(size=(count, 3, 2))
        return r_squared_interval(predicted, truth)

    few, many = estimate(12), estimate(1200)
    assert many[0] < 0.75 < many[1]  # the noise has a quarter of the variance
    assert many[1] - many[0] < 0.3 * (few[1] - few[0])


def test_the_interval_of_a_share_has_a_width_even_where_all_agree():
    low, high = share_interval(np.ones(10))
    assert high == pytest.approx(1) and low == pytest.approx(0.722, abs=1e-3)  # Wilson, 10 of 10
    low, high = share_interval(np.array([0.5, 0.5, 1.0, 0.0]))
    assert low == pytest.approx(1 - high) and low < 0.5


def test_diversity_is_the_mean_over_all_pairs_of_different_samples():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 5, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    expected = [np.mean([1 - a @ b for a, b in combinations(some, 2)]) for some in vectors]
    assert mean_pairwise_distance(vectors) == pytest.approx(expected)
    assert mean_pairwise_distance(np.repeat(vectors[:, :1], 4, axis=1)) == pytest.approx([0, 0])


def test_the_frechet_distance_of_normal_laws_is_the_closed_form():
    rng = np.random.default_rng(0)
    real = rng.normal(0, 1, (200_000, 2))
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    # |(3, 0)|^2 for the shift, and (2 - 1)^2 for the wider second axis.
    drawn = rng.normal(0, 1, (200_000, 2)) * [1, 2] + [3, 0]
    assert frechet_distance(real, drawn) == pytest.approx(10, abs=0.1)


def test_the_kernel_distance_is_zero_on_average_for_one_law_however_few():
    rng = np.random.default_rng(0)
    same = [kernel_distance(rng.normal(size=(8, 4)), rng.normal(size=(8, 4))) for _ in range(500)]
    apart = [kernel_distance(rng.normal(size=(8, 4)), rng.normal(1, 1, (8, 4))) for _ in range(500)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(500)
    assert np.mean(apart) > 10 * abs(np.mean(same))


def test_info_nce_of_equal_logits_is_the_logarithm_of_the_batch():
    assert info_nce(torch.zeros(4, 4)).item() == pytest.approx(np.log(4))
    assert info_nce(100 * torch.eye(4)).item() == pytest.approx(0, abs=1e-6)


def test_min_snr_weights_the_clean_prediction_alike_for_both_predictions():
    gamma = torch.tensor([0.1, 0.5, 0.99])
    snr = gamma / (1 - gamma)
    assert torch.allclose(min_snr_weight(gamma, "epsilon", 5) * snr, snr.clamp(max=5))
    assert torch.allclose(min_snr_weight(gamma, "v_prediction", 5) * (snr + 1), snr.clamp(max=5))
