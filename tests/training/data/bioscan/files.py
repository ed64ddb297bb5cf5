"""Small files with exactly the layout, names and types of BIOSCAN-5M."""

import csv
import hashlib
import io
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from training.data import bioscan

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
    """Return six rows of a split, two per species, as the official CSV has them."""
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


def stored_path(row):
    """Return where a row's picture lies inside its package."""
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


def zip_pictures(root, rows, path, method=ZIP_STORED):
    with ZipFile(path, "w", method) as archive:
        for row in rows:
            name = f"bioscan5m/images/cropped_256/{stored_path(row)}"
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
            {
                "bytes": (root / "bioscan5m/images/cropped_256" / stored_path(row)).read_bytes(),
                "path": stored_path(row),
            }
            for row in own
        ]
        pq.write_table(pa.table(columns), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder
