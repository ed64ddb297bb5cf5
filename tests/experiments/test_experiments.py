"""Experiments on a tiny real pipeline: what is drawn, what stays fixed, what the rows say."""

import time
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
import torch

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.compare import Compare, PairRow, differences
from g2pdiff.experiments.latitude import LATITUDES, LONGITUDES, LatitudeSweep, SweepRow, cline
from g2pdiff.experiments.mutations import Mutations, mutation_curves
from g2pdiff.simulation import Simulator
from tests.tiny import BARCODE, tiny_pipeline

WILD_TYPE = Barcode.parse(BARCODE)
STEPS = 2


@pytest.fixture(scope="module")
def simulated():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def pipeline():
    """Return one that learned from real specimens, whose truth nobody knows."""
    pipeline = tiny_pipeline()
    pipeline.register_to_config(truth=None)
    return pipeline


def sweep(pipeline, latitude=0, longitude=0, **values):
    """Return the updates of a quick sweep."""
    values = {"steps": STEPS} | values
    return LatitudeSweep(barcode=WILD_TYPE, latitude=latitude, longitude=longitude, **values).start(pipeline)


def mutations(pipeline, latitude=0, longitude=0, **values):
    """Return the updates of a quick series."""
    values = {"steps": STEPS} | values
    return Mutations(barcode=WILD_TYPE, latitude=latitude, longitude=longitude, **values).start(pipeline)


def compare(pipeline, **values):
    """Return the updates of a quick comparison."""
    values = {"barcode": WILD_TYPE, "latitude": 0, "longitude": 0, "steps": STEPS} | values
    return Compare(**values).start(pipeline)


def steps(updates):
    """Return the updates but for the pauses."""
    return [update for update in updates if not update.pauses]


def rows(updates):
    return [row for update in updates for row in update.rows]


def test_an_experiment_counts_its_picture_steps_and_hands_over_rows_as_they_finish(pipeline):
    updates = steps(sweep(pipeline, degrees=list(range(0, 50, 5)), replicates=1))
    assert [update.done for update in updates] == [8, 16, 18, 20]
    assert {update.total for update in updates} == {20}
    assert [len(update.rows) for update in updates] == [0, 8, 0, 2]


def test_a_picture_of_a_sweep_is_the_pipelines_own(pipeline):
    swept = rows(sweep(pipeline, 10, 20, degrees=[-60, 0], replicates=2, seed=3))
    assert [(row.latitude, row.longitude, row.replicate) for row in swept] == [
        (-60, 20, 0), (-60, 20, 1), (0, 20, 0), (0, 20, 1),
    ]  # fmt: skip
    alone = pipeline(WILD_TYPE, -60, 20, seed=4, num_inference_steps=2, output_type="pt")
    torch.testing.assert_close(swept[1].image, alone.images[0], atol=1e-5, rtol=0)
    assert swept[1].clibd_score == pytest.approx(alone.clibd_scores[0], abs=1e-4)
    assert swept[1].true_body_length is None and swept[1].true_image is None


def test_along_longitude_the_latitude_stays(pipeline):
    swept = rows(sweep(pipeline, 10, 20, along="longitude", degrees=[-5, 5], replicates=2))
    assert {row.latitude for row in swept} == {10}
    assert [row.degrees for row in swept] == [-5, -5, 5, 5]


def test_lengths_are_not_compared_where_every_animal_fills_the_picture():
    with pytest.raises(InputError, match="that every animal fills") as caught:
        sweep(tiny_pipeline(whole_frames=False))
    assert caught.value.field == "checkpoint"


def test_an_experiment_pauses_before_every_batch(pipeline):
    updates = list(sweep(pipeline, degrees=list(range(9)), replicates=1))
    assert [update.pauses for update in updates] == [True, False, False, True, False, False]
    assert [update.done for update in updates] == [0, 8, 16, 16, 17, 18]
    assert not any(update.rows for update in updates if update.pauses)


