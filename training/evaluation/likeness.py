"""Likeness of drawn pictures to true ones: by pixels, by fine detail, and by the second judge.

The second judge is the phenotype encoder of `training.phenotype`, which was not used in training or sampling.
Its phenotype embedding score is the cosine of the drawn and the true picture in its features, as in the third
version of the paper. If photographs show species and not the barcoded animals, the most similar photograph of
the species counts.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from training.evaluation.metrics import bootstrap_interval, share_interval
from training.evaluation.sampling import Samples
from training.evaluation.worlds import World
from training.phenotype import PhenotypeEncoder


def true_pictures(world: World) -> list[torch.Tensor]:
    """Return the true pictures of N specimens: one each (1, 3, H, W), or all of the species (P, 3, H, W)."""
    return list(world.truth[:, None]) if world.likenesses is None else world.likenesses


def rms_to_truth(pictures: torch.Tensor, world: World) -> np.ndarray:
    """Return RMS differences (N, n) of the pixels of pictures (N, n, 3, H, W) to the most similar true
    one."""
    each = zip(pictures, true_pictures(world), strict=True)
    return torch.stack(
        [
            torch.cdist(some.flatten(1), true.flatten(1)).amin(1) / some[0].numel() ** 0.5
            for some, true in each
        ]
    ).numpy()


def detail(images: torch.Tensor) -> torch.Tensor:
    """Return the RMS (N,) of the finest detail of pictures (N, 3, H, W), which averaging of 2 x 2 pixels
    removes."""
    coarse = F.interpolate(F.avg_pool2d(images, 2), images.shape[-2:], mode="nearest")
    return (images - coarse).square().mean((1, 2, 3)).sqrt()


def detail_ratio(pictures: torch.Tensor, world: World) -> dict:
    """Return the fine detail of drawn pictures (N, n, 3, H, W) relative to that of the true pictures.

    Below 1 pictures are blurred, above 1 they are noisy. A judge that shrinks pictures sees neither.
    """
    true = np.array([detail(some).mean() for some in true_pictures(world)])
    drawn = np.array([detail(some).mean() for some in pictures])
    ratio = drawn / true.clip(min=1e-6)
    return {"ratio": float(ratio.mean()), "interval": list(bootstrap_interval(ratio))}


class SecondJudge:
    """The phenotype encoder applied to a world.

    Args:
        encoder: encoder of `training.phenotype.load_phenotype`.
        world: held-out specimens.
    """

    def __init__(self, encoder: PhenotypeEncoder, world: World):
        self.encoder, self.world = encoder, world
        self.true = [encoder.embed(some) for some in true_pictures(world)]  # N of (P, E)
        parts = np.array_split(np.arange(len(world.gallery)), -(-len(world.gallery) // 64))
        self.gallery = torch.cat([encoder.embed(world.gallery.images(some)) for some in parts])
        self.species = world.gallery.table["species"].to_numpy()
        self.families = world.gallery.table["family"].to_numpy()

    def scores(self, vectors: torch.Tensor | None) -> np.ndarray:
        """Return the phenotype embedding scores (N, n) of the vectors (N, n, E) of drawn pictures."""
        assert vectors is not None  # samples for this judge have these vectors
        each = zip(vectors, self.true, strict=True)
        return torch.stack([(some @ true.T).amax(1) for some, true in each]).numpy()

    def told(self, vectors: torch.Tensor | None) -> dict | None:
        """Measure whether the nearest picture of the gallery has the right species and family.

        Args:
            vectors: vectors (N, n, E) of drawn pictures.

        Returns:
            Shares with 95 % intervals over all specimens whose species is in the gallery, and by family. None
            for mutants, whose species is undefined, and if there is no such specimen.
        """
        assert vectors is not None  # samples for this judge have these vectors
        specimens = self.world.specimens
        known = np.isin(specimens["species"], self.species)
        if self.world.split == "mutants" or not known.any():
            return None
        nearest = (vectors[torch.from_numpy(known)] @ self.gallery.T).argmax(-1).numpy()  # (K, n)
        species, families = (specimens.loc[known, name].to_numpy() for name in ("species", "family"))
        right = (self.species[nearest] == species[:, None]).mean(1)
        return {
            "candidates": len(set(self.species)),
            "species": _share(right),
            "family": _share((self.families[nearest] == families[:, None]).mean(1)),
            "by_family": {
                str(name): _share(right[families == name]) for name in sorted(set(families), key=str)
            },
        }

    def ground_truth(self) -> dict | None:
        """Return the same for the true pictures; None if the gallery contains them."""
        if self.world.likenesses is not None:
            return None
        return {"told": self.told(torch.stack(self.true))}

    def floor(self) -> float:
        """Return the mean score of true pictures of other specimens, which is the score of an unrelated
        picture."""
        truth = torch.stack([true[0] for true in self.true])
        apart = ~torch.eye(len(truth), dtype=torch.bool)
        return float((truth @ truth.T)[apart].mean())


def _share(shares: np.ndarray) -> dict:
    """Return the mean share over barcodes, given each barcode's share (N,), with its interval."""
    return {"share": float(shares.mean()), "interval": list(share_interval(shares)), "barcodes": len(shares)}


def nearer(
    drawn: Samples, looked_up: Samples, world: World, judge: SecondJudge | None
) -> dict[str, dict | None]:
    """Measure how often a drawn picture is nearer to the true one than a looked-up picture is.

    Args:
        drawn: samples of the checkpoint.
        looked_up: samples of the look-up by nearest training barcode.
        world: the world of both.
        judge: the second judge.

    Returns:
        The share over barcodes, by RMS difference of pixels (`rms`) and by the second judge (`phenotype`). A
        tie does not count as nearer.
    """
    own, theirs = (rms_to_truth(one.pictures, world) for one in (drawn, looked_up))
    found = {"rms": _share((own < theirs.mean(1, keepdims=True)).mean(1)), "phenotype": None}
    if judge is not None:
        own, theirs = (judge.scores(one.phenotype) for one in (drawn, looked_up))
        found["phenotype"] = _share((own > theirs.mean(1, keepdims=True)).mean(1))
    return found
