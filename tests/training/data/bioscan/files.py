"""Small files with exactly the layout, names and types of BIOSCAN-5M."""

import io
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from training.data import bioscan
from training.data.miniature import HEADER, stored_path

PER_SPLIT = 6


SIZE = 32


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
