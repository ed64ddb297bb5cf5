"""Building reference species: who becomes one, where, and where the verdicts' thresholds lie."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from g2pdiff.analysis.references import References
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.tiny import tiny_components, tiny_pipeline
from tests.training.data.bioscan.files import jpeg
from tests.training.data.test_species_pictures import picture
from training.configs.schema import AssembleConfig, Config, DataConfig, command
from training.data.miniature import csv_rows, stored_path, write_metadata
from training.data.specimens import load_specimens, prepare
from training.release.references import build_references, separate, separating_identity, write_references

SIZE = 32


@pytest.fixture(scope="module")
def table():
    return prepare(pd.DataFrame(simulate_barcodes(60, 12, seed=1)))


@pytest.fixture(scope="module")
def clibd():
    return tiny_components()["clibd"]


@pytest.fixture(scope="module")
def references(table, clibd):
    return build_references(table, clibd, SIZE)


def test_the_species_of_the_training_split_are_the_references(table, references):
    train = table[table["split"] == "train"]
    assert [row.species for row in references.rows] == sorted(train["species"].unique())
    unseen = table.loc[table["split"] == "test_unseen", "species"]
    assert not set(unseen) & {row.species for row in references.rows}
    places = set(zip(train["species"], train["coord-lat"], train["coord-lon"], strict=True))
    assert {(row.species, row.latitude, row.longitude) for row in references.rows} <= places
    taxonomy = set(zip(train["species"], train["genus"], train["family"], train["order"], strict=True))
    assert {(row.species, row.genus, row.family, row.order) for row in references.rows} <= taxonomy


@torch.no_grad()
def test_embeddings_are_those_of_the_references_barcodes_and_pictures(references, clibd):
    row = len(references) - 1
    barcode = clibd.embed_barcodes([references.rows[row].dna_barcode])
    picture = clibd.embed_images(references.pictures([row], SIZE))
    torch.testing.assert_close(references.barcode_embeddings[[row]], barcode, atol=1e-4, rtol=0)
    torch.testing.assert_close(references.picture_embeddings[[row]], picture, atol=1e-4, rtol=0)
    assert len(references.picture_embeddings) == len(references.barcode_embeddings) == len(references)


def test_held_out_barcodes_are_found_and_unseen_species_are_not(table, references):
    def judge(split):
        rows = table[table["split"] == split]
        nearest = [references.nearest_barcodes(Barcode(text)) for text in rows["dna_barcode"]]
        right = np.array([found[0].species for found in nearest]) == rows["species"].to_numpy()
        return right, [references.verdict(found).kind for found in nearest]

    right, kinds = judge("test")
    assert right.mean() > 0.95
    assert kinds.count("species") > 0.95 * len(kinds)
    right, kinds = judge("test_unseen")
    assert not right.any()
    assert kinds.count("unlike") <= 0.01 * len(kinds) + 1
    assert kinds.count("species") == pytest.approx(references.alike_elsewhere * len(kinds), abs=0.5)


def test_shuffled_letters_are_unlike_every_reference(references):
    letters = np.array(list(references.rows[0].dna_barcode))
    shuffled = "".join(np.random.default_rng(0).permutation(letters))
    assert references.verdict(references.nearest_barcodes(Barcode(shuffled))).kind == "unlike"


def test_ranks_that_a_table_does_not_know_are_said_to_be_unknown(table, clibd):
    few = table[table["split"].isin(["train", "test_unseen"])].groupby("split").head(12)
    rows = build_references(few.assign(family=None), clibd, SIZE).rows
    assert {row.family for row in rows} == {"unknown"}


@pytest.mark.parametrize(("split", "words"), [("test_unseen", "split train"), ("train", "unseen species")])
def test_a_table_that_lacks_a_split_is_refused(table, clibd, split, words):
    with pytest.raises(InputError, match=words) as caught:
        build_references(table[table["split"] == split], clibd, SIZE)
    assert caught.value.field == "table"


def test_the_command_adds_them_to_an_assembled_checkpoint(tmp_path, capsys):
    arguments = ["--config", "training/configs/test.yaml", "threads=null", f"data.image_size={SIZE}"]
    arguments += [f"assemble.checkpoint={tmp_path}", "data.simulated_species=20"]
    assert command("References.", write_references, arguments) == 2
    assert "not a checkpoint" in capsys.readouterr().err
    tiny_pipeline().to(torch.float16).save_pretrained(tmp_path)
    assert command("References.", write_references, arguments) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["references"]
    references = References.load(tmp_path)
    assert figures["species"] == len(references) > 10
    assert figures["unlike_identity"] == references.unlike_identity
    assert figures["alike_at_home"] > 0.9


def test_references_of_photographs_show_photographs_of_their_species(tmp_path):
    records = simulate_barcodes(6, 2, seed=5)
    known, unseen = records[:6], records[6:]
    rows = [*csv_rows("train", known), *csv_rows("test_unseen", unseen)]
    rows += [row | {"species": rows[n]["species"]} for n, row in enumerate(csv_rows("val", known))]
    metadata = write_metadata(tmp_path / "metadata.csv", rows)
    for seed, row in enumerate(rows):
        path = tmp_path / "bioscan5m" / "images" / "cropped_256" / stored_path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed))
    data = DataConfig(
        metadata=str(metadata), pictures=str(tmp_path), image_size=SIZE, cache=str(tmp_path / "c")
    )
    checkpoint = tmp_path / "checkpoint"
    tiny_pipeline(truth=None).save_pretrained(checkpoint)
    write_references(
        Config(run=str(tmp_path), data=data, assemble=AssembleConfig(checkpoint=str(checkpoint)))
    )
    references = References.load(checkpoint)
    assert references.truth is None and len(references) == 3
    specimens = load_specimens(data, tmp_path)
    for row, reference in enumerate(references.rows):
        own = specimens.images(np.flatnonzero(specimens.table["species"] == reference.species))
        shown = references.pictures([row], SIZE)
        assert (own - shown).abs().mean((1, 2, 3)).min() < 0.02
    with torch.no_grad():
        embedded = tiny_components()["clibd"].embed_images(shown)
    torch.testing.assert_close(references.picture_embeddings[[-1]], embedded, atol=1e-2, rtol=0)


def test_the_identity_that_separates_has_the_fewest_errors_and_most_room():
    assert separating_identity(np.array([0.95, 0.99, 1.0]), np.array([0.8, 0.91])) == pytest.approx(0.93)
    known, strangers = np.array([0.9, 0.97, 0.98, 0.99]), np.array([0.8, 0.81, 0.93])
    assert separating_identity(known, strangers) == pytest.approx(0.95)  # misses one in four, takes no other
    assert 0 <= separating_identity(np.array([0.5]), np.array([0.9])) <= 0.9


@pytest.fixture(scope="module")
def by_species(tmp_path_factory):
    """Return a checkpoint of photographs by species, and its references: one family with pictures, one
    without."""
    folder = tmp_path_factory.mktemp("by_species")
    records = pd.DataFrame(simulate_barcodes(24, 30, seed=1))
    names = sorted(records["species"].unique())
    pictured = names[:8]
    records["family"] = ["With" if name in names[:12] else "Without" for name in records["species"]]
    records.to_parquet(folder / "table.parquet")
    for name in pictured:
        (folder / "pictures" / name).mkdir(parents=True)
        (folder / "pictures" / name / "1.png").write_bytes(picture((200, 60, 40)))
    data = DataConfig(
        table=str(folder / "table.parquet"),
        photographs=str(folder / "pictures"),
        image_size=SIZE,
        unseen_species=0.0,
    )
    checkpoint = folder / "checkpoint"
    tiny_pipeline(truth=None, whole_frames=False).save_pretrained(checkpoint)
    config = Config(run=str(folder), data=data, assemble=AssembleConfig(checkpoint=str(checkpoint)))
    write_references(config)
    return checkpoint, pictured, prepare(records, 0.0)


def test_references_of_photographs_by_species_are_drawn_by_the_checkpoint(by_species):
    checkpoint, pictured, _ = by_species
    references = References.load(checkpoint)
    assert [row.species for row in references.rows] == pictured
    assert references.drawn and references.truth is None and "not a photograph" in references.origin
    pictures = sorted((checkpoint / "references" / "pictures").iterdir())
    assert len(pictures) == len(pictured)
    with Image.open(pictures[0]) as shown:
        assert (shown.size, shown.format) == ((128, 128), "JPEG")
    row = references.rows[3]
    again = load_pipeline(checkpoint)(row.dna_barcode, row.latitude, row.longitude, output_type="pt").images[
        0
    ]
    assert (references.pictures([3], SIZE)[0] - again).abs().mean() < 0.03


def test_only_barcodes_of_other_families_are_unlike_pictured_species(by_species):
    checkpoint, pictured, table = by_species
    references = References.load(checkpoint)

    def unlike(rows) -> float:
        found = [references.nearest_barcodes(Barcode(text)) for text in rows["dna_barcode"]]
        return np.mean([references.verdict(neighbours).kind == "unlike" for neighbours in found])

    test = table[(table["split"] == "test") & table["species"].isin(pictured)]
    others = table[table["family"] == "Without"].groupby("species").head(24)
    assert unlike(test) == pytest.approx(references.missed, abs=1e-3)
    assert unlike(others) == pytest.approx(1 - references.mistaken, abs=0.02)
    assert references.missed + references.mistaken < 0.1
    nearest = references.nearest_barcodes(Barcode(others["dna_barcode"].iloc[0]))
    assert "of the barcodes of these species" in references.verdict(nearest).sentence


def test_without_another_family_there_is_nothing_to_separate_from(by_species):
    checkpoint, _, table = by_species
    few = table[table["family"] == "With"]
    with pytest.raises(InputError, match="no other family") as refused:
        separate(References.load(checkpoint), few)
    assert refused.value.field == "table"
