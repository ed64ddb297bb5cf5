"""Reference species: who is near, what the verdict says, what is kept in a checkpoint."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.analysis.references import Reference, References, identities
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.framing import encode
from g2pdiff.errors import InputError
from g2pdiff.simulation import Simulator
from tests.tiny import BARCODE, tiny_pipeline

WHOLE = Barcode.parse(BARCODE)
RATES = {"Vanessa prima": 0.3, "Vanessa secunda": 0.0, "Vanessa tertia": 0.1, "Papilio, quarta": 0.05}


def references(barcodes=None, **changes):
    """Return four species at known distances of the barcode, or those given by name."""
    barcodes = barcodes or {name: WHOLE.mutate(rate, seed=1).sequence for name, rate in RATES.items()}
    rows = [
        Reference(name, name.split()[0], "Nymphalidae", "Lepidoptera", sequence, 10.0 * i - 15.5, 20.25)
        for i, (name, sequence) in enumerate(barcodes.items())
    ]
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(2, len(rows), 8, generator=generator), dim=-1)
    settings = dict(unlike_identity=0.8, alike_elsewhere=0.12, truth="simulated")
    return References(rows, *embeddings, **(settings | changes))


def names(neighbours):
    return [neighbour.species for neighbour in neighbours]


LETTERS = st.text("ACGTN", min_size=12, max_size=12)


@given(LETTERS, st.lists(LETTERS, min_size=1, max_size=4))
def test_identity_counts_the_sites_known_in_both(query, others):
    shares, compared = identities(encode([query])[0], encode(others))
    for other, share, sites in zip(others, shares, compared, strict=True):
        pairs = [(a, b) for a, b in zip(query, other, strict=True) if "N" not in (a, b)]
        assert sites == len(pairs)
        assert share * sites == pytest.approx(sum(a == b for a, b in pairs))
    back, sites = identities(encode(others)[0], encode([query]))
    assert (back[0], sites[0]) == (shares[0], compared[0])


def test_nearest_barcodes_come_first_with_their_p_distance():
    bank = references()
    found = bank.nearest_barcodes(WHOLE, k=3)
    assert names(found) == ["Vanessa secunda", "Papilio, quarta", "Vanessa tertia"]
    assert [neighbour.row for neighbour in found] == [1, 3, 2]
    assert found[0].similarity == 1 and found[0].distance == 0
    for neighbour in found:
        other = Barcode(bank.rows[neighbour.row].dna_barcode)
        assert neighbour.distance == pytest.approx(len(WHOLE.differences(other)) / 658)
        assert neighbour.compared == 658
        assert neighbour.latitude == bank.rows[neighbour.row].latitude
    assert len(bank.nearest_barcodes(WHOLE, k=9)) == 4


def test_a_match_on_few_sites_ranks_last_and_of_equals_the_better_covered_is_first():
    relative = WHOLE.mutate(0.1).sequence
    bank = references(
        {
            "Short match": "N" * 400 + BARCODE[400:],
            "Shorter": "N" * 200 + BARCODE[200:],
            "Whole": BARCODE,
            "Far": relative,
        }
    )
    found = bank.nearest_barcodes(WHOLE, k=4)
    assert names(found) == ["Whole", "Shorter", "Far", "Short match"]
    assert [neighbour.compared for neighbour in found] == [658, 458, 658, 258]
    fragment = Barcode("N" * 400 + BARCODE[400:])
    assert {neighbour.compared for neighbour in bank.nearest_barcodes(fragment, 4)} == {258}


def test_embeddings_are_ranked_by_their_cosine():
    bank = references()
    for search, embeddings in (
        (bank.nearest_pictures, bank.picture_embeddings),
        (bank.matching_barcodes, bank.barcode_embeddings),
    ):
        found = search(3 * embeddings[2], k=9)
        assert found[0].row == 2 and found[0].compared is None
        cosines = (embeddings @ embeddings[2]).sort(descending=True).values.tolist()
        assert [neighbour.similarity for neighbour in found] == pytest.approx(cosines, abs=1e-5)


@pytest.mark.parametrize(
    ("rate", "kind", "words"),
    [
        (0.005, "species", ("Probably Vanessa secunda (Nymphalidae)", "99.5%", "12% of the barcodes")),
        (0.1, "relative", ("none of the 2 reference species", "Vanessa secunda", "89.9%", "98% and more")),
        (0.4, "unlike", ("Unlike all 2 reference species", "only 60.0% of the 658 compared sites")),
    ],
)
def test_the_verdict_is_one_sentence_of_three_kinds(rate, kind, words):
    bank = references({"Vanessa prima": WHOLE.mutate(0.3, seed=1).sequence, "Vanessa secunda": BARCODE})
    verdict = bank.verdict(bank.nearest_barcodes(WHOLE.mutate(rate, seed=2)))
    assert verdict.kind == kind
    for word in words:
        assert word in verdict.sentence
    assert verdict.sentence.endswith(".") and ". " not in verdict.sentence


def test_the_verdict_names_both_of_two_species_that_a_barcode_cannot_tell_apart():
    bank = references({"Musca una": BARCODE, "Musca altera": WHOLE.mutate(0.01).sequence})
    verdict = bank.verdict(bank.nearest_barcodes(WHOLE))
    assert verdict.kind == "species"
    assert "Musca una" in verdict.sentence and "Musca altera" in verdict.sentence


def test_identity_is_rounded_down_so_that_all_means_all():
    bank = references({"Musca una": BARCODE})
    one_off = Barcode(("G" if BARCODE[0] == "A" else "A") + BARCODE[1:])
    assert "99.8%" in bank.verdict(bank.nearest_barcodes(one_off)).sentence
    assert "100.0%" in bank.verdict(bank.nearest_barcodes(WHOLE)).sentence


def test_they_are_kept_beside_the_weights_of_a_checkpoint(tmp_path):
    tiny_pipeline().save_pretrained(tmp_path)
    assert References.load(tmp_path) is None
    saved = references()
    folder = saved.save(tmp_path)
    loaded = References.load(tmp_path)
    assert loaded.rows == saved.rows
    assert loaded.folder == folder
    assert (loaded.unlike_identity, loaded.alike_elsewhere, loaded.truth) == (0.8, 0.12, "simulated")
    assert loaded.picture_embeddings.dtype == torch.float32
    torch.testing.assert_close(loaded.picture_embeddings, saved.picture_embeddings, atol=1e-3, rtol=0)
    torch.testing.assert_close(loaded.barcode_embeddings, saved.barcode_embeddings, atol=1e-3, rtol=0)
    assert load_pipeline(tmp_path).config.truth == "simulated"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    loaded.save(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


@pytest.mark.parametrize("name", ["references.csv.gz", "embeddings.safetensors", "references.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_references_are_refused_in_one_sentence(tmp_path, name, damage):
    path = references().save(tmp_path) / name
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged or incomplete") as caught:
        References.load(tmp_path)
    assert caught.value.field == "checkpoint"


def test_a_table_and_embeddings_of_different_checkpoints_are_refused(tmp_path):
    folder = references().save(tmp_path / "four")
    other = references({"Musca una": BARCODE}).save(tmp_path / "one")
    (other / "references.csv.gz").write_bytes((folder / "references.csv.gz").read_bytes())
    with pytest.raises(InputError, match="damaged or incomplete"):
        References.load(tmp_path / "one")


def test_simulated_pictures_are_drawn_at_the_latitude_of_the_reference():
    bank = references()
    drawn = bank.pictures([3, 1], 32)
    assert drawn.shape == (2, 3, 32, 32)
    reference = bank.rows[3]
    expected = Simulator.default().specimens([reference.dna_barcode], [reference.latitude], 32)
    torch.testing.assert_close(drawn[:1], expected, atol=1e-4, rtol=0)


def test_photographs_are_read_from_the_checkpoint(tmp_path):
    folder = references(truth=None).save(tmp_path)
    bank = References.load(tmp_path)
    assert bank.pictures([0], 16) is None
    (folder / "pictures").mkdir()
    Image.fromarray(np.full((40, 60, 3), (255, 128, 0), np.uint8)).save(folder / "pictures" / "2.jpg")
    picture = bank.pictures([2], 16)
    assert picture.shape == (1, 3, 16, 16)
    assert picture.mean((0, 2, 3)).tolist() == pytest.approx([1, 0.5, 0], abs=0.03)
    assert bank.pictures([2, 0], 16) is None
