"""Regressions of traits from barcode and locality, without any picture.

A linear and a small MLP regression predict the simulator's traits from the checkpoint's sketch of the barcode
and the locality. The simulator's genotype map is a projection of the same sites as the sketch: the task is
easy by construction, and these numbers say how easy. If they are far above those of the pictures, the
condition is not the bottleneck.
"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import torch
from torch import nn

from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation import Simulator
from training.data.specimens import localities_of
from training.evaluation.library import Library
from training.evaluation.metrics import r_squared, r_squared_interval
from training.evaluation.worlds import World

STEPS, BATCH, WIDTH, LEARNING_RATE = 800, 256, 256, 2e-3  # steps of the MLP; at most two per specimen


def traits_of(rows: pd.DataFrame) -> torch.Tensor:
    """Return the simulator's body length and hue (N, 3) of N rows."""
    parts = (rows.iloc[start : start + 1024] for start in range(0, len(rows), 1024))
    found = [
        Simulator.default().traits(some["dna_barcode"].tolist(), some["coord-lat"].to_numpy())
        for some in parts
    ]
    return torch.cat([torch.cat([one.body_length[:, None], one.hue], dim=1) for one in found])


class Regressions:
    """Regressions that are fitted to a library's barcodes.

    Args:
        pipeline: checkpoint with a sketch.
        library: simulated training specimens.
    """

    def __init__(self, pipeline: G2PDiffusionPipeline, library: Library):
        self.tokenizer, self.sketch = pipeline.tokenizer, pipeline.conditioner.sketch
        rows = library.specimens.table
        inputs, traits = self._inputs(rows), traits_of(rows)
        self.middle, self.spread = traits.mean(0), traits.std(0)
        wanted = (traits - self.middle) / self.spread
        joined = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1).double()
        ridge = 1e-3 * len(joined) * torch.eye(joined.shape[1], dtype=torch.double)
        self.weights = torch.linalg.solve(joined.T @ joined + ridge, joined.T @ wanted.double()).float()
        self.mlp = self._learn(inputs, wanted)

    @torch.no_grad()
    def _inputs(self, rows: pd.DataFrame) -> torch.Tensor:
        """Return the inputs (N, components + 4): components of the barcode, locality as a unit vector, and
        |sin latitude|."""
        device = self.sketch.components.device
        ids = self.tokenizer.ids(rows["dna_barcode"].tolist())
        sketch = torch.cat([self.sketch.principal(some.to(device)).cpu() for some in ids.split(1024)])
        places = localities_of(rows)
        return torch.cat([sketch.float(), places, places[:, 2:].abs()], dim=1)

    @staticmethod
    def _learn(inputs: torch.Tensor, wanted: torch.Tensor) -> nn.Module:
        steps = min(STEPS, 2 * len(inputs))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            widths = (inputs.shape[1], WIDTH, WIDTH)
            layers = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), nn.SiLU())]
            mlp = nn.Sequential(*layers, nn.Linear(WIDTH, wanted.shape[1]))
            optimiser = torch.optim.AdamW(mlp.parameters(), LEARNING_RATE, weight_decay=0.02)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
            for _ in range(steps):
                rows = torch.randint(len(inputs), (BATCH,))
                loss = nn.functional.mse_loss(mlp(inputs[rows]), wanted[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return mlp

    @torch.no_grad()
    def measure(self, world: World) -> dict[str, dict]:
        """Return the R2 of body length and hue in a world for `linear` and `mlp`, with intervals over
        barcodes."""
        inputs, true = self._inputs(world.specimens), traits_of(world.specimens).numpy()
        joined = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
        found = {}
        for name, scaled in (("linear", joined @ self.weights), ("mlp", self.mlp(inputs))):
            predicted = (scaled * self.spread + self.middle).numpy()
            found[name] = {}
            for trait, columns in (("body_length_r2", slice(0, 1)), ("hue_r2", slice(1, 3))):
                pair = predicted[:, columns], true[:, columns]
                found[name][trait] = r_squared(*pair)
                found[name][f"{trait}_interval"] = list(r_squared_interval(pair[0][:, None], pair[1]))
        return found


def regressions(pipeline: G2PDiffusionPipeline, library: Library) -> Regressions | None:
    """Return the regressions of a checkpoint with a sketch that learned from simulated specimens; else
    None."""
    known = pipeline.config.truth == "simulated" and pipeline.conditioner.sketch is not None
    return Regressions(pipeline, library) if known else None
