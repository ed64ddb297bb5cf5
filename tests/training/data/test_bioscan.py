"""BIOSCAN-5M from small files with exactly the official layout, names and types."""

import csv
import gzip
import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from training.configs.schema import DataConfig, load
from training.data import bioscan
from training.data.pictures import Archive, members, square
from training.data.specimens import draw_rows, load_specimens, load_table, species_batches

HEADER = [
    *(
        "processid",
        "sampleid",
        "taxon",
        "phylum",
        "class",
        "order",
        "family",
        "subfamily",
        "genus",
        "species",
    ),
    *("dna_bin", "dna_barcode", "country", "province_state", "coord-lat", "coord-lon"),
    *("image_measurement_value", "area_fraction", "scale_factor", "inferred_ranks", "split"),
    *("index_bioscan_1M_insect", "chunk"),
]
CHUNK_LETTERS = {"pretrain": 2, "train": 1, "other_heldout": 1}
PER_SPLIT = 6
SIZE = 32


def rows_of(split, records):
    """Return six rows of a split, two of a species, as the official CSV has them."""
    for number, record in enumerate(records):
        processid = f"{split.upper()}{number}-22"
        named = split != "pretrain"
        yield dict.fromkeys(HEADER, "") | {
            "processid": processid,
            "sampleid": f"BIOUG{number}",
            "taxon": record["family"],
            "phylum": "Arthropoda",
            "class": "Insecta",
            "order": record["order"],
            "family": record["family"],
            "genus": record["genus"] if named else "",
            "species": f"{record['species']} {split}" if named else "",
            "dna_bin": f"BOLD:{split[:2]}{number // 2}",
            "dna_barcode": record["dna_barcode"].rstrip("N"),
            "country": "Costa Rica",
            "coord-lat": f"{record['coord-lat']:.3f}",
            "coord-lon": f"{record['coord-lon']:.3f}",
            "image_measurement_value": "4000",
            "area_fraction": "0.125",
            "scale_factor": "1.5",
            "inferred_ranks": "0",
            "split": split,
            "chunk": hashlib.md5(processid.encode()).hexdigest()[: CHUNK_LETTERS.get(split, 0)],
        }


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    return path


def place(row):
    return "/".join(filter(None, (row["split"], row["chunk"], row["processid"] + ".jpg")))


def jpeg(seed):
    """Return a dark animal on paper, short side 256."""
    rng = np.random.default_rng(seed)
    pixels = np.full((256, int(rng.integers(256, 400)), 3), rng.integers(180, 250, 3), np.uint8)
    pixels[60:200, 80:220] = rng.integers(0, 120, 3)
    picture = Image.fromarray(pixels if seed % 2 else pixels.transpose(1, 0, 2))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()


@pytest.fixture(scope="module")
def rows():
    records = simulate_barcodes(len(bioscan.SPLITS) * PER_SPLIT // 2, 2, seed=5)
    parts = [records[i * PER_SPLIT : (i + 1) * PER_SPLIT] for i in range(len(bioscan.SPLITS))]
    return [row for split, part in zip(bioscan.SPLITS, parts, strict=True) for row in rows_of(split, part)]


@pytest.fixture(scope="module")
def root(rows, tmp_path_factory):
    """Return the data set unpacked, as `bioscan_dataset` and the zips leave it."""
    root = tmp_path_factory.mktemp("bioscan")
    write_csv(root / "bioscan5m" / "metadata" / "csv" / "BIOSCAN_5M_Insect_Dataset_metadata.csv", rows)
    for seed, row in enumerate(rows):
        path = root / "bioscan5m" / "images" / "cropped_256" / place(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed))
    return root


@pytest.fixture
def config(root, tmp_path):
    return DataConfig(
        metadata=str(root / "bioscan5m" / "metadata" / "csv" / "BIOSCAN_5M_Insect_Dataset_metadata.csv"),
        pictures=str(root),
        image_size=SIZE,
        cache=str(tmp_path / "cache"),
    )


def zip_pictures(root, rows, path, method=ZIP_STORED):
    with ZipFile(path, "w", method) as archive:
        for row in rows:
            name = f"bioscan5m/images/cropped_256/{place(row)}"
            archive.write(root / name, name)


def parquet_copy(root, rows, folder):
    """Return the data set as parquet with embedded pictures, a file a split, as the Hub names them."""
    (folder / "data").mkdir(parents=True)
    numbers = {"coord-lat", "coord-lon", "image_measurement_value", "area_fraction", "scale_factor"}
    for split in bioscan.SPLITS:
        own = [row for row in rows if row["split"] == split]
        columns = {
            name: [float(row[name]) if name in numbers else row[name] for row in own] for name in HEADER
        }
        columns["image"] = [
            {"bytes": (root / "bioscan5m/images/cropped_256" / place(row)).read_bytes(), "path": place(row)}
            for row in own
        ]
        pq.write_table(pa.table(columns), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


# metadata and splits


def test_every_official_split_is_drawn_under_its_own_name(config, rows):
    for split in bioscan.SPLITS:
        drawn = bioscan.candidates(config, split, per_group=2)
        own = [row for row in rows if row["split"] == split]
        assert drawn["processid"].tolist() == [row["processid"] for row in own]
        assert drawn["place"].tolist() == [place(row) for row in own]
        assert (drawn["dna_barcode"].str.len() == 658).all()
        assert drawn["coord-lat"].tolist() == [float(row["coord-lat"]) for row in own]
    assert bioscan.candidates(config, "train", per_group=1).groupby("species").size().tolist() == [1, 1, 1]


def test_the_table_for_evaluation_leaves_out_what_has_no_species_of_science(config):
    table = load_table(config)
    assert set(table["split"]) == set(bioscan.LABELLED)
    assert table["dna_barcode"].str.len().eq(658).all() and table["species"].notna().all()


def test_rows_without_a_species_are_grouped_by_bin_and_then_by_barcode(config, rows, tmp_path):
    pretrain = [dict(row) for row in rows if row["split"] == "pretrain"]
    pretrain[0]["dna_bin"] = pretrain[1]["dna_bin"] = ""
    pretrain[1]["dna_barcode"] = pretrain[0]["dna_barcode"]
    labelled = [row for row in rows if row["split"] == "train"]
    config = replace(
        config, metadata=str(write_csv(tmp_path / "m.csv", pretrain + labelled)), unlabelled=True
    )
    specimens = load_specimens(config, tmp_path)
    table = specimens.table
    assert len(table) == 2 * PER_SPLIT and set(table["split"]) == {"train"}
    groups = species_batches(table)
    assert sorted(map(len, groups)) == [2] * PER_SPLIT
    by_id = table.set_index("processid")
    assert (
        by_id.loc[pretrain[0]["processid"], "species"] == by_id.loc[pretrain[1]["processid"], "dna_barcode"]
    )
    assert by_id.loc[pretrain[2]["processid"], "species"] == pretrain[2]["dna_bin"]
    batch = draw_rows(groups, PER_SPLIT, torch.Generator().manual_seed(0))
    assert specimens.images(batch).shape == (PER_SPLIT, 3, SIZE, SIZE)
    without = load_specimens(replace(config, unlabelled=False), tmp_path)
    assert set(without.table["processid"]) == {row["processid"] for row in labelled}


def test_rows_that_cannot_be_placed_or_are_no_coi_are_left_out(config, rows, tmp_path):
    some = [dict(row) for row in rows if row["split"] == "test"]
    some[0]["coord-lat"] = ""
    some[1]["dna_barcode"] = ""
    some[2]["dna_barcode"] = "ACGT" * 160
    config = replace(config, metadata=str(write_csv(tmp_path / "m.csv", some)))
    assert bioscan.candidates(config, "test", 9)["processid"].tolist() == [r["processid"] for r in some[3:]]


def test_chunks_that_look_like_numbers_keep_their_names(config, rows, tmp_path):
    row = dict(rows[0])
    for chunk in ("07", "1e", "00", "7e1"):
        path = write_csv(tmp_path / f"{chunk}.csv", [row | {"chunk": chunk}])
        drawn = bioscan.candidates(replace(config, metadata=str(path)), "pretrain", 1)
        assert drawn["place"].tolist() == [f"pretrain/{chunk}/{row['processid']}.jpg"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), per_group=st.integers(1, 4))
