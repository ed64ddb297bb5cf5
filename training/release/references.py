"""Build the reference species of a checkpoint, see `g2pdiff.analysis.references`.

    python -m training.release.references --config training/configs/embedded.yaml --table barcodes.parquet

There is one row per species of the training split: the consensus of its barcodes, the locality of a real
record near the middle of its range, and CLIBD embeddings of the consensus and of its picture. The picture is
a simulated specimen, or a photograph if the run learned from photographs of the barcoded animals. If it
learned from photographs by species, which may not be shipped, the checkpoint itself draws the picture.

Real barcodes then set the identity below which a barcode is unlike all references. A checkpoint for all
insects calls one in a hundred barcodes of species outside the references unlike. A checkpoint that learned
from photographs by species is only for those species. Its identity is the one that best separates validation
barcodes of the references from barcodes of families without a reference, see `separating_identity`. Both
error rates are recorded; that of the references is measured on test barcodes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from PIL import Image
from tqdm.auto import tqdm

from g2pdiff.analysis.references import FOLDER, PICTURES, SPECIES_IDENTITY, Reference, References
from g2pdiff.checkpoint import check_checkpoint, load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.models.clibd import Judge
from g2pdiff.outputs import to_pil
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.spreadsheets import write_csv
from training.configs.schema import Config, command
from training.data.species_pictures import pictured_rows
from training.data.specimens import draw_specimens, load_records, load_table, picture_specimens
from training.examples import central_locality, consensus
from training.stages.parts import load_clibd, on_device

UNLIKE_SHARE = 0.01
"""Share of the barcodes of species outside the references that count as unlike all references."""

SHOWN = "photographs.csv"

PER_SPECIES = 24
"""Most held-out barcodes per species in the comparison, so that common species do not dominate."""

DRAWN_SIZE, DRAWN_QUALITY, DRAWN_SEED = 128, 85, 0
"""Size in pixels, JPEG quality and seed of the pictures that a checkpoint draws of its references."""
DRAWN_AT_ONCE = 8


def reference_species(table: pd.DataFrame) -> list[Reference]:
    """Return one reference per species of a prepared table's training split, sorted by name.

    Raises:
        InputError: field `table`, if there is none.
    """
    train = table[table["split"] == "train"]
    if train.empty:
        raise InputError("table", "The barcode table has no row of the split train to make references of.")
    return [_reference(str(name), records) for name, records in train.groupby("species")]


def _reference(species: str, records: pd.DataFrame) -> Reference:
    latitude, longitude = central_locality(records)
    taxonomy = {}
    for rank in ("genus", "family", "order"):
        known = records[rank].dropna()
        taxonomy[rank] = "unknown" if known.empty else str(known.iloc[0])
    return Reference(
        species=species,
        **taxonomy,
        dna_barcode=consensus(records["dna_barcode"].tolist()),
        latitude=latitude,
        longitude=longitude,
    )


@torch.no_grad()
def embed_references(
    references: References, clibd: Judge, image_size: int, batch: int = 64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute CLIBD embeddings (N, E) of the reference barcodes and of their pictures at `image_size`."""
    barcodes, pictures = [], []
    for start in tqdm(range(0, len(references), batch), desc="embed references"):
        rows = range(start, min(start + batch, len(references)))
        barcodes.append(clibd.embed_barcodes([references.rows[row].dna_barcode for row in rows]).cpu())
        images = references.pictures(rows, image_size)
        assert images is not None  # references for CLIBD have pictures
        pictures.append(clibd.embed_images(images.to(next(clibd.parameters()).device)).cpu())
    return torch.cat(barcodes), torch.cat(pictures)