@pytest.mark.parametrize(
    "start",
    [
        lambda pipeline: mutations(pipeline, rates=[0.1], replicates=8),
        lambda pipeline: compare(pipeline, other_latitude=5, pairs=5),
    ],
)
def test_every_experiment_pauses_between_batches(pipeline, start):
    updates = list(start(pipeline))
    assert updates[0].pauses and sum(update.pauses for update in updates) in (2, 4)
    for before, update in pairwise(updates):
        assert update.done >= before.done and update.pauses * (update.done - before.done) == 0
    assert updates[-1].done == updates[-1].total


def test_nothing_runs_on_the_model_while_an_experiment_pauses(pipeline):
    calls = []
    hook = pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    with closing(sweep(pipeline, degrees=list(range(9)), replicates=1)) as updates:
        done = [(update.pauses, len(calls)) for update in updates]
    hook.remove()
    assert done == [(True, 0), (False, 1), (False, 2), (True, 2), (False, 3), (False, 4)]


def test_a_mutation_series_is_drawn_from_one_noise_and_starts_at_the_wild_type(simulated):
    drawn = rows(mutations(simulated, 40, 10, rates=[0.3, 0.05], replicates=3, seed=7))
    assert [(row.rate, row.replicate) for row in drawn] == [
        (0, 0), (0.05, 0), (0.05, 1), (0.05, 2), (0.3, 0), (0.3, 1), (0.3, 2),
    ]  # fmt: skip
    known = WILD_TYPE.coverage
    for row in drawn:
        assert len(WILD_TYPE.differences(row.barcode)) == round(row.rate * known)
    assert set(WILD_TYPE.differences(drawn[2].barcode)) < set(WILD_TYPE.differences(drawn[5].barcode))
    assert drawn[0].drift == 0 and drawn[0].true_drift == 0
    assert all(row.true_drift > 0 for row in drawn[4:])
    alone = simulated(drawn[5].barcode, 40, 10, seed=7, num_inference_steps=2, output_type="pt").images
    torch.testing.assert_close(drawn[5].image, alone[0], atol=1e-5, rtol=0)
    expected = (
        torch.nn.functional.interpolate(torch.stack([drawn[5].image, drawn[0].image]), (32, 32), mode="area")
        .diff(dim=0)
        .square()
        .mean()
        .sqrt()
    )
    assert drawn[5].drift == pytest.approx(expected.item(), rel=1e-4)


def test_the_truth_is_what_the_simulator_draws(simulated):
    drawn = rows(mutations(simulated, 40, 10, rates=[0.3], replicates=1))
    expected = Simulator.default().specimens([row.barcode.sequence for row in drawn], [40, 40], 32)
    assert torch.equal(torch.stack([row.true_image for row in drawn]), expected)


def test_mutants_are_scored_against_the_wild_type(pipeline):
    drawn = rows(mutations(pipeline, 0, 0, rates=[0.5], replicates=1))
    clibd = pipeline.clibd
    with torch.no_grad():
        expected = clibd.embed_images(drawn[1].image[None]) @ clibd.embed_barcodes([BARCODE]).T
    assert drawn[1].clibd_score == pytest.approx(expected.item(), abs=1e-5)


def test_curves_average_over_replicates(simulated):
    drawn = rows(mutations(simulated, 0, 0, rates=[0.2], replicates=3))
    wild_type, mutants = mutation_curves(drawn)
    assert (wild_type["rate"], wild_type["pictures"]) == (0, 1)
    assert mutants["pictures"] == 3
    drifts = [row.drift for row in drawn[1:]]
    assert mutants["drift"].value == pytest.approx(np.mean(drifts))
    assert mutants["drift"].low < np.mean(drifts) < mutants["drift"].high
    assert mutants["true_drift"].value > 0


def test_curves_leave_out_what_nobody_knows(pipeline):
    drawn = rows(mutations(pipeline, 0, 0, rates=[0]))
    assert set(mutation_curves(drawn)[0]) == {"rate", "pictures", "clibd_score", "body_length", "drift"}


