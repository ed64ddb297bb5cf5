"""Measures of a system's pictures of a world's specimens.

CLIBDScore and success at every rank follow the paper: the best of k samples per barcode, absolute and
relative to ground truth. A best-of-k score alone rewards memorising and random variety, and the judge learned
from the same specimens as the systems. So there are further measures: the agreement of a second judge;
retrieval of species and family; the diversity of the samples of a barcode; the distance between the sets of
drawn and true pictures (FID and KID on the judge's features, compared with those of further true
individuals); the recovery of traits that a simulator knows; sharpness; and a search for copies of training
pictures.
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
NEIGHBOURS = 5  # reference pictures that vote on a picture's family
TOLD = ("species", "species_of_all", "family")


class Measures:
    """The measures of a world under a judge, for samples of any system.

    Args:
        world: held-out specimens.
        judge: CLIBD model, with its threshold.
        memory: training pictures for the search for copies; None means no search.
        phenotype: encoder of the second judge; None means no second judge.
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
        """Return the judge's unit vectors (N, E) of pictures (N, 3, H, W)."""
        device = self.judge.device
        parts = (self.judge.embed_images(some.to(device)) for some in images.split(64))
        return torch.cat([embedded.float().cpu() for embedded in parts])

    @torch.no_grad()
    def embed_barcodes(self, rows: pd.DataFrame) -> torch.Tensor:
        """Return the judge's unit vectors (N, E) of the barcodes of N rows."""
        barcodes = rows["dna_barcode"].tolist()
        parts = (barcodes[start : start + 64] for start in range(0, len(barcodes), 64))
        return torch.cat([self.judge.embed_barcodes(some).float().cpu() for some in parts])

    def scores(self, samples: Samples) -> np.ndarray:
        """Return CLIBDScores (N, n)."""
        return (samples.embeddings * self.barcodes[:, None]).sum(-1).numpy()

    def retrieval(self, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
        """Return which of N specimens' pictures (N, E) are retrieved correctly: booleans (N,) by name.

        `species`: the picture is nearer to its own barcode than to those of the other N - 1 specimens.
        `species_of_all`: it is nearer to its own than to the barcodes of all other learned species. `family`:
        most of the nearest reference pictures are of its family.
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
        """Return the shares of pictures (N, n, E) that `retrieval` finds correct, with numbers and
        intervals."""
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
        """Measure how well traits on drawn pictures (N, n, 3, H, W) recover those on the true pictures.

        Return R2 with its interval over barcodes; None for photographs, whose true traits are not known.
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
        """Search pictures (N, n, 3, H, W) for copies, see `training.evaluation.copies`.

        `copies` is the share of pictures whose distance to a training picture is below `measure`; 99 % of
        training pictures are further than that from all pictures of other species. `nearest` is the median
        distance to the nearest training picture, and `nearest_true` that of the held-out specimens' true
        pictures.
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
        """Return the second judge's scores, and the rank correlation (Spearman) of both judges over
        pictures."""
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
        """Return all measures of one system, as results.json has them."""
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
        """Return the FID and KID between pictures (N, n, E) and the true ones.

        FID decreases with the number of pictures. So at most `OTHERS` pictures per barcode are used, as many
        as there are further true individuals.
        """
        # KID's kernel is made for unit variance, so unit vectors are scaled to it.
        stretch = embeddings.shape[-1] ** 0.5
        real = self.truth.numpy() * stretch
        drawn = embeddings[:, :OTHERS].flatten(0, 1).numpy() * stretch
        return {"fid": frechet_distance(real, drawn), "kid": kernel_distance(real, drawn)}

    def ranked(self, scores: np.ndarray) -> dict:
        """Return the best scores and success of (N, n) at all ranks up to n, absolute and relative to ground
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
        """Return the measures of the true pictures.

        Traits, FID and KID are those of further true individuals: no system can be better.
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
        """Return the measures of true pictures with the barcodes of other specimens."""
        return {
            "clibd_score": float(self.shuffled_scores.mean()),
            "success": float((self.shuffled_scores >= self.threshold).mean()),
            "phenotype": None if self.second is None else self.second.floor(),
        }

    def overlap(self) -> float:
        """Return the share of this world's true and shuffled pairs on the wrong side of the threshold."""
        return overlap(self.threshold, self.true_scores, self.shuffled_scores)


def lead(first: np.ndarray, second: np.ndarray) -> dict:
    """Return the lead of the first system's scores (N, n) over the second's (N, m), at all common ranks.

    For a system whose picture does not depend on the seed this is rank 1 only. The interval is a bootstrap
    over the common barcodes.
    """
    ahead = {}
    for k in (k for k in RANKS if k <= min(first.shape[1], second.shape[1])):
        difference = best_of_k(first, k) - best_of_k(second, k)
        ahead[str(k)] = {
            "difference": float(difference.mean()),
            "interval": list(bootstrap_interval(difference)),
        }
    return ahead
