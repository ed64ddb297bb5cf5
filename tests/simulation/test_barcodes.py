"""Simulated barcodes: real-looking COI, an evolutionary tree, the BIOSCAN schema."""

import itertools

import numpy as np
from Bio.Seq import Seq

from g2pdiff.dna.framing import frame
from g2pdiff.simulation.barcodes import simulate_barcodes

COLUMNS = ["processid", "class", "order", "family", "subfamily", "genus", "species", "dna_bin"]
COLUMNS += ["dna_barcode", "country", "coord-lat", "coord-lon"]


def differences(a, b):
    return sum(x != y for x, y in zip(a["dna_barcode"], b["dna_barcode"], strict=True))


def test_records_follow_the_schema(records):
    assert all(list(record) == COLUMNS for record in records)
    assert len({record["processid"] for record in records}) == len(records) == 160
    assert len({record["species"] for record in records}) == 80
    assert all(record["species"].startswith(record["genus"]) for record in records)
    assert all(abs(record["coord-lat"]) <= 90 and abs(record["coord-lon"]) <= 180 for record in records)


def test_same_seed_same_records(records):
    assert simulate_barcodes(8, 2, seed=5) == records[:16]
    assert simulate_barcodes(8, 2, seed=6) != records[:16]


def test_barcodes_translate_without_stops(records):
    for record in records:
        barcode = record["dna_barcode"]
        assert len(barcode) == 658
        assert "*" not in Seq(barcode[1:]).translate(table=5)


def test_barcodes_lie_on_the_folmer_region(sequences):
    framed, offsets, scores = frame(sequences)
    assert framed == sequences
    assert not offsets.any()
    assert scores.min() > 0.4


def test_distance_follows_the_tree(records):
    within, congeners, families = [], [], []
    for a, b in itertools.combinations(records[:40], 2):
        if a["species"] == b["species"]:
            within.append(differences(a, b))
        elif a["genus"] == b["genus"]:
            congeners.append(differences(a, b))
        elif a["family"] != b["family"]:
            families.append(differences(a, b))
    assert max(within) < min(congeners)
    assert np.mean(congeners) < np.mean(families) / 2


def test_substitutions_are_mostly_synonymous(records):
    a, b = (record["dna_barcode"] for record in (records[0], records[2]))
    changed = sum(x != y for x, y in zip(a, b, strict=True))
    proteins = (str(Seq(barcode[1:]).translate(table=5)) for barcode in (a, b))
    replaced = sum(x != y for x, y in zip(*proteins, strict=True))
    assert replaced < changed / 2


def test_families_come_round_again_with_new_genera():
    records = simulate_barcodes(87 * 8 + 4, 1)
    assert len({record["species"] for record in records}) == len(records)
