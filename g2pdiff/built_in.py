"""What the package brings along: checkpoints and the table of example species.

A clone has them in `assets/`, where they are committed. A wheel has them in `g2pdiff/assets/`.
"""

from importlib.resources import files
from pathlib import Path

_IN_WHEEL = Path(str(files("g2pdiff"))) / "assets"
_IN_CLONE = Path(__file__).resolve().parents[1] / "assets"

ASSETS = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CLONE
EXAMPLES = ASSETS / "examples.csv"
DEFAULT_CHECKPOINT = ASSETS / "checkpoint"


def list_checkpoints(assets: Path = ASSETS) -> tuple[Path, ...]:
    """Return the folders of the built-in checkpoints, the default one first.

    The default is listed even where its folder is missing, so that loading it says what is wrong.
    """
    found = sorted(index.parent for index in assets.glob("*/model_index.json"))
    return tuple(dict.fromkeys([assets / DEFAULT_CHECKPOINT.name, *found]))