def test_drawing_takes_so_many_of_every_group_and_the_same_again(tmp_path_factory, seed, per_group):
    path = tmp_path_factory.getbasetemp() / "groups.arrow"
    if not path.exists():
        sizes = [1, 2, 3, 5, 8]
        group = np.repeat(np.arange(len(sizes)), sizes)
        table = pa.table(
            {
                "split_code": pa.array([1] * len(group), pa.int8()),
                "group_code": group,
                "row": np.arange(len(group)),
            }
        )
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    drawn = bioscan.choose_rows(path, ["train"], per_group, seed)
    edges = np.searchsorted([0, 1, 3, 6, 11], drawn["row"], side="right")
    assert np.bincount(edges)[1:].tolist() == [min(size, per_group) for size in (1, 2, 3, 5, 8)]
    assert drawn.equals(bioscan.choose_rows(path, ["train"], per_group, seed))
    assert len(bioscan.choose_rows(path, ["test"], per_group, seed)) == 0


MILLION = """
    import resource, sys
    from pathlib import Path
    from training.data import bioscan
    from training.configs.schema import DataConfig

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

    before = peak()
    config = DataConfig(metadata=sys.argv[1], cache=sys.argv[2], unlabelled=True)
    rows = bioscan.candidates(config, "train", per_group=1)
    arrow = bioscan.metadata_file(config)
    print(len(rows), rows["species"].nunique(), arrow.stat().st_size / 2**20, peak() - before)
"""


