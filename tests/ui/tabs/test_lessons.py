"""What the Learn tab says happens, happens: its links run on the shipped checkpoint of simulated insects."""

import pytest

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.experiments.compare import Compare
from g2pdiff.experiments.latitude import LatitudeSweep
from g2pdiff.experiments.mutations import Mutations
from g2pdiff.ui.tabs.learn import activities

_, WATCH, BREAK, WALK, DOUBT = activities()


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline("checkpoint")


def report(pipeline, experiment, place, **values):
    """Return an experiment's summary, at an example's place where its link names none."""
    asked = experiment(**(place | values))
    rows = [row for update in asked.start(pipeline) for row in update.rows]
    return asked.report(pipeline, rows).summary


def test_one_seed_gives_one_picture_and_another_seed_another(pipeline):
    (visit,) = WATCH.visits
    place = {name: visit.values[name] for name in ("barcode", "latitude", "longitude")}
    first, again, other = (pipeline(**place, seed=seed, output_type="pt") for seed in (1, 1, 2))
    assert (first.images == again.images).all() and first.clibd_scores == again.clibd_scores
    assert (first.images - other.images).abs().mean() > 0.005


def test_synonymous_mutations_change_the_picture_too(pipeline):
    (visit,) = BREAK.visits
    place = {"barcode": visit.values["barcode"], "latitude": 41.2, "longitude": 9.4}
    for kind in ("synonymous", "nonsynonymous"):
        rows = report(pipeline, Mutations, place, kind=kind, rates=[0.15, 0.3], replicates=1)["rows"]
        assert rows[-1]["drift"]["value"] > 0.01


def test_bergmanns_rule_shows_along_latitude_and_the_null_control_passes(pipeline):
    north, round_the_world = WALK.visits
    place = {"barcode": north.values["barcode"], "latitude": 41.2, "longitude": 9.4}
    found = report(pipeline, LatitudeSweep, place)
    assert found["verdict"].startswith("Bergmann's rule shows") and "over 5 noises" in found["verdict"]
    assert found["interval"][0] > 1
    control = report(pipeline, LatitudeSweep, place, along=round_the_world.values["along"])
    assert control["verdict"].startswith("Null control passed")
    assert "no meaningful change" in control["verdict"]
    assert abs(control["slope_percent_per_10_degrees"]) < found["interval"][0]


def test_the_backwards_barcode_is_drawn_and_gets_no_verdict(pipeline):
    backwards, compared = DOUBT.visits
    barcode = Barcode.parse(backwards.values["barcode"])
    assert barcode.is_foreign
    scores = pipeline(barcode, 41.2, 9.4, seed=[0, 1], num_images_per_barcode=1).clibd_scores
    assert len(scores) == 2 and scores[0] != scores[1]
    place = {"barcode": compared.values["barcode"], "latitude": 41.2, "longitude": 9.4}
    scales = {"alignment_scale": 0, "other_alignment_scale": pipeline.config.default_alignment_scale}
    found = report(pipeline, Compare, place, **scales, pairs=4)["differences"]["clibd_score"]
    assert abs(found["value"]) < 0.05
