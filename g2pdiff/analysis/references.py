"""Reference species of a checkpoint: one barcode, locality and picture of each, for comparison.

A checkpoint may hold a folder `references/`:

- `references.csv.gz`: one row per species, with the columns of `Reference`;
- `embeddings.safetensors`: CLIBD embeddings (N, E) of the reference barcodes and pictures, fp16;
- `references.json`: the origin of the pictures, and the measured identities that a verdict uses;
- `pictures/{row}.jpg`, optional: the reference pictures of a checkpoint that learned from photographs. They
  are photographs, or, if no photograph may be shipped, the checkpoint's own drawings of the reference
  barcodes. A checkpoint that learned from simulated specimens has no files; its pictures are simulated on
  demand.

Barcodes are compared by identity: the share of equal bases among the sites known in both. 1 minus the
identity is the p-distance. Multiple substitutions are not corrected: the verdict needs the nearest reference,
not a tree.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.framing import BASES, encode
from g2pdiff.errors import InputError
from g2pdiff.simulation import Simulator
from g2pdiff.spreadsheets import read_csv, write_csv

if TYPE_CHECKING:
    from g2pdiff.pipeline import G2PDiffusionPipeline

FOLDER = "references"
TABLE, EMBEDDINGS, SETTINGS, PICTURES = (
    "references.csv.gz",
    "embeddings.safetensors",
    "references.json",
    "pictures",
)

SPECIES_IDENTITY = 0.98
"""Identity from which a barcode counts as one of the reference's species. COI barcodes of one insect species
usually differ at less than 2 to 3 % of their sites, and those of different species at more: the "barcode gap"
of Hebert et al. (2003). BOLD's species-like clusters start from 2.2 %. With the 1,368 reference species of
the real table, 96 % of the held-out barcodes of these species reach this identity, and 12 % of the barcodes
of 174 other species."""

DRAWN_ALL_THE_SAME = "The picture shows no such animal."

FEW_SITES = 0.5
"""A reference ranks last if it shares less than this part of the most sites that any reference shares with
the barcode: a match on a few sites is easily chance."""


@dataclass(frozen=True)
class Reference:
    """One reference species."""

    species: str
    genus: str
    family: str
    order: str
    dna_barcode: str  # framed, 658 letters of A, C, G, T, N
    latitude: float  # of one record, in degrees
    longitude: float


@dataclass(frozen=True)
class Neighbour(Reference):
    """A reference species and how near it is."""

    row: int  # row of the reference, from 0
    similarity: float  # identity of barcodes, 0 to 1, or cosine of CLIBD embeddings
    compared: int | None = None  # sites known in both barcodes; None for CLIBD embeddings

    @property
    def distance(self) -> float:
        """1 - similarity: for barcodes the p-distance."""
        return 1 - self.similarity


@dataclass(frozen=True)
class Verdict:
    """The verdict of the nearest references on a barcode."""

    kind: Literal["species", "relative", "unlike"]
    sentence: str


def identities(query: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the identities of a barcode with N references, and the number of compared sites.

    Args:
        query: base codes (L,) of `g2pdiff.dna.framing.encode`.
        references: base codes (N, L).

    Returns:
        Shares of equal bases among the sites known in both (N,), 0 if there is no such site, and the numbers
        of those sites (N,).
    """
    known = (query < len(BASES)) & (references < len(BASES))
    equal = np.count_nonzero(known & (query == references), axis=1)
    compared = np.count_nonzero(known, axis=1)
    return np.divide(equal, compared, out=np.zeros(len(references)), where=compared > 0), compared


@dataclass(eq=False)
class References:
    """The reference species of a checkpoint.

    Attributes:
        rows: N species.
        barcode_embeddings: CLIBD embeddings (N, E) of their barcodes.
        picture_embeddings: CLIBD embeddings (N, E) of their pictures.
        unlike_identity: below this identity with the nearest reference, a barcode is unlike all of them. If
            `missed` is None, 99 % of the real barcodes of species outside the references reach it. Else it
            separates barcodes of the reference species from those of other families.
        alike_elsewhere: share of the barcodes of species outside the references that still reach
            `SPECIES_IDENTITY`.
        truth: `"simulated"` if `g2pdiff.simulation` draws the pictures.
        drawn: whether the pictures are the checkpoint's own drawings of the reference barcodes.
        missed: share of held-out barcodes of the reference species below `unlike_identity`.
        mistaken: share of the barcodes of other families that reach `unlike_identity`.
        folder: folder that the references were read from.
    """

    rows: list[Reference]
    barcode_embeddings: torch.Tensor
    picture_embeddings: torch.Tensor
    unlike_identity: float
    alike_elsewhere: float
    truth: str | None = None
    drawn: bool = False
    missed: float | None = None
    mistaken: float | None = None
    folder: Path | None = None

    @classmethod
    def load(cls, checkpoint: str | Path) -> References | None:
        """Return the references of a checkpoint's folder; None if it has none.

        Raises:
            InputError: field `checkpoint`, if they are incomplete or damaged.
        """
        folder = Path(checkpoint) / FOLDER
        if not folder.is_dir():
            return None
        try:
            rows = _read_rows(folder / TABLE)
            tensors = {name: tensor.float() for name, tensor in load_file(folder / EMBEDDINGS).items()}
            references = cls(rows, **tensors, **json.loads((folder / SETTINGS).read_text()), folder=folder)
            if {len(tensor) for tensor in tensors.values()} != {len(rows)}:
                raise ValueError("the table and the embeddings are not of one length")
        except (OSError, EOFError, zlib.error, ValueError, TypeError, SafetensorError) as error:
            raise InputError(
                "checkpoint",
                f"The reference species in {folder} are damaged or incomplete; copy or build them again.",
            ) from error
        return references

    def save(self, checkpoint: str | Path) -> Path:
        """Write them into a checkpoint's folder; return the folder `references/`. The files are
        reproducible."""
        folder = Path(checkpoint) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        table = write_csv(map(asdict, self.rows), [field.name for field in fields(Reference)])
        (folder / TABLE).write_bytes(gzip.compress(table, mtime=0))
        save_file(
            {
                "barcode_embeddings": self.barcode_embeddings.half().contiguous(),
                "picture_embeddings": self.picture_embeddings.half().contiguous(),
            },
            folder / EMBEDDINGS,
        )
        settings = {
            "unlike_identity": self.unlike_identity,
            "alike_elsewhere": self.alike_elsewhere,
            "truth": self.truth,
            "drawn": self.drawn,
            "missed": self.missed,
            "mistaken": self.mistaken,
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
        return folder

    def __len__(self) -> int:
        return len(self.rows)

    def nearest_barcodes(self, barcode: Barcode, k: int = 5) -> list[Neighbour]:
        """Return the k references of the highest identity with a barcode, nearest first.

        Among equal ones, those that share more sites with it come first.
        """
        identity, compared = identities(encode([barcode.sequence])[0], self._codes)
        few = compared < FEW_SITES * compared.max()
        order = np.lexsort((-compared, -identity, few))[:k]
        return [self._neighbour(row, float(identity[row]), int(compared[row])) for row in order]

    def nearest_pictures(self, embedding: torch.Tensor, k: int = 5) -> list[Neighbour]:
        """Return the k references whose pictures are nearest to a picture in CLIBD's space, nearest first.

        Args:
            embedding: CLIBD embedding of the picture (E,).
            k: how many.
        """
        return self._nearest(self.picture_embeddings, embedding, k)

    def matching_barcodes(self, embedding: torch.Tensor, k: int = 5) -> list[Neighbour]:
        """Return the k references whose barcodes have the highest CLIBDScore with a picture, highest first.

        This is CLIBD's retrieval of a species from a picture.

        Args:
            embedding: CLIBD embedding of the picture (E,).
            k: how many.
        """
        return self._nearest(self.barcode_embeddings, embedding, k)

    def verdict(self, neighbours: Sequence[Neighbour]) -> Verdict:
        """Return the verdict on a barcode from two or more neighbours of `nearest_barcodes`.

        If a second reference is as close as barcodes of one species are, the sentence names both: the nearest
        is then less often the right one.
        """
        nearest = neighbours[0]
        name = f"{nearest.species} ({nearest.family})"
        common = f"{percent(nearest.similarity)} of the {nearest.compared} compared sites in common"
        if nearest.similarity < self.unlike_identity:
            return Verdict(
                "unlike",
                f"Unlike all {len(self):,} reference species: even the nearest, {name}, has only {common}, "
                f"and {self._usual} come closer than that.",
            )
        if nearest.similarity < SPECIES_IDENTITY:
            return Verdict(
                "relative",
                f"Probably none of the {len(self):,} reference species: the nearest, a close or distant "
                f"relative, is {name}, with {common}; barcodes of one species have "
                f"{SPECIES_IDENTITY:.0%} and more.",
            )
        if len(neighbours) > 1 and neighbours[1].similarity >= SPECIES_IDENTITY:
            return Verdict(
                "species",
                "Probably one of the reference species, but the barcode leaves open which: "
                f"{name} has {common}, and {neighbours[1].species} is as close as one species allows too.",
            )
        return Verdict(
            "species",
            f"Probably {name}, with {common}, as barcodes of one species have; "
            f"{self.alike_elsewhere:.0%} of the barcodes of other species come as close to a reference.",
        )

    def summary(self, barcode: Barcode) -> dict:
        """Return a barcode's nearest reference and its verdict as plain data."""
        neighbours = self.nearest_barcodes(barcode, 2)
        nearest, found = neighbours[0], self.verdict(neighbours)
        return {
            "species": nearest.species,
            "family": nearest.family,
            "identity": round(nearest.similarity, 4),
            "compared_sites": nearest.compared,
            "kind": found.kind,
            "sentence": found.sentence,
        }

    def pictures(self, rows: Sequence[int], size: int) -> torch.Tensor | None:
        """Return reference pictures (K, 3, size, size) in [0, 1]; None if the checkpoint has none.

        Simulated specimens are drawn at the reference's latitude, straight and evenly lit.

        Args:
            rows: K rows of the references.
            size: height and width, in pixels.
        """
        if self.truth == "simulated":
            some = [self.rows[row] for row in rows]
            return Simulator.default().specimens(
                [reference.dna_barcode for reference in some],
                [reference.latitude for reference in some],
                size,
            )
        paths = [self.folder / PICTURES / f"{row}.jpg" for row in rows] if self.folder else []
        if not paths or not all(path.is_file() for path in paths):
            return None
        return torch.stack([_read_picture(path, size) for path in paths])

    @property
    def origin(self) -> str:
        """The origin of the reference pictures in words."""
        if self.truth == "simulated":
            return "simulated specimen"
        return (
            "drawn by the model from the species' consensus barcode, not a photograph"
            if self.drawn
            else ("photograph of the species")
        )

    @property
    def _usual(self) -> str:
        """The barcodes that come closer to a reference than a barcode that is unlike all of them, in
        words."""
        if self.missed is None:
            return "99 of 100 barcodes of other insect species"
        return f"{1 - self.missed:.1%} of the barcodes of these species"

    @cached_property
    def _codes(self) -> np.ndarray:
        return encode([reference.dna_barcode for reference in self.rows])  # (N, 658)

    def _neighbour(self, row: int, similarity: float, compared: int | None = None) -> Neighbour:
        return Neighbour(
            **vars(self.rows[row]), row=int(row), similarity=float(similarity), compared=compared
        )

    def _nearest(self, embeddings: torch.Tensor, embedding: torch.Tensor, k: int) -> list[Neighbour]:
        cosines = F.cosine_similarity(embeddings, embedding.detach().cpu().float()[None])
        best = cosines.topk(min(k, len(self)))
        return [
            self._neighbour(row, cosine)
            for row, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


def _read_rows(path: Path) -> list[Reference]:
    rows = []
    for line in read_csv(gzip.decompress(path.read_bytes())):
        latitude, longitude = float(line.pop("latitude")), float(line.pop("longitude"))
        rows.append(Reference(**line, latitude=latitude, longitude=longitude))
    return rows


def _read_picture(path: Path, size: int) -> torch.Tensor:
    """Return a picture file as (3, size, size) in [0, 1]."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


def percent(share: float) -> str:
    """Return a share in per cent with one decimal, rounded down, so that 100 % means all."""
    return f"{math.floor(1000 * share) / 10:.1f}%"


@cache
def references_of(folder: str) -> References | None:
    """Return the references of a checkpoint's folder; None if it has none. They are read once and kept."""
    return References.load(folder)


def nearest_species(pipe: G2PDiffusionPipeline, barcode: Barcode) -> dict | None:
    """Return `References.summary` of a barcode for a loaded checkpoint; None if it has no references."""
    bank = references_of(str(pipe.name_or_path))
    return None if bank is None else bank.summary(barcode)


def warnings_of(pipe: G2PDiffusionPipeline, nearest: dict | None) -> list[str]:
    """Return warnings about a picture, given the `nearest_species` of its barcode.

    For a checkpoint that learned from simulated specimens there are none: it draws every barcode by rule.
    """
    if nearest is None or nearest["kind"] != "unlike" or pipe.config.truth is not None:
        return []
    return [f"{nearest['sentence']} {DRAWN_ALL_THE_SAME}"]
