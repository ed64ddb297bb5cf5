"""Photographs given by species, joined to barcodes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from g2pdiff.errors import InputError
from tests.tiny import BARCODE
from training.configs.schema import DataConfig
from training.data.species_pictures import read_photographs
from training.data.specimens import load_specimens, load_table

COLOURS = {"Aglais io": (200, 60, 40), "Pieris rapae": (240, 240, 200), "Vanessa atalanta": (30, 20, 20)}


def picture(colour) -> bytes:
    image = Image.new("RGB", (48, 32), (236, 236, 236))
    image.paste(colour, (14, 8, 34, 24))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def variant(number: int) -> str:
    letters = list(BARCODE)
    for site in (3 * number, 3 * number + 1):
        letters[site] = "G" if letters[site] != "G" else "T"
    return "".join(letters)


@pytest.fixture
def sources(tmp_path):
    """Return a barcode table of two pictured species and one without, and a folder of pictures."""
    names = ["Aglais io", "Pieris rapae", "Bombus terrestris"]
    rows = [
        {
            "processid": f"X{n}",
            "species": names[n % 3],
            "dna_barcode": variant(n),
            "family": "F",
            "order": "O",
        }
        | {
            "family": "F",
            "order": "O",
            "genus": names[n % 3].split()[0],
            "coord-lat": 50.0,
            "coord-lon": 10.0,
        }
        for n in range(90)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "table.parquet")
    for name, colour in COLOURS.items():
        folder = tmp_path / "pictures" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(picture(colour))
    return tmp_path


def config(sources, **changes) -> DataConfig:
    given = {"table": str(sources / "table.parquet"), "photographs": str(sources / "pictures")}
    return DataConfig(**(given | {"image_size": 32, "unseen_species": 0.0} | changes))


def test_a_picture_shows_the_barcodes_species_a_little_different_each_time(sources, tmp_path):
    specimens = load_specimens(config(sources), tmp_path / "run")
    images = specimens.images(np.arange(len(specimens)))
    assert images.shape[1:] == (3, 32, 32)
    for species in ("Aglais io", "Pieris rapae"):
        of_species = images[(specimens.table["species"] == species).to_numpy()]
        middle = of_species[:, :, 14:18, 14:18].mean((0, 2, 3)) * 255
        np.testing.assert_allclose(middle, COLOURS[species], atol=20)
        assert len({image.numpy().tobytes() for image in of_species}) == len(of_species)
    again = load_specimens(config(sources), tmp_path / "run")
    assert again.images(np.arange(len(again))).equal(images)


def test_a_held_out_picture_is_the_photograph_itself(sources, tmp_path):
    specimens = load_specimens(config(sources), tmp_path / "run", "test")
    assert len(specimens)
    for row, species in enumerate(specimens.table["species"]):
        image = specimens.images([row])[0] * 255
        assert image[:, 16, 16].tolist() == list(COLOURS[species])
        assert image[:, 2, 2].tolist() == [236.0] * 3


def test_species_without_a_counterpart_are_counted_and_said(sources, capsys):
    table = load_table(config(sources))
    assert set(table["species"]) == {"Aglais io", "Pieris rapae"}
    assert "2 species have photographs and barcodes; 1 with photographs have no barcode, 1 with barcodes" in (
        capsys.readouterr().err
    )


def test_parquet_and_listed_folders_say_the_same(sources):
    table = read_photographs(sources / "pictures")
    table.to_parquet(sources / "pictures.parquet")
    as_on_the_hub = [{"bytes": one} for one in table["picture"]]
    table.assign(picture=as_on_the_hub).to_parquet(sources / "hub.parquet")
    files = [f"{name.replace(' ', '_')}/1.png" for name in table["species"]]
    pd.DataFrame({"file_name": files, "species": table["species"]}).to_csv(
        sources / "pictures" / "metadata.csv", index=False
    )
    for source in ("pictures", "pictures.parquet", "hub.parquet"):
        pd.testing.assert_frame_equal(read_photographs(sources / source), table)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder.mkdir(), "There are no pictures in"),
        (lambda folder: folder.write_bytes(b"?"), "neither a folder of pictures nor a parquet file"),
        (lambda folder: pd.DataFrame({"name": ["a"]}).to_parquet(folder), "lacks the column species"),
        (
            lambda folder: pd.DataFrame({"species": ["Aglais io"], "picture": [b"no"]}).to_parquet(folder),
            "Picture 0 of",
        ),
        (
            lambda folder: pd.DataFrame({"species": ["Apis"], "picture": [picture("red")]}).to_parquet(
                folder
            ),
            "None of the 1 species",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(sources, make, said):
    source = sources / "source"
    make(source)
    with pytest.raises(InputError, match=said) as refused:
        load_table(config(sources, photographs=str(source)))
    assert refused.value.field == "photographs"


def test_photographs_by_species_need_a_table():
    with pytest.raises(InputError, match="need the barcodes"):
        DataConfig(photographs="pictures")
