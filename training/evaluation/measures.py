"""What is measured on a system's pictures of a world's specimens.

CLIBDScore and success at every rank follow the paper: the best of k samples of a barcode, absolute and
relative to ground truth. A best-of-k score alone rewards memorising and rewards variety without aim, so the
rest asks whether a picture tells its species and family, how far samples of one barcode differ, how near the
set of pictures is to the true one (FID and KID on the judge's features), whether traits are recovered where a
simulator knows them, and whether pictures are copies of training pictures.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2pdiff.analysis.morphometrics import body_length, dominant_hue
from g2pdiff.models.clibd import overlap
from training.data.specimens import SpecimenSet
from training.evaluation.metrics import (
    best_of_k,
    bootstrap_interval,
    frechet_distance,
    kernel_distance,
    mean_pairwise_distance,
    r_squared,
    success_of_k,
)
from training.evaluation.sampling import Samples
from training.evaluation.worlds import World

RANKS = (1, 5, 10, 20, 50, 100)
NEIGHBOURS = 5  # reference pictures that vote on the family of a picture
MEMORY = 4096  # training pictures among which copies are looked for
THUMBNAIL = 32  # pixels along the side of the pictures that are compared for copies


class Measures:
    """A world seen by a judge, ready to measure any system's samples.

    Args:
        world: held-out specimens.
        judge: CLIBD model, with its threshold.
        memory: `thumbnails` of what the systems learned from (M, D), for the memorisation test; None leaves
            that out.
    """

    def __init__(self, world: World, judge, memory: torch.Tensor | None = None):
        self.world, self.judge, self.threshold = world, judge, judge.config.threshold
        self.memory = memory
        self.truth = self.embed(world.truth)
        with torch.no_grad():
            self.barcodes = judge.embed_barcodes(world.specimens["dna_barcode"].tolist()).float().cpu()
        rows = np.arange(len(world.references))
        parts = (world.references.images(some) for some in np.array_split(rows, -(-len(rows) // 64)))
        self.references = torch.cat([self.embed(images) for images in parts])
        self.families = world.references.table["family"].to_numpy()
        self.true_scores = (self.truth * self.barcodes).sum(-1).numpy()
        all_pairs = (self.truth @ self.barcodes.T).numpy()
        self.shuffled_scores = all_pairs[~np.eye(len(all_pairs), dtype=bool)]

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """The judge's unit vectors of pictures (N, 3, H, W): (N, E)."""
        device = self.judge.device
        parts = (self.judge.embed_images(some.to(device)) for some in images.split(64))
        return torch.cat([embedded.float().cpu() for embedded in parts])

    def scores(self, samples: Samples) -> np.ndarray:
        """CLIBDScores (N, n)."""
        return (samples.embeddings * self.barcodes[:, None]).sum(-1).numpy()

    def retrieval(self, embeddings: torch.Tensor) -> dict[str, float]:
        """How much of its specimen a picture tells, for pictures (N, E) of the N specimens in order.

        Species: the share of pictures nearest to their own barcode among all N. Family: the share whose
        nearest reference pictures are mostly of their family.
        """
        found = (embeddings @ self.barcodes.T).argmax(1)
        nearest = (embeddings @ self.references.T).topk(NEIGHBOURS, dim=1).indices.numpy()
        votes = np.array([pd.Series(self.families[row]).mode()[0] for row in nearest])
        return {
            "species": float((found == torch.arange(len(found))).float().mean()),
            "family": float(np.mean(votes == self.world.specimens["family"].to_numpy())),
        }

    def traits(self, pictures: torch.Tensor) -> dict[str, float] | None:
        """How well traits measured on pictures (N, n, 3, H, W) recover those of the true pictures.

        None where specimens are photographs: what is behind them is not known.
        """
        if self.world.others is None:
            return None
        count = pictures.shape[1]
        lengths, hues = body_length(self.world.truth), dominant_hue(self.world.truth)
        found = [(body_length(some), dominant_hue(some)) for some in pictures.unbind(1)]
        return {
            "body_length_r2": r_squared(
                torch.cat([length for length, _ in found]).numpy(), lengths.repeat(count).numpy()
            ),
            "hue_r2": r_squared(torch.cat([hue for _, hue in found]).numpy(), hues.repeat(count, 1).numpy()),
        }

    def memorisation(self, pictures: torch.Tensor) -> dict[str, float] | None:
        """Are pictures (N, n, 3, H, W) copies? Distances are RMS differences of pixels at thumbnail size.

        `copies` is the share of pictures nearer to a training picture than the two most alike of different
        training specimens are to each other. `nearest` is the median distance to the nearest training
        picture, and `nearest_true` that of the held-out specimens' true pictures.
        """
        if self.memory is None:
            return None
        drawn = self.distance_to_memory(pictures.flatten(0, 1))
        return {
            "copies": (drawn < self.closest_real_pair).float().mean().item(),
            "closest_real_pair": self.closest_real_pair,
            "nearest": drawn.median().item(),
            "nearest_true": self.distance_to_memory(self.world.truth).median().item(),
        }

    def distance_to_memory(self, images: torch.Tensor) -> torch.Tensor:
        """RMS differences (N,) of pictures (N, 3, H, W) to the nearest of `memory`, at thumbnail size."""
        return torch.cdist(shrink(images), self.memory).amin(1) / self.memory.shape[1] ** 0.5

    @cached_property
    def closest_real_pair(self) -> float:
        """The RMS difference of the two pictures in `memory` that are most alike."""
        apart = torch.cdist(self.memory, self.memory).fill_diagonal_(torch.inf)
        return apart.amin().item() / self.memory.shape[1] ** 0.5

    def system(self, samples: Samples) -> dict:
        """Everything of one system, as results.json has it."""
        embeddings = samples.embeddings
        # Unit vectors are drawn out to unit variance, for which KID's kernel is meant.
        stretch = embeddings.shape[-1] ** 0.5
        real, drawn = self.truth.numpy() * stretch, embeddings.flatten(0, 1).numpy() * stretch
        each = [self.retrieval(one) for one in embeddings.unbind(1)]
        return {
            "top": self.ranked(self.scores(samples)),
            "diversity": float(mean_pairwise_distance(embeddings.numpy()).mean()) if len(each) > 1 else None,
            "retrieval": {name: float(np.mean([one[name] for one in each])) for name in each[0]},
            "traits": self.traits(samples.pictures),
            "fid": frechet_distance(real, drawn),
            "kid": kernel_distance(real, drawn),
            "memorisation": self.memorisation(samples.pictures),
            "seconds_per_picture": samples.seconds / (embeddings.shape[0] * embeddings.shape[1]),
        }

    def ranked(self, scores: np.ndarray) -> dict:
        """Scores (N, n) and success at every rank that n allows, absolute and relative to ground truth."""
        top = {}
        for k in (k for k in RANKS if k <= scores.shape[1]):
            best = best_of_k(scores, k)
            top[str(k)] = {
                "clibd_score": float(best.mean()),
                "relative": float(best.mean() / self.true_scores.mean()),
                "success": float(success_of_k(scores, k, self.threshold).mean()),
                "interval": list(bootstrap_interval(best)),
            }
        return top

    def ground_truth(self) -> dict:
        """The true pictures, measured as a system's are; traits are those of further individuals."""
        return {
            "clibd_score": float(self.true_scores.mean()),
            "success": float((self.true_scores >= self.threshold).mean()),
            "retrieval": self.retrieval(self.truth),
            "traits": None if self.world.others is None else self.traits(self.world.others),
        }

    def random(self) -> dict:
        """True pictures with other specimens' barcodes."""
        return {
            "clibd_score": float(self.shuffled_scores.mean()),
            "success": float((self.shuffled_scores >= self.threshold).mean()),
        }

    def overlap(self) -> float:
        """How much of true and shuffled pairs lies on the wrong side of the threshold, in this world."""
        return overlap(self.threshold, self.true_scores, self.shuffled_scores)


def lead(first: np.ndarray, second: np.ndarray) -> dict:
    """By how much the first of two systems scores (N, n) and (N, m) is ahead, at every rank both allow.

    The interval is a bootstrap over the barcodes that both were asked for.
    """
    ahead = {}
    for k in (k for k in RANKS if k <= min(first.shape[1], second.shape[1])):
        difference = best_of_k(first, k) - best_of_k(second, k)
        ahead[str(k)] = {
            "difference": float(difference.mean()),
            "interval": list(bootstrap_interval(difference)),
        }
    return ahead


def shrink(images: torch.Tensor) -> torch.Tensor:
    """Thumbnails of pictures (N, 3, H, W) as vectors (N, 3 * THUMBNAIL^2)."""
    return F.adaptive_avg_pool2d(images, THUMBNAIL).flatten(1)


def thumbnails(training: SpecimenSet) -> torch.Tensor:
    """Thumbnails of up to `MEMORY` training specimens, chosen at random: (M, 3 * THUMBNAIL^2)."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(training))[:MEMORY])
    return torch.cat(
        [shrink(training.images(some)) for some in np.array_split(chosen, -(-len(chosen) // 64))]
    )
