"""The trait table and the body plans, read from the data files beside this module.

``traits.csv`` and ``colours.csv`` list every trait with its kind, unit, default and spread.
``archetypes/*.toml`` have one row per family, and for a few groups of genera; a row gives the differences
from its base. Kinds: ``size`` spreads by a factor, ``offset`` by a sum, ``share`` (0 to 1) on the logit
scale, ``switch`` is present or absent.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor

from g2pdiff.spreadsheets import read_csv

from .colour import hex_to_oklab

SPREADS = ("colour_spread", "pattern_spread", "shape_spread")
_ABOUT_THE_ROW = {"order", "family", "base", "names"}


@dataclass(frozen=True)
class Trait:
    """A scalar trait of the table."""

    name: str
    kind: str
    unit: str
    default: float
    spread: float
    meaning: str


@dataclass(frozen=True)
class Colour:
    """A colour of the table. The colours of a group drift together, each with its own strength."""

    name: str
    default: str
    group: str
    strength: float
    meaning: str


def _rows(name: str) -> list[dict[str, str]]:
    return read_csv((files("g2pdiff.simulation") / name).read_bytes())


TRAITS = tuple(
    Trait(r["name"], r["kind"], r["unit"], float(r["default"]), float(r["spread"]), r["meaning"])
    for r in _rows("traits.csv")
)
COLOURS = tuple(
    Colour(r["name"], r["default"], r["group"], float(r["strength"]), r["meaning"])
    for r in _rows("colours.csv")
)
COLOUR_GROUPS = tuple(dict.fromkeys(c.group for c in COLOURS))
NAMES = tuple(t.name for t in TRAITS) + tuple(f"{c.name}.{part}" for c in COLOURS for part in "Lab")
INDEX = {name: i for i, name in enumerate(NAMES)} | {
    c.name: len(TRAITS) + 3 * i for i, c in enumerate(COLOURS)
}


@dataclass(frozen=True)
class Archetypes:
    """Body plans as a table.

    ``values`` (R, D) are the traits of each row, ``spreads`` (R, 3) its factors on the spreads of colour,
    pattern and shape, ``names`` the R names, and ``genera`` the rows (indices) of genera that do not follow
    their family.
    """

    names: tuple[str, ...]
    values: Tensor
    spreads: Tensor
    genera: dict[str, int]

    def row(self, genus: str, family: str, order: str) -> int:
        """Return the row of a genus: that of its own group, else of its family, else of its order.

        Raises:
            KeyError: there is no body plan for this order.
        """
        if genus in self.genera:
            return self.genera[genus]
        name = family if family in self.names else order
        if name not in self.names:
            raise KeyError(f"no body plan for the order {order}: add a file to simulation/archetypes")
        return self.names.index(name)


@cache
def load_archetypes() -> Archetypes:
    """Read all rows of ``archetypes/*.toml``, most general first."""
    tables = sorted((files("g2pdiff.simulation") / "archetypes").iterdir(), key=lambda path: path.name)
    data = [tomllib.loads(path.read_text(encoding="utf-8")) for path in tables if path.name.endswith(".toml")]
    known = set(SPREADS) | _ABOUT_THE_ROW | {t.name for t in TRAITS} | {c.name for c in COLOURS}
    rows: dict[str, dict] = {}
    genera: dict[str, str] = {}
    for level in ("order", "base", "family", "genera"):
        for table in data:
            for name, own in table.get(level, {}).items():
                if unknown := set(own) - known:
                    raise KeyError(f"archetype {name} names unknown traits: {', '.join(sorted(unknown))}")
                parent = own.get("base") or own.get("family") or own.get("order")
                rows[name] = (rows[parent] if parent else {}) | own
                genera |= {genus: name for genus in own.get("names", ())}
    names = tuple(rows)
    values = torch.stack([_values(row) for row in rows.values()])
    spreads = torch.tensor([[float(row.get(s, 1.0)) for s in SPREADS] for row in rows.values()])
    return Archetypes(names, values, spreads, {genus: names.index(name) for genus, name in genera.items()})


def _values(row: dict) -> Tensor:
    scalars = torch.tensor([float(row.get(t.name, t.default)) for t in TRAITS])
    return torch.cat([scalars, *(hex_to_oklab(row.get(c.name, c.default)) for c in COLOURS)])