def test_a_million_rows_stay_out_of_memory(tmp_path):
    barcodes = [record["dna_barcode"][:200] for record in simulate_barcodes(200, 2, seed=0)]
    path, cache = tmp_path / "million.csv", tmp_path / "cache"
    with path.open("w") as file:
        file.write(",".join(HEADER) + "\n")
        for number in range(1_000_000):
            group = number % 20_000
            split, species = ("pretrain", "") if group % 10 else ("train", f"Genus species{group}")
            file.write(
                f"P{number}-20,S{number},Diptera,Arthropoda,Insecta,Diptera,Sciaridae,,,{species},BOLD:{group},"
                f"{barcodes[group % 400]},Peru,,{10 + group % 7},-84,1000,0.1,1.5,0,{split},,{group % 10}\n"
            )
    run = subprocess.run(
        [sys.executable, "-c", dedent(MILLION), str(path), str(cache)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    for large in (path, *cache.iterdir()):
        large.unlink()
    assert run.returncode == 0, run.stderr
    drawn, groups, table, grown = map(float, run.stdout.split())
    assert drawn == groups == 20_000
    assert table > 750  # MiB that holding the table would take at the least
    assert grown < 450


def test_measured_columns_of_the_pictures_are_not_asked_for(config, rows, tmp_path):
    measured = ("image_measurement_value", "area_fraction", "scale_factor")
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        names = [name for name in HEADER if name not in measured]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    drawn = bioscan.candidates(replace(config, metadata=str(path)), "train", per_group=2)
    assert drawn["processid"].tolist() == [row["processid"] for row in rows if row["split"] == "train"]


# pictures


def test_pictures_come_whole_from_their_chunked_folders(config, root, rows, tmp_path):
    specimens = load_specimens(config, tmp_path)
    assert len(specimens) == PER_SPLIT == len(specimens.pictures)
    images = specimens.images(np.arange(len(specimens)))
    for image, where in zip(images, specimens.table["place"], strict=True):
        assert where.count("/") == 2  # split, chunk, file
        with Image.open(root / "bioscan5m" / "images" / "cropped_256" / where) as picture:
            assert torch.equal(image, torch.from_numpy(square(picture, SIZE).copy()).float() / 255)
    assert specimens.images([0, 0]).shape == (2, 3, SIZE, SIZE)


def test_photographs_are_neither_mutated_nor_moved(config, rows, tmp_path):
    table = load_specimens(replace(config, mutated_share=1.0, roaming_share=1.0), tmp_path).table
    assert (table["mutation_rate"] == 0).all()
    found = {row["processid"]: float(row["coord-lat"]) for row in rows}
    assert table["coord-lat"].tolist() == [found[name] for name in table["processid"]]


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_zips_as_downloaded_give_the_same_pictures(config, root, rows, tmp_path, method):
    evaluated = [row for row in rows if row["split"] not in ("pretrain", "train")]
    for name, some in {"pretrain.01": rows[:3], "pretrain.02": rows[3:6], "train": rows[6:12]}.items():
        zip_pictures(root, some, tmp_path / f"BIOSCAN_5M_cropped_256_{name}.zip", method)
    zip_pictures(root, evaluated, tmp_path / "BIOSCAN_5M_cropped_256_eval.zip", method)
    zip_pictures(root, [], tmp_path / "BIOSCAN_5M_original_256_eval.zip")
    config = replace(config, unlabelled=True)
    zipped = replace(config, pictures=str(tmp_path))
    for split in ("train", "val", "test_unseen"):
        a, b = (
            load_specimens(config, tmp_path / "run", split),
            load_specimens(zipped, tmp_path / "run", split),
        )
        every = np.arange(len(a))
        assert len(a) and torch.equal(a.images(every), b.images(every))


def test_zipped_pictures_are_the_same_in_workers(config, root, rows, tmp_path):
    zip_pictures(root, rows, tmp_path / "BIOSCAN_5M_cropped_256.zip")
    specimens = load_specimens(replace(config, pictures=str(tmp_path)), tmp_path)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(specimens)

        def __getitem__(self, row):
            return specimens.images([row])[0]

    loaded = torch.cat(list(DataLoader(Pictures(), batch_size=2, num_workers=2)))
    assert torch.equal(loaded, specimens.images(np.arange(len(specimens))))


@settings(max_examples=25, deadline=None)
@given(
    contents=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.binary(max_size=200)
    ),
    deflated=st.booleans(),
    # zipfile itself takes a comment that holds the end record's signature for that record.
    comment=st.binary(max_size=50).filter(lambda comment: b"PK\5\6" not in comment),
)
def test_the_zip_directory_is_read_as_zipfile_reads_it(tmp_path_factory, contents, deflated, comment):
    path = tmp_path_factory.getbasetemp() / "any.zip"
    with ZipFile(path, "w", ZIP_DEFLATED if deflated else ZIP_STORED) as archive:
        archive.comment = comment
        for name, content in contents.items():
            archive.writestr(name, content)
    with ZipFile(path) as archive:
        expected = [
            (i.orig_filename, i.header_offset, i.compress_size, i.compress_type) for i in archive.infolist()
        ]
    assert list(members(path)) == expected


def test_zips_of_more_files_and_bytes_than_the_old_format_counts(tmp_path):
    many = tmp_path / "BIOSCAN_5M_cropped_256_train.zip"
    with ZipFile(many, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"images/cropped_256/val/P{number}.jpg", str(number))
    found = Archive(many, "cropped_256", tmp_path)
    assert len(found.index) == 66_000
    assert found.read("val/P65999.jpg") == b"65999" and found.read("val/P66000.jpg") is None
    many.unlink()
    far = tmp_path / "far.zip"
    with far.open("wb") as file:
        file.seek(5 << 30)  # a hole: nothing lies on the disk
        with ZipFile(file, "w") as archive:
            archive.writestr("bioscan5m/images/cropped_256/train/a/P1.jpg", b"far away")
    assert Archive(far, "cropped_256", tmp_path).read("train/a/P1.jpg") == b"far away"
    far.unlink()


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([8, 16, 33]))
def test_squares_keep_the_whole_animal_in_its_proportions(width, height, size):
    longest = max(width, height)
    pixels = np.full((height, width, 3), 240, np.uint8)
    made = square(Image.fromarray(pixels), size)
    assert made.shape == (3, size, size) and (made == 240).all()  # border colour, no seam
    pixels[:] = 0
    made = square(Image.fromarray(np.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=240)), size)
    assert (240 - made.astype(float)).mean() / 240 == pytest.approx(
        width * height / (longest + 2) ** 2, abs=3 / size
    )


def test_squares_of_squares_change_nothing_and_follow_a_turn():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert np.array_equal(square(Image.fromarray(pixels), 24), pixels.transpose(2, 0, 1))
    wide = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    upright = square(Image.fromarray(wide.transpose(1, 0, 2)), 16)
    assert np.array_equal(square(Image.fromarray(wide), 16), upright.transpose(0, 2, 1))


