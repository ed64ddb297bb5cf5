"""Files that come with the package: checkpoints and the table of example species.

A clone has them in `assets/`, where they are committed. A wheel has them in `g2pdiff/assets/`.
"""

from importlib.resources import files
from pathlib import Path

from g2pdiff.spreadsheets import read_csv

_IN_WHEEL = Path(str(files("g2pdiff"))) / "assets"
_IN_CLONE = Path(__file__).resolve().parents[1] / "assets"

ASSETS = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CLONE
EXAMPLES = ASSETS / "examples.csv"
"""Example species for checkpoints without a table of their own."""

PHOTOGRAPHED, SIMULATED = "butterflies", "checkpoint"
"""Folders of the built-in checkpoints: one learned from photographs, one from simulated specimens."""


def list_checkpoints(assets: Path = ASSETS) -> tuple[Path, ...]:
    """Return the folders of the built-in checkpoints. The one that learned from photographs comes first, the
    others follow by name.

    If there is none, the folder of the simulated one is listed: loading it then says what is wrong.
    """
    found = [index.parent for index in assets.glob("*/model_index.json")]
    found.sort(key=lambda folder: (folder.name != PHOTOGRAPHED, folder.name))
    return tuple(found) or (assets / SIMULATED,)


def short_name(source: str | Path) -> str:
    """Return a checkpoint's name in links and calls: the folder's name if it is built in, else the source."""
    path = Path(source)
    return path.name if path in list_checkpoints() else str(source)


def example_barcode(name: str = "Papilio machaon") -> str:
    """Return the barcode of an example species, as FASTA text.

    >>> example_barcode().splitlines()[0]
    '>Papilio machaon'

    Raises:
        KeyError: there is no example of this name.
    """
    barcodes = {row["name"]: row["dna_barcode"] for row in read_csv(EXAMPLES.read_bytes())}
    return f">{name}\n{barcodes[name]}\n"
