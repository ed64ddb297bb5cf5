"""How like a drawn picture is to the true one: pixels, fine detail, and the second judge.

The second judge is the phenotype encoder of `training.phenotype`, which took no part in anything that is
judged. Its score, the phenotype embedding score, is the cosine between the drawn and the true picture in its
features, as in the third version of the paper. Where photographs show a species and not an animal, the
photograph of the species that is most like the drawn picture counts.
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
    """Return what each of N specimens truly looks like: one picture (1, 3, H, W), or its species' (P, 3, H,
    W)."""
    return list(world.truth[:, None]) if world.likenesses is None else world.likenesses


def rms_to_truth(pictures: torch.Tensor, world: World) -> np.ndarray:
    """Return RMS differences (N, n) of pixels of pictures (N, n, 3, H, W) to the most alike true picture."""
    each = zip(pictures, true_pictures(world), strict=True)
    return torch.stack(
        [
            torch.cdist(some.flatten(1), true.flatten(1)).amin(1) / some[0].numel() ** 0.5
            for some, true in each
        ]
    ).numpy()


def detail(images: torch.Tensor) -> torch.Tensor:
    """Return RMS (N,) of the finest detail of pictures (N, 3, H, W): what averaging pixels by two loses."""
    coarse = F.interpolate(F.avg_pool2d(images, 2), images.shape[-2:], mode="nearest")
    return (images - coarse).square().mean((1, 2, 3)).sqrt()


def detail_ratio(pictures: torch.Tensor, world: World) -> dict:
    """Return the fine detail of drawn pictures (N, n, 3, H, W) as a multiple of the true pictures'.

    Below 1 pictures are blurred, above 1 they crackle. A judge that shrinks pictures sees neither.
    """
    true = np.array([detail(some).mean() for some in true_pictures(world)])
    drawn = np.array([detail(some).mean() for some in pictures])
    ratio = drawn / true.clip(min=1e-6)
    return {"ratio": float(ratio.mean()), "interval": list(bootstrap_interval(ratio))}


class SecondJudge:
    """The phenotype encoder before a world.

    Args:
        encoder: see `training.phenotype.load_phenotype`.
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
        """Return the phenotype embedding scores (N, n) of drawn pictures' vectors (N, n, E)."""
        assert vectors is not None  # drawn for this judge
        each = zip(vectors, self.true, strict=True)
        return torch.stack([(some @ true.T).amax(1) for some, true in each]).numpy()

    def told(self, vectors: torch.Tensor | None) -> dict | None:
        """Return whether the nearest picture of the gallery is of the right species and family.

        Args:
            vectors: of drawn pictures (N, n, E).

        Returns:
            Shares with 95 % intervals over all specimens whose species the gallery has, and by their family.
            None for mutants, of which nobody can say what species they are, and where there is no such
            specimen.
        """
        assert vectors is not None  # drawn for this judge
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
        """Return the same of the true pictures; None where these are in the gallery themselves."""
        if self.world.likenesses is not None:
            return None
        return {"told": self.told(torch.stack(self.true))}

    def floor(self) -> float:
        """Return the mean score of true pictures of other specimens: what a picture of no animal in
        particular gets."""
        truth = torch.stack([true[0] for true in self.true])
        apart = ~torch.eye(len(truth), dtype=torch.bool)
        return float((truth @ truth.T)[apart].mean())


def _share(shares: np.ndarray) -> dict:
    """Return a share over barcodes, from each one's share (N,), with its interval."""
    return {"share": float(shares.mean()), "interval": list(share_interval(shares)), "barcodes": len(shares)}


def nearer(
    drawn: Samples, looked_up: Samples, world: World, judge: SecondJudge | None
) -> dict[str, dict | None]:
    """Measure in what share of cases a drawn picture is nearer to the true one than a looked-up picture is.

    Args:
        drawn: of the checkpoint.
        looked_up: of the nearest training barcode.
        world: that both were asked for.
        judge: the second judge.

    Returns:
        The share over barcodes, in RMS difference of pixels (`rms`) and by the second judge (`phenotype`).
        A tie is not nearer.
    """
    own, theirs = (rms_to_truth(one.pictures, world) for one in (drawn, looked_up))
    found = {"rms": _share((own < theirs.mean(1, keepdims=True)).mean(1)), "phenotype": None}
    if judge is not None:
        own, theirs = (judge.scores(one.phenotype) for one in (drawn, looked_up))
        found["phenotype"] = _share((own > theirs.mean(1, keepdims=True)).mean(1))
    return found
