"""Pictures of a world's specimens by a system: resumable, and shared out over processes.

A file a barcode, `FOLDER/00017.npz`, holds what the comparison needs of all its samples: both judges'
embeddings, and the first few pictures. Sample n of every barcode has the noise of seed n, drawn in batches of
a fixed size within the barcode, so that the files are the same whoever draws them: a single process, one of
several, or a run that goes on where another stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from tqdm.auto import tqdm

from g2pdiff.models.clibd import Judge
from training.data.storage import write_whole
from training.evaluation.systems import System
from training.evaluation.worlds import World
from training.phenotype import PhenotypeEncoder

BATCH = 10  # samples drawn together
KEPT = 4  # samples of a barcode whose pictures are kept, for traits, figures and the memorisation test


@dataclass
class Samples:
    """What a system drew of N specimens, n samples each."""

    embeddings: torch.Tensor  # (N, n, E), unit vectors of the judge's picture tower
    pictures: torch.Tensor  # (N, min(n, KEPT), 3, H, W) in [0, 1]
    seconds: float  # spent drawing and judging, over all processes and resumed parts
    phenotype: torch.Tensor | None = None  # (N, n, E), unit vectors of the second judge


def _claim(folder: Path, order: dict) -> None:
    """Make `folder` hold samples of this order alone; samples of another order are thrown away."""
    marker = folder / "order.json"
    text = json.dumps(order, sort_keys=True)
    if marker.exists() and marker.read_text() == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_whole(marker, text)


def _digest(system: System, world: World, judge: Judge, phenotype: PhenotypeEncoder | None) -> str:
    """Return a digest of the specimens and of a picture of the first: weights differ where it does."""
    first = system.draw(world.specimens.iloc[0], [0])
    embedded = judge.embed_images(first).cpu().numpy()
    text = world.specimens[["dna_barcode", "coord-lat", "coord-lon"]].to_csv() + str(embedded.round(3))
    if phenotype is not None:
        text += str(phenotype.embed(first).numpy().round(3))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@torch.no_grad()
def sample(
    system: System,
    world: World,
    judge: Judge,
    count: int,
    folder: Path,
    name: str,
    phenotype: PhenotypeEncoder | None = None,
) -> Samples:
    """Draw and judge `count` samples of every specimen of a world, as far as they are not there yet.

    Args:
        system: what draws.
        world: whose specimens.
        judge: CLIBD model.
        count: samples of a barcode.
        folder: where the samples of this system in this world go.
        name: for the progress bar.
        phenotype: the second judge.
    """
    state = PartialState()
    order = {"count": count, "settings": system.settings, "digest": _digest(system, world, judge, phenotype)}
    if state.is_main_process:
        _claim(folder, order)
    state.wait_for_everyone()
    files = [folder / f"{index:05d}.npz" for index in range(len(world.specimens))]
    own = [n for n in range(len(files))[state.process_index :: state.num_processes] if not files[n].exists()]
    for index in tqdm(own, desc=f"{world.split}: {name}", disable=not state.is_main_process):
        began = time.monotonic()
        embeddings, pictures, vectors = [], [], []
        for start in range(0, count, BATCH):
            seeds = list(range(start, min(start + BATCH, count)))
            images = system.draw(world.specimens.iloc[index], seeds)
            embeddings.append(judge.embed_images(images).float().cpu())
            if phenotype is not None:
                vectors.append(phenotype.embed(images))
            pictures.append((images[: max(0, KEPT - start)] * 255).round().byte().cpu())
        partial = files[index].with_suffix(".partial")
        with partial.open("wb") as out:
            arrays: dict[str, Any] = dict(
                embeddings=torch.cat(embeddings).numpy(),
                pictures=torch.cat(pictures).numpy(),
                seconds=time.monotonic() - began,
            )
            if vectors:
                arrays["phenotype"] = torch.cat(vectors).numpy()
            np.savez(out, **arrays)
        os.replace(partial, files[index])
    state.wait_for_everyone()
    loaded = [np.load(file) for file in files]
    return Samples(
        torch.from_numpy(np.stack([one["embeddings"] for one in loaded])),
        torch.from_numpy(np.stack([one["pictures"] for one in loaded])).float() / 255,
        float(sum(one["seconds"] for one in loaded)),
        None if phenotype is None else torch.from_numpy(np.stack([one["phenotype"] for one in loaded])),
    )