def nearest_identities(references: References, table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Return the identities of a table's barcodes with the nearest reference, at most `PER_SPECIES` per
    species."""
    rows = table.sample(frac=1, random_state=seed).groupby("species").head(PER_SPECIES)
    return np.array(
        [references.nearest_barcodes(Barcode(barcode), 1)[0].similarity for barcode in rows["dna_barcode"]]
    )


def save_photographs(table: pd.DataFrame, config: Config) -> Path:
    """Write one training photograph per reference species into the checkpoint; return the folder
    `references/`. If photographs show single specimens, a table names these, for the credit."""
    rows = draw_specimens(table, "train", config.data, per_species=1).sort_values(
        "species", ignore_index=True
    )
    specimens = picture_specimens(rows, config.data, Path(config.run) / "data" / "references")
    folder = Path(config.assemble.checkpoint) / FOLDER
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for row in tqdm(range(len(rows)), desc="save references"):
        to_pil(specimens.images([row]))[0].save(folder / PICTURES / f"{row}.jpg", quality=90)
    if config.data.by_specimen:
        shown = rows[["species", "processid", "place"]]
        shown.insert(0, "file", [f"{PICTURES}/{row}.jpg" for row in range(len(rows))])
        (folder / SHOWN).write_bytes(write_csv(shown.to_dict("records")))
    return folder


def draw_pictures(references: References, pipeline: G2PDiffusionPipeline, folder: Path) -> None:
    """Write a checkpoint's drawings of all references, from the same noise, to `folder/pictures/`."""
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for start in tqdm(range(0, len(references), DRAWN_AT_ONCE), desc="draw references"):
        some = references.rows[start : start + DRAWN_AT_ONCE]
        drawn = pipeline(
            [Barcode(reference.dna_barcode) for reference in some],
            [reference.latitude for reference in some],
            [reference.longitude for reference in some],
            seed=DRAWN_SEED,
        )
        for row, picture in enumerate(drawn.images, start):
            small = picture.resize((DRAWN_SIZE, DRAWN_SIZE), Image.Resampling.LANCZOS)
            small.save(folder / PICTURES / f"{row}.jpg", quality=DRAWN_QUALITY, optimize=True)


def separating_identity(known: np.ndarray, strangers: np.ndarray) -> float:
    """Return the identity that best separates barcodes of the references from strangers' barcodes.

    It has the smallest sum of two error rates: known barcodes below it, and strangers at or above it. All
    identities within a gap between two measured ones have the same rates. Of the best gaps, the middle of the
    widest is returned.

    Args:
        known: identities (N,) of barcodes of the reference species with the nearest reference.
        strangers: identities (M,) of barcodes of other species with the nearest reference.
    """
    values = np.unique(np.concatenate([[0.0], known, strangers]))
    lower, upper = values[:-1], values[1:]
    missed = np.searchsorted(np.sort(known), upper) / len(known)
    mistaken = 1 - np.searchsorted(np.sort(strangers), upper) / len(strangers)
    errors = missed + mistaken
    best = np.flatnonzero(errors <= errors.min() + 1e-9)
    widest = best[(upper - lower)[best].argmax()]
    return float((lower[widest] + upper[widest]) / 2)


def separate(references: References, records: pd.DataFrame) -> References:
    """Set the identities of references for a checkpoint that learned from photographs by species.

    Args:
        references: references without measured identities.
        records: a prepared table of all species, with and without photographs.

    Raises:
        InputError: field `table`, if there are no validation barcodes, or no other families.
    """
    names, families = ({getattr(row, rank) for row in references.rows} for rank in ("species", "family"))
    of_references = records["species"].isin(names)
    val, test = (records[of_references & (records["split"] == split)] for split in ("val", "test"))
    strangers = records[~of_references & ~records["family"].isin(families)]
    for rows, what in ((val, "no validation barcode of a reference species"), (strangers, "no other family")):
        if rows.empty:
            raise InputError("table", f"The barcode table has {what} to measure identities on.")
    others = nearest_identities(references, strangers)
    threshold = round(separating_identity(nearest_identities(references, val), others), 4)
    home = nearest_identities(references, test if len(test) else val)
    elsewhere = nearest_identities(references, records[~of_references])
    return replace(
        references,
        unlike_identity=threshold,
        alike_elsewhere=round(float((elsewhere >= SPECIES_IDENTITY).mean()), 4),
        missed=round(float((home < threshold).mean()), 4),
        mistaken=round(float((others >= threshold).mean()), 4),
    )


def build_drawn_references(records: pd.DataFrame, config: Config) -> References:
    """Return the references of an assembled checkpoint that learned from photographs by species. It draws
    their pictures itself.

    Args:
        records: a prepared table of all species, with and without photographs.
        config: of the run.

    Raises:
        InputError: see `reference_species`, `separate` and `load_pipeline`.
    """
    checkpoint = Path(config.assemble.checkpoint)
    empty = torch.empty(0)
    rows = reference_species(pictured_rows(records, config.data))
    references = References(rows, empty, empty, 0.0, 0.0, drawn=True, folder=checkpoint / FOLDER)
    references = separate(references, records)
    pipeline = load_pipeline(checkpoint).to(PartialState().device)
    draw_pictures(references, pipeline, checkpoint / FOLDER)
    barcodes, pictures = embed_references(references, pipeline.clibd, config.data.image_size)
    return replace(references, barcode_embeddings=barcodes, picture_embeddings=pictures)


def build_references(
    table: pd.DataFrame, clibd: Judge, image_size: int, photographs: Path | None = None
) -> References:
    """Return reference species with pictures, and the identities for their verdicts.

    Args:
        table: a prepared table, see `training.data.specimens.prepare`. Unseen species are those of splits
            whose name ends in `unseen`.
        clibd: CLIBD model of the checkpoint.
        image_size: height and width of the checkpoint's pictures.
        photographs: folder of `save_photographs`. Without it, pictures are simulated.

    Raises:
        InputError: field `table`, if it lacks training rows or unseen species.
    """
    unseen = table[table["split"].str.endswith("unseen")]
    if unseen.empty:
        raise InputError("table", "The barcode table has no unseen species to measure identities on.")
    empty = torch.empty(0)
    truth = None if photographs else "simulated"
    references = References(reference_species(table), empty, empty, 0.0, 0.0, truth, folder=photographs)
    barcodes, pictures = embed_references(references, clibd, image_size)
    nearest = nearest_identities(references, unseen)
    return replace(
        references,
        barcode_embeddings=barcodes,
        picture_embeddings=pictures,
        unlike_identity=round(float(np.quantile(nearest, UNLIKE_SHARE)), 4),
        alike_elsewhere=round(float((nearest >= SPECIES_IDENTITY).mean()), 4),
    )


def write_references(config: Config) -> References:
    """Build the references of a run's assembled checkpoint, save them in it, and print a summary as one JSON
    line."""
    checkpoint = Path(config.assemble.checkpoint)
    check_checkpoint(checkpoint)
    if config.data.by_species:
        table = load_records(config.data)
        references = build_drawn_references(table, config)
    else:
        table = load_table(config.data)
        clibd = load_clibd(checkpoint / "clibd", torch_dtype=torch.float32).eval()
        clibd = on_device(clibd, PartialState().device)
        photographs = save_photographs(table, config) if config.data.photographed else None
        references = build_references(table, clibd, config.data.image_size, photographs)
    folder = references.save(checkpoint)
    seen = table[(table["split"] == "val") & table["species"].isin([row.species for row in references.rows])]
    identities = nearest_identities(references, seen) if len(seen) else None
    figures = {
        "species": len(references),
        "unlike_identity": references.unlike_identity,
        "alike_elsewhere": references.alike_elsewhere,
        "alike_at_home": None
        if identities is None
        else round(float((identities >= SPECIES_IDENTITY).mean()), 4),
        "missed": references.missed,
        "mistaken": references.mistaken,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }
    print(json.dumps({"references": figures}))
    return references


if __name__ == "__main__":
    sys.exit(command(__doc__, write_references))
