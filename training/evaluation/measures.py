"""What is measured on a system's pictures of a world's specimens.

CLIBDScore and success at every rank follow the paper: the best of k samples of a barcode, absolute and
relative to ground truth. A best-of-k score alone rewards memorising and rewards variety without aim, and the
judge learned from the same specimens as the systems did. So the rest asks whether a second judge agrees,
whether a picture tells its species and family, how far samples of one barcode differ, how near the set of
pictures is to the true one (FID and KID on the judge's features, beside what further true individuals get),
whether traits are recovered where a simulator knows them, whether pictures are as sharp as the true ones, and
whether they are copies of training pictures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from g2pdiff.analysis.morphometrics import body_length, dominant_hue
from g2pdiff.analysis.statistics import rank_agreement
from g2pdiff.models.clibd import Judge, overlap
from training.evaluation.copies import Memory
from training.evaluation.likeness import SecondJudge, detail_ratio, rms_to_truth
from training.evaluation.metrics import (
    best_of_k,
    bootstrap_interval,
    frechet_distance,
    kernel_distance,
    mean_pairwise_distance,
    r_squared,
    r_squared_interval,
    share_interval,
    success_of_k,
)
from training.evaluation.sampling import Samples
from training.evaluation.worlds import OTHERS, World
from training.phenotype import PhenotypeEncoder

RANKS = (1, 5, 10, 20, 50, 100)
NEIGHBOURS = 5  # reference pictures that vote on the family of a picture
TOLD = ("species", "species_of_all", "family")


class Measures:
    """A world seen by a judge, ready to measure any system's samples.

    Args:
        world: held-out specimens.
        judge: CLIBD model, with its threshold.
        memory: what the systems learned from, for the search for copies; None leaves that out.
        phenotype: encoder of the second judge; None leaves that out.
    """

    def __init__(
        self,
        world: World,
        judge: Judge,
        memory: Memory | None = None,
        phenotype: PhenotypeEncoder | None = None,
    ):
        self.world, self.judge, self.threshold = world, judge, judge.config.threshold
        self.memory = memory
        self.second = None if phenotype is None else SecondJudge(phenotype, world)
        self.truth = self.embed(world.truth)
        self.barcodes = self.embed_barcodes(world.specimens)
        self.known_barcodes = self.embed_barcodes(world.references.table)
        rows = np.arange(len(world.references))
        parts = (world.references.images(some) for some in np.array_split(rows, -(-len(rows) // 64)))
        self.references = torch.cat([self.embed(images) for images in parts])
        self.families = world.references.table["family"].to_numpy()
        self.true_scores = (self.truth * self.barcodes).sum(-1).numpy()
        all_pairs = (self.truth @ self.barcodes.T).numpy()
        self.shuffled_scores = all_pairs[~np.eye(len(all_pairs), dtype=bool)]

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the judge's unit vectors of pictures (N, 3, H, W): (N, E)."""
        device = self.judge.device
        parts = (self.judge.embed_images(some.to(device)) for some in images.split(64))
        return torch.cat([embedded.float().cpu() for embedded in parts])

    @torch.no_grad()
    def embed_barcodes(self, rows: pd.DataFrame) -> torch.Tensor:
        """Return the judge's unit vectors of N rows' barcodes: (N, E)."""
        barcodes = rows["dna_barcode"].tolist()
        parts = (barcodes[start : start + 64] for start in range(0, len(barcodes), 64))
        return torch.cat([self.judge.embed_barcodes(some).float().cpu() for some in parts])

    def scores(self, samples: Samples) -> np.ndarray:
        """Return CLIBDScores (N, n)."""
        return (samples.embeddings * self.barcodes[:, None]).sum(-1).numpy()

    def retrieval(self, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
        """Say which of N specimens' pictures (N, E) tell their specimen: booleans (N,) by name.

        `species`: the picture is nearer to its own barcode than to those of the other specimens, N drawn in
        all. `species_of_all`: than to the barcodes of all other species that were learned. `family`: most of
        the nearest reference pictures are of its family.
        """
        own = (embeddings * self.barcodes).sum(-1, keepdim=True)
        drawn = embeddings @ self.barcodes.T
        drawn.fill_diagonal_(-torch.inf)
        same = (
            self.world.references.table["species"].to_numpy()
            == self.world.specimens["species"].to_numpy()[:, None]
        )
        known = (embeddings @ self.known_barcodes.T).masked_fill(torch.from_numpy(same), -torch.inf)
        nearest = (embeddings @ self.references.T).topk(min(NEIGHBOURS, len(self.references)), dim=1).indices
        votes = np.array([pd.Series(self.families[row]).mode()[0] for row in nearest.numpy()])
        return {
            "species": (own > drawn).all(1).numpy(),
            "species_of_all": (own > known).all(1).numpy(),
            "family": votes == self.world.specimens["family"].to_numpy(),
        }

    def told(self, embeddings: torch.Tensor) -> dict:
        """Return shares of pictures (N, n, E) that `retrieval` finds right, among how many, and intervals."""
        each = [self.retrieval(one) for one in embeddings.unbind(1)]
        shares = {name: np.mean([one[name] for one in each], axis=0) for name in TOLD}
        return {name: float(found.mean()) for name, found in shares.items()} | {
            "intervals": {name: list(share_interval(found)) for name, found in shares.items()},
            "candidates": {
                "species": len(self.barcodes),
                "species_of_all": len(
                    set(self.world.references.table["species"]) | set(self.world.specimens["species"])
                ),
            },
        }

    def traits(self, pictures: torch.Tensor) -> dict | None:
        """Return how well traits measured on pictures (N, n, 3, H, W) recover those of the true pictures.

        R2 with its interval over barcodes. None where specimens are photographs: what is behind them is not
        known.
        """
        if not self.world.known_traits:
            return None
        found = {}
        for name, measure in (("body_length_r2", body_length), ("hue_r2", dominant_hue)):
            true = measure(self.world.truth).numpy()
            drawn = torch.stack([measure(some) for some in pictures.unbind(1)], dim=1).numpy()
            spread = np.broadcast_to(true[:, None], drawn.shape)
            found[name] = r_squared(drawn.reshape(-1, *true.shape[1:]), spread.reshape(-1, *true.shape[1:]))
            found[f"{name}_interval"] = list(r_squared_interval(drawn, true))
        return found

    def memorisation(self, pictures: torch.Tensor) -> dict[str, float] | None:
        """Measure whether pictures (N, n, 3, H, W) are copies, see `training.evaluation.copies`.

        `copies` is the share of pictures nearer to a training picture than 99 % of training pictures are to
        any of another species, `measure`. `nearest` is the median distance to the nearest training picture,
        and `nearest_true` that of the held-out specimens' true pictures.
        """
        if self.memory is None:
            return None
        drawn = self.memory.distance(pictures.flatten(0, 1))
        return {
            "pictures": len(self.memory.originals),
            "copies": (drawn < self.memory.unrelated).float().mean().item(),
            "measure": self.memory.unrelated,
            "nearest": drawn.median().item(),
            "nearest_true": self.memory.distance(self.world.truth).median().item(),
        }

    def phenotype(self, samples: Samples) -> dict | None:
        """Return the second judge's scores, and how far its ranks of pictures agree with CLIBD's
        (Spearman)."""
        if self.second is None:
            return None
        scores = self.second.scores(samples.phenotype)
        agreement = None
        if scores.size > 2:
            agreement = rank_agreement(scores.ravel(), self.scores(samples).ravel())
        return {
            "top": {
                str(k): {"score": float(best.mean()), "interval": list(bootstrap_interval(best))}
                for k, best in ((k, best_of_k(scores, k)) for k in RANKS if k <= scores.shape[1])
            },
            "told": self.second.told(samples.phenotype),
            "rank_agreement": None if agreement is None or np.isnan(agreement) else agreement,
        }

    def system(self, samples: Samples) -> dict:
        """Return everything of one system, as results.json has it."""
        embeddings = samples.embeddings
        count = embeddings.shape[1]
        rms = rms_to_truth(samples.pictures, self.world).mean(1)
        return {
            "samples": count,
            "top": self.ranked(self.scores(samples)),
            "phenotype": self.phenotype(samples),
            "diversity": float(mean_pairwise_distance(embeddings.numpy()).mean()) if count > 1 else None,
            "retrieval": self.told(embeddings),
            "traits": self.traits(samples.pictures),
            "rms": {"value": float(rms.mean()), "interval": list(bootstrap_interval(rms))},
            "detail": detail_ratio(samples.pictures, self.world),
            **self.distances(embeddings),
            "memorisation": self.memorisation(samples.pictures),
            "seconds_per_picture": samples.seconds / (embeddings.shape[0] * count),
        }

    def distances(self, embeddings: torch.Tensor) -> dict[str, float]:
        """Return the FID and KID of pictures (N, n, E) against the true ones.

        FID falls as pictures become more, so that `OTHERS` pictures of a barcode at most take part, as many
        as its further true individuals are.
        """
        # Unit vectors are drawn out to unit variance, for which KID's kernel is meant.
        stretch = embeddings.shape[-1] ** 0.5
        real = self.truth.numpy() * stretch
        drawn = embeddings[:, :OTHERS].flatten(0, 1).numpy() * stretch
        return {"fid": frechet_distance(real, drawn), "kid": kernel_distance(real, drawn)}

    def ranked(self, scores: np.ndarray) -> dict:
        """Return scores (N, n) and success at every rank that n allows, absolute and relative to ground
        truth."""
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
        """Return the true pictures, measured as a system's are.

        Traits, FID and KID are those of further true individuals: the floor that no system gets under.
        """
        further, others = self.world.others, None
        if self.world.known_traits and further is not None:
            others = self.embed(further.flatten(0, 1)).unflatten(0, (-1, OTHERS))
        return {
            "clibd_score": float(self.true_scores.mean()),
            "success": float((self.true_scores >= self.threshold).mean()),
            "retrieval": self.told(self.truth[:, None]),
            "traits": None if others is None or further is None else self.traits(further),
            "phenotype": None if self.second is None else self.second.ground_truth(),
            **({"fid": None, "kid": None} if others is None else self.distances(others)),
        }

    def random(self) -> dict:
        """Return true pictures with other specimens' barcodes."""
        return {
            "clibd_score": float(self.shuffled_scores.mean()),
            "success": float((self.shuffled_scores >= self.threshold).mean()),
            "phenotype": None if self.second is None else self.second.floor(),
        }

    def overlap(self) -> float:
        """Return how much of true and shuffled pairs lies on the wrong side of the threshold, in this
        world."""
        return overlap(self.threshold, self.true_scores, self.shuffled_scores)


def lead(first: np.ndarray, second: np.ndarray) -> dict:
    """Measure by how much the first of two systems scores (N, n) and (N, m) is ahead, at every rank both
    allow.

    Of a system that draws one picture alone, whatever the seed, that is rank 1. The interval is a bootstrap
    over the barcodes that both were asked for.
    """
    ahead = {}
    for k in (k for k in RANKS if k <= min(first.shape[1], second.shape[1])):
        difference = best_of_k(first, k) - best_of_k(second, k)
        ahead[str(k)] = {
            "difference": float(difference.mean()),
            "interval": list(bootstrap_interval(difference)),
        }
    return ahead
