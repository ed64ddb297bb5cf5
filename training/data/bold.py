"""A folder of true pairs of barcode and photograph from BOLD, written by `training.bold`.

`specimens.csv` has one row per picture, in BIOSCAN-5M's columns. The pictures of a record share its barcode.
BOLD has no splits; `training.data.splits` assigns them when the rows are read. The distance to the camera
varies, and many pictures are cropped, so they do not show body size.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from g2pdiff.errors import InputError
from training.data.pictures import Photographs, PictureFiles

PICTURES, SPECIMENS, ATTRIBUTION = "pictures", "specimens.csv", "ATTRIBUTION.csv"


def read_specimens(folder: str) -> pd.DataFrame:
    """Read the rows of a folder, one per picture. The column `place` is the picture's path in `pictures/`.

    Raises:
        InputError: field `bold`, if the folder has no `specimens.csv` or no picture.
    """
    path = Path(folder) / SPECIMENS
    if not path.is_file():
        raise InputError(
            "bold", f"There is no {path}: python -m training.bold --export FILE --out {folder} makes it."
        )
    try:
        return pd.read_csv(path, keep_default_na=False, na_values={"coord-lat": "", "coord-lon": ""})
    except pd.errors.EmptyDataError as error:
        raise InputError("bold", f"{folder} has no picture yet: run training.bold again.") from error


def photographs(folder: str, rows: pd.DataFrame, size: int) -> Photographs:
    """Return the photographs of some rows of `read_specimens`."""
    files = PictureFiles([Path(folder) / PICTURES], [], "BOLD")
    return Photographs(rows["place"].tolist(), files, size)


def credit(folder: str) -> str:
    """Return the credit for a folder's pictures. Models that learned from them carry it with
    `ATTRIBUTION.csv`."""
    rows = pd.read_csv(Path(folder) / ATTRIBUTION, keep_default_na=False)
    licences = ", ".join(f"{name} {count:,}" for name, count in rows["licence"].value_counts().items())
    return (
        "Photographs, barcodes and localities: BOLD, the Barcode of Life Data System "
        "(https://boldsystems.org, doi:10.1111/j.1471-8286.2007.01678.x). "
        f"The {len(rows):,} photographs belong to their holders ({licences}): `{ATTRIBUTION}` beside this "
        "card names the holder, licence and address of each and goes wherever these weights go. Changes: "
        "pictures padded to a square and resized, barcodes cut to the Folmer region."
    )