@pytest.mark.parametrize(
    ("name", "rates", "replicates"),
    [("rates", [0, 0.1, 0.5], 2), ("replicates", [0, 0.1], 400)],
)
def test_an_impossible_series_is_refused_before_it_starts(pipeline, name, rates, replicates):
    with pytest.raises(InputError) as refused:
        mutations(pipeline, rates=rates, replicates=replicates, kind="synonymous")
    assert refused.value.field == name


def test_too_long_a_series_is_refused_at_once(pipeline):
    began = time.monotonic()
    with pytest.raises(InputError, match="That makes 399,601 pictures"):
        mutations(pipeline, rates=np.linspace(0, 0.5, 1000).tolist(), replicates=400)
    assert time.monotonic() - began < 1


def test_a_series_of_several_batches_counts_its_steps_through(pipeline):
    updates = steps(mutations(pipeline, rates=[0.1, 0.2], replicates=5))
    assert {update.total for update in updates} == {11 * STEPS}
    told = [update.done for update in updates]
    assert told == sorted(told) and told[-1] == 11 * STEPS
    drawn = [row for update in updates for row in update.rows]
    assert [(row.rate, row.replicate) for row in drawn] == [
        (0, 0), *((rate, replicate) for rate in (0.1, 0.2) for replicate in range(5))
    ]  # fmt: skip
    assert all(
        len(WILD_TYPE.differences(row.barcode)) == round(row.rate * WILD_TYPE.coverage) for row in drawn
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("along", {"along": "altitude"}),
        ("replicates", {"replicates": 0}),
        ("replicates", {"replicates": 100}),
        ("degrees", {"degrees": [0, 91]}),
        ("seed", {"seed": -1}),
    ],
)
def test_bad_input_to_a_sweep_names_its_field(pipeline, name, values):
    with pytest.raises(InputError) as refused:
        sweep(pipeline, **values)
    assert refused.value.field == name


def swept(lengths, along="latitude", replicates=2, noise=0.0):
    """Return rows of a sweep whose body lengths are a given function of the place."""
    rng = np.random.default_rng(0)
    degrees = LATITUDES if along == "latitude" else LONGITUDES
    return [
        SweepRow(along, d, r, 0, 0, None, None, lengths(d, r) * (1 + noise * rng.normal()))
        for d in degrees
        for r in range(replicates)
    ]


def test_the_planted_cline_is_found_whatever_the_replicates_own_size():
    grown = swept(lambda d, r: (0.4 + 0.1 * r) * (1 + 0.05 * (abs(d) - 30) / 10), noise=0.01)
    found = cline(grown, planted=True)
    assert found.slope.value == pytest.approx(5, abs=0.6)
    assert found.planted == pytest.approx(5)
    assert found.verdict.startswith("Bergmann's rule shows")


@pytest.mark.parametrize(
    ("growth", "noise", "says"),
    [
        (-0.05, 0.01, "The opposite"),
        (0.0, 0.01, "Bergmann's rule does not show"),
        (0.0, 0.3, "The data do not tell"),
    ],
)
def test_the_verdict_follows_the_interval(growth, noise, says):
    drawn = swept(lambda d, r: 0.5 * (1 + growth * (abs(d) - 30) / 10), noise=noise)
    assert cline(drawn, planted=False).verdict.startswith(says)


def test_the_null_control_tells_pass_from_fail():
    assert "passed" in cline(swept(lambda d, r: 0.5, "longitude", noise=0.02), planted=True).verdict
    failed = cline(swept(lambda d, r: 0.5 + 0.001 * d, "longitude", noise=0.01), planted=True)
    assert "failed" in failed.verdict and failed.planted == 0


def test_a_change_without_meaning_is_called_so():
    small = cline(swept(lambda d, r: 0.5 * (1 + 0.0004 * (abs(d) - 30)), noise=1e-4), planted=True)
    assert 0 < small.slope.low < small.slope.high < 1
    assert "does not show" in small.verdict and "no meaningful change" in small.verdict
    along = cline(swept(lambda d, r: 0.5 * (1 + 0.0004 * d), "longitude", noise=1e-4), planted=True)
    assert along.slope.low > 0 and along.verdict.startswith("Null control passed")


def test_the_interval_is_over_the_noises_where_there_are_enough():
    def lengths(d, r):  # every noise has a slope of its own, and hardly any scatter round its line
        return 0.5 * (1 + (0.05 + 0.005 * (r - 1)) * (abs(d) - 30) / 10)

    scatter, noises = (cline(swept(lengths, replicates=count, noise=1e-4), planted=True) for count in (2, 3))
    assert scatter.noises == 0 and "scatter round the line" in scatter.verdict
    assert noises.noises == 3 and "95 % interval over 3 noises" in noises.verdict
    half = 4.303 * 0.5 / np.sqrt(3)  # Student's t of 2 degrees of freedom; slopes 4.5, 5, 5.5
    assert noises.slope == pytest.approx((5, 5 - half, 5 + half), abs=0.05)
    stopped = [row for row in swept(lengths, replicates=4) if row.replicate < 3 or row.degrees < -60]
    assert cline(stopped, planted=True).noises == 3  # the fourth has too few places yet


@pytest.mark.parametrize("length", [0.1, 0.3, 0.7])
def test_equal_lengths_are_no_growth(length):
    for along, says in (("latitude", "does not show"), ("longitude", "passed")):
        found = cline(swept(lambda d, r: length, along, replicates=3), planted=True)
        assert says in found.verdict and "less than 0.05 %" in found.verdict


def test_two_places_make_no_slope():
    assert cline([row for row in swept(lambda d, r: 0.5) if abs(row.degrees) == 80], planted=True) is None
    assert cline([], planted=False) is None


def test_pictures_without_a_specimen_make_no_slope():
    assert cline(swept(lambda d, r: 0.0), planted=True) is None


def test_a_comparison_pairs_the_same_noise(pipeline):
    other = WILD_TYPE.mutate(0.5)
    updates = steps(compare(pipeline, latitude=10, longitude=20, other_barcode=other, pairs=5, seed=2))
    assert updates[-1].done == updates[-1].total == 20
    pairs = rows(updates)
    assert [row.seed for row in pairs] == [2, 3, 4, 5, 6]
    for index, barcode in enumerate((WILD_TYPE, other)):
        alone = pipeline(barcode, 10, 20, seed=6, num_inference_steps=2, output_type="pt").images
        torch.testing.assert_close(pairs[4].images[index], alone[0], atol=1e-5, rtol=0)
    with torch.no_grad():
        embedded = pipeline.clibd.embed_images(pairs[0].images[1][None])
        expected = embedded @ pipeline.clibd.embed_barcodes([BARCODE]).T  # the first side's barcode
    assert pairs[0].clibd_scores[1] == pytest.approx(expected.item(), abs=1e-4)


def test_sides_may_differ_in_their_scales(pipeline):
    updates = list(compare(pipeline, guidance_scale=1, other_guidance_scale=3, pairs=1))
    assert updates[-1].total == 4
    assert rows(updates)[0].drift > 0


def test_sides_that_make_no_difference_do_not_differ():
    """Return the without an aligner its scale changes nothing."""
    pipeline = tiny_pipeline(aligner=None, truth=None)
    drawn = rows(compare(pipeline, alignment_scale=0, other_alignment_scale=2, pairs=2))
    assert all(row.drift == 0 for row in drawn)
    assert differences(drawn)["clibd_score"].value == 0


def test_differences_are_second_minus_first():
    pairs = [PairRow(s, (None, None), (0.2, 0.3 + 0.1 * s), (0.5, 0.4), 0.1) for s in range(3)]
    found = differences(pairs)
    assert found["clibd_score"].value == pytest.approx(0.2)
    assert found["clibd_score"].low < 0.2 < found["clibd_score"].high
    assert found["body_length"].value == pytest.approx(-0.1)
