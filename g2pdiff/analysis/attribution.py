"""Attribution: which bases matter, measured by occlusion of the barcode, codon by codon.

Each codon in turn is replaced by N, as if the sequencer had not read it. The aligner then measures how well
this barcode agrees with the picture that was drawn from the whole barcode:

    importance of codon j = log p(c | z_0) - log p(c without j | z_0)

where z_0 is the picture's clean latent, c the pooled condition and p the aligner's log-softmax against the
reference bank. A codon with a positive importance speaks for the picture; without a codon of negative
importance the barcode would agree better. The aligner reads the clean latent at timestep 0, so no noise is
drawn.

This is the sensitivity of a model, not biology. It says what the conditioner and the aligner read. It does
not say what a base does in an animal, nor what the protein needs. Codons are occluded one at a time, so two
codons that tell the model the same thing both look unimportant, and the sum of the importances means nothing.
The conditioner reads k-mers, not letters: occluding a codon that straddles two k-mers hides both, so it
weighs somewhat more than a codon within one k-mer; `tokens` counts them.

Site 1 of 658, the last base of a codon that begins before the region, is never occluded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from g2pdiff.dna.barcode import CODON_START, SITES, Barcode
from g2pdiff.errors import InputError
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_locality

CODONS = (SITES - CODON_START) // 3


@dataclass(frozen=True)
class CodonImportance:
    """One codon of an attribution."""

    codon: int  # 1 .. 219
    first_site: int  # site of its first letter, 1 .. 658
    letters: str  # three of A, C, G, T, N
    amino_acid: str  # NCBI table 5; X where unknown, * for a stop codon
    importance: float  # decrease of the log-probability (natural logarithm)
    tokens: int  # k-mers that are hidden when it is occluded


@dataclass(frozen=True)
class Attribution:
    """The importance of every codon for the agreement of a barcode with a picture.

    Attributes:
        barcode: the whole barcode.
        log_prob: log p(c | z_0) of the whole barcode.
        importance: decrease of log p when the codon is occluded (219,); 0 for a codon that is all N already.
        tokens: k-mers that are hidden when the codon is occluded (219,).
    """

    barcode: Barcode
    log_prob: float
    importance: np.ndarray
    tokens: np.ndarray

    def rows(self) -> Iterator[CodonImportance]:
        """Return the 219 codons in order."""
        for index, amino_acid in enumerate(self.barcode.amino_acids):
            sites = codon_sites(index)
            yield CodonImportance(
                index + 1,
                sites.start + 1,
                self.barcode.sequence[sites],
                amino_acid,
                float(self.importance[index]),
                int(self.tokens[index]),
            )


def codon_sites(index: int) -> slice:
    """Return the three sites, counted from 0, of a codon, 0 to 218."""
    start = CODON_START + 3 * index
    return slice(start, start + 3)


def occlude(barcode: Barcode, index: int) -> Barcode:
    """Return the barcode with a codon, 0 to 218, replaced by N."""
    sites = codon_sites(index)
    sequence = barcode.sequence
    return replace(barcode, sequence=sequence[: sites.start] + "NNN" + sequence[sites.stop :])


@dataclass(frozen=True)
class Occlusion:
    """The progress of an attribution: `done` of `total` barcodes are encoded, including the whole one."""

    done: int
    total: int
    attribution: Attribution | None = None  # None before the last update


def attribute(
    pipe: G2PDiffusionPipeline,
    barcode: Barcode,
    latitude: float,
    longitude: float,
    latents: torch.Tensor,
    batch: int = 32,
) -> Attribution:
    """Run `attributing` to its end."""
    *_, last = attributing(pipe, barcode, latitude, longitude, latents, batch)
    assert last.attribution is not None  # the last update has it
    return last.attribution


def attributing(
    pipe: G2PDiffusionPipeline,
    barcode: Barcode,
    latitude: float,
    longitude: float,
    latents: torch.Tensor,
    batch: int = 32,
) -> Generator[Occlusion]:
    """Occlude every codon of a barcode and measure the aligner's response.

    Args:
        pipe: a checkpoint with an aligner.
        barcode: the barcode that the picture was drawn from.
        latitude: degrees north.
        longitude: degrees east.
        latents: clean latent of the picture (1, C, h, w), as in the last `DenoisingStep`.
        batch: barcodes per call of the conditioner.

    Yields:
        One `Occlusion` per batch, and a last one with the attribution. Closing the generator stops the run.

    Raises:
        InputError: field `checkpoint`, if it has no aligner; field `latitude` or `longitude`, if it cannot be
            read.
    """
    if pipe.aligner is None:
        raise InputError(
            "checkpoint", "This checkpoint has no aligner, so it cannot tell which bases matter; use another."
        )
    locality = torch.tensor([check_locality(latitude, longitude)], dtype=torch.float32)
    return _attributing(pipe, barcode, locality, latents, batch)


@torch.no_grad()
def _attributing(
    pipe: G2PDiffusionPipeline,
    barcode: Barcode,
    locality: torch.Tensor,
    latents: torch.Tensor,
    batch: int,
) -> Generator[Occlusion]:
    known = [i for i in range(CODONS) if barcode.sequence[codon_sites(i)] != "NNN"]
    barcodes = [barcode, *(occlude(barcode, index) for index in known)]
    pooled = []
    for start in range(0, len(barcodes), batch):
        some = barcodes[start : start + batch]
        pooled.append(pipe.encode_condition(some, locality.expand(len(some), 2)).pooled)
        yield Occlusion(start + len(some), len(barcodes))
    timestep = torch.zeros(1, dtype=torch.long, device=pipe.device)
    log_probs = pipe.aligner.log_prob(latents.to(pipe.device), timestep, torch.cat(pooled))
    whole, *occluded = log_probs.tolist()

    input_ids = pipe.tokenizer.ids([some.sequence for some in barcodes])  # (1 + known, L)
    importance, tokens = np.zeros(CODONS), np.zeros(CODONS, np.int64)
    importance[known] = whole - np.array(occluded)
    tokens[known] = (input_ids[1:] != input_ids[0]).sum(1).numpy()
    yield Occlusion(len(barcodes), len(barcodes), Attribution(barcode, whole, importance, tokens))