def test_either_side_of_a_square_has_the_colour_of_its_own_edge():
    pixels = np.full((10, 40, 3), 100, np.uint8)
    pixels[0], pixels[-1] = 200, 50
    pixels[0, 3] = 0  # a leg that touches the edge draws no band
    made = square(Image.fromarray(pixels), 40)
    assert (made[:, :15] == 200).all() and (made[:, 25:] == 50).all()


# the Hub's form


def test_parquet_is_streamed_and_gives_what_the_files_give(config, root, rows, tmp_path):
    hub = DataConfig(hub=str(parquet_copy(root, rows, tmp_path / "hub")), image_size=SIZE, cache=config.cache)
    for split in ("train", "test_unseen"):
        a = load_specimens(config, tmp_path / "files", split)
        b = load_specimens(hub, tmp_path / "streamed", split)
        assert a.table.equals(b.table)
        every = np.arange(len(a))
        assert len(a) and torch.equal(a.images(every), b.images(every))
    kept = next((tmp_path / "streamed" / "data").glob("train-*.zip"))
    with ZipFile(kept) as archive:
        assert {name.split("/")[3] for name in archive.namelist()} == {"train"}  # no more than was drawn


def test_what_cannot_be_streamed_is_said_in_one_sentence(root, rows, tmp_path, monkeypatch):
    def load(source, **settings):
        config = DataConfig(hub=str(source), cache=str(tmp_path / "cache"), **settings)
        return load_specimens(config, Path(config.cache))

    with pytest.raises(
        InputError, match="^no-such/data-set-of-insects cannot be streamed .* a network and the id"
    ):
        load("no-such/data-set-of-insects")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="pip install -r"):
        patch.setitem(sys.modules, "datasets", None)
        load("bioscan-ml/BIOSCAN-5M")
    pq.write_table(pa.table({"processid": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(InputError, match="lacks the column chunk"):
        load(tmp_path)
    copy = parquet_copy(root, rows, tmp_path / "hub")
    path = copy / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    empty = pa.array([None] * len(table), table.schema.field("image").type)
    pq.write_table(table.set_column(table.schema.get_field_index("image"), "image", empty), path)
    with pytest.raises(InputError, match="has no picture of TRAIN0-22"):
        load(copy)
    moved = table.set_column(table.schema.get_field_index("coord-lat"), "coord-lat", table["country"])
    pq.write_table(moved, path)
    with pytest.raises(InputError, match="no row of the split train"):
        load(f"{copy}/")


# what is missing or broken


def test_metadata_that_cannot_be_used_is_refused_in_one_sentence(config, rows, tmp_path):
    def candidates(path, split="train"):
        return bioscan.candidates(replace(config, metadata=str(path)), split, 1)

    with pytest.raises(InputError, match="no metadata file .*unpack"):
        candidates(tmp_path / "none.csv")
    (tmp_path / "short.csv").write_text("processid,species\na,b\n")
    with pytest.raises(InputError, match="short.csv lacks the column chunk"):
        candidates(tmp_path / "short.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff" * 99)
    with pytest.raises(InputError, match="cannot be read as BIOSCAN-5M's CSV"):
        candidates(tmp_path / "binary.csv")
    ragged = write_csv(tmp_path / "ragged.csv", rows)
    ragged.write_text(ragged.read_text() + "one,two\n")
    with pytest.raises(InputError, match="cannot be read as BIOSCAN-5M's CSV"):
        candidates(ragged)
    with pytest.raises(InputError, match="no row with a COI barcode"):
        candidates(write_csv(tmp_path / "empty.csv", []))
    with pytest.raises(InputError, match="a split dev, which is none"):
        candidates(write_csv(tmp_path / "strange.csv", [rows[0] | {"split": "dev"}]))
    with pytest.raises(InputError, match="no row of the split val"):
        candidates(write_csv(tmp_path / "one.csv", rows[:6]), "val")
    assert not list(Path(config.cache).glob("*.partial"))


def test_pictures_that_are_missing_or_broken_are_named(config, root, rows, tmp_path):
    train = [row for row in rows if row["split"] == "train"]

    def images(**settings):
        specimens = load_specimens(replace(config, **settings), tmp_path)
        return specimens.images(np.arange(len(specimens)))

    with pytest.raises(InputError, match="data.pictures=FOLDER"):
        images(pictures=None)
    with pytest.raises(InputError, match="no original_256 pictures in .*BIOSCAN_5M_original_256"):
        images(package="original_256")
    with pytest.raises(InputError, match="choose one of cropped_256, original_256"):
        images(package="cropped256")
    path = tmp_path / "BIOSCAN_5M_cropped_256_train.zip"
    zip_pictures(root, train[1:], path)
    with pytest.raises(InputError, match=f"no cropped_256 picture {place(train[0])} in .*_train.zip"):
        images(pictures=str(tmp_path))
    zip_pictures(root, train, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="_train.zip is no whole zip file"):
        images(pictures=str(tmp_path))
    path.write_bytes(whole.replace(b"\xff\xd8\xff", b"\0\0\0"))
    with pytest.raises(InputError, match="train/.*.jpg cannot be decoded"):
        images(pictures=str(tmp_path))
    zip_pictures(root, train, path, ZIP_DEFLATED)
    whole = bytearray(path.read_bytes())
    whole[100:5000] = bytes(4900)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="train/.*.jpg .*is broken"):
        images(pictures=str(tmp_path))


def test_a_picture_that_ends_too_early_is_named(config, root, rows, tmp_path):
    for row in rows:
        path = tmp_path / "images" / "cropped_256" / place(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (root / "bioscan5m" / "images" / "cropped_256" / place(row)).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    specimens = load_specimens(replace(config, pictures=str(tmp_path)), tmp_path)
    with pytest.raises(InputError, match="train/.*.jpg cannot be decoded"):
        specimens.images([0])


def test_a_second_source_is_refused_and_not_ignored():
    with pytest.raises(InputError, match="give data.table or data.metadata alone"):
        load("training/configs/test.yaml", ["data.table=a.csv", "data.metadata=b.csv"])


def test_the_credit_names_holder_year_licence_and_changes():
    for part in ("CBG Photography Group", "CBG Robotic Imager", "2021", "CC BY 3.0", "Changes"):
        assert part in bioscan.ATTRIBUTION


@pytest.mark.parametrize(
    ("latitude", "reason"),
    [
        ("NA", "without coordinates"),
        ("nan", "without coordinates"),
        ("999", "with impossible or unreadable coordinates"),
        ("inf", "with impossible or unreadable coordinates"),
        ("somewhere", "with impossible or unreadable coordinates"),
    ],
)
def test_a_coordinate_that_is_none_leaves_its_row_out_and_is_said(
    config, rows, tmp_path, capsys, latitude, reason
):
    some = [dict(row) for row in rows if row["split"] == "test"]
    some[0]["coord-lat"] = latitude
    config = replace(config, metadata=str(write_csv(tmp_path / "m.csv", some)))
    assert len(bioscan.candidates(config, "test", 9)) == PER_SPLIT - 1
    assert f"5 of 6 rows used; left out: 1 {reason}." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["zip", "gz", "semicolons"])
def test_a_packed_csv_is_read_like_a_plain_one(config, tmp_path, kind):
    plain = bioscan.candidates(config, "test", 9)
    content = Path(config.metadata).read_bytes()
    path = tmp_path / f"m.csv.{kind}"
    if kind == "zip":
        with ZipFile(path, "w") as archive:
            archive.writestr("m.csv", content)
    else:
        path.write_bytes(gzip.compress(content) if kind == "gz" else content.replace(b",", b";"))
    packed = bioscan.candidates(replace(config, metadata=str(path)), "test", 9)
    assert packed.equals(plain)


@pytest.mark.parametrize("column", ["binary", "large_binary", "struct"])
def test_pictures_on_the_hub_may_be_bytes_alone(config, root, rows, tmp_path, column):
    copy = parquet_copy(root, rows, tmp_path / "hub")
    for path in copy.rglob("*.parquet"):
        table = pq.read_table(path)
        images = [image["bytes"] for image in table["image"].to_pylist()]
        kind = {"binary": pa.binary(), "large_binary": pa.large_binary()}.get(column)
        if kind:
            table = table.set_column(table.schema.get_field_index("image"), "image", pa.array(images, kind))
        pq.write_table(table, path)
    streamed = replace(config, metadata=None, pictures=None, hub=str(copy))
    a, b = load_specimens(config, tmp_path / "a"), load_specimens(streamed, tmp_path / "b")
    assert np.array_equal(a.images(np.arange(len(a))), b.images(np.arange(len(b))))
