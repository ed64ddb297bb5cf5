"""Sampling of a system's pictures of a world: it can be resumed and is shared between processes.

One file per barcode, such as `FOLDER/00017.npz`, holds the judges' embeddings of all its samples and the
first few pictures. Sample n of every barcode has the noise of seed n. Samples of a barcode are drawn in
batches of a fixed size, so the files do not depend on the number of processes, nor on interruptions.
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
KEPT = 4  # samples per barcode whose pictures are kept, for traits, figures and the search for copies


@dataclass
class Samples:
    """A system's samples of N specimens, n each."""

    embeddings: torch.Tensor  # (N, n, E), unit vectors of the judge's picture tower
    pictures: torch.Tensor  # (N, min(n, KEPT), 3, H, W) in [0, 1]
    seconds: float  # time for drawing and judging, summed over processes and resumed parts
    phenotype: torch.Tensor | None = None  # (N, n, E), unit vectors of the second judge


def _claim(folder: Path, order: dict) -> None:
    """Claim `folder` for the samples of this order. Samples of another order are deleted."""
    marker = folder / "order.json"
    text = json.dumps(order, sort_keys=True)
    if marker.exists() and marker.read_text() == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_whole(marker, text)


def _digest(system: System, world: World, judge: Judge, phenotype: PhenotypeEncoder | None) -> str:
    """Return a digest of the specimens and of a picture of the first one, which changes with the weights."""
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
    """Draw and judge `count` samples per specimen of a world. Existing samples are kept.

    Args:
        system: system that draws.
        world: world with the specimens.
        judge: CLIBD model.
        count: samples per barcode.
        folder: folder for this system's samples in this world.
        name: name for the progress bar.
        phenotype: encoder of the second judge.
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
