"""Framing: finding where a stretch of DNA lies on the 658-site Folmer region of COI.

Everything downstream (k-mers, traits, mutations, comparisons) counts sites of one fixed region, so each
barcode is first laid onto it. The region is described by a *site profile*: how often each base occurs at each
site in insects (`folmer.npz`, made by `python -m training.folmer`). A sequence is slid along the profile and
the offset with the highest sum of profile weights wins.

The alignment is ungapped on purpose. Insertions and deletions are all but absent from the barcode region of
insect COI, a gap would break the reading frame of everything after it, and without gaps all offsets of a
whole batch are one cross-correlation, which a Fourier transform does for thousands of sequences a second. A
record that does carry an indel still frames on its longer part and gives itself away by stop codons.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

SITES = 658
"""Length of the Folmer region, the stretch between the primers LCO1490 and HCO2198."""

CODON_START = 1
"""Site of the first whole codon (0-based): 219 codons, in insects T L Y F I F G I W A G ..."""

PROFILE_PATH = Path(__file__).with_name("folmer.npz")

BASES = "ACGT"
_UNKNOWN = len(BASES)
_CODES = np.full(256, _UNKNOWN, np.uint8)
_CODES[np.frombuffer(BASES.encode(), np.uint8)] = np.arange(len(BASES))
_LETTERS = np.frombuffer(f"{BASES}N".encode(), np.uint8)

_SHIFT_MARGIN = 2.0
"""By how much another offset must beat offset 0, in square roots of the known letters: chance grows like
that, and of barcodes with shuffled letters one in a hundred passes, while real fragments of 200 letters pass
by nearly four times as much."""

_BATCH = 512


@cache
def site_profile() -> np.ndarray:
    """Return base frequencies (658, 4) of the Folmer region in the order A, C, G, T, read from
    `folmer.npz`."""
    with np.load(PROFILE_PATH, allow_pickle=False) as arrays:
        return arrays["profile"].astype(np.float32)


def encode(sequences: Sequence[str]) -> np.ndarray:
    """Return base codes (B, L) of sequences: 0 to 3 for A, C, G, T, 4 for any other letter and the padding.

    >>> encode(["ACGT", "AN"])
    array([[0, 1, 2, 3],
           [0, 4, 4, 4]], dtype=uint8)
    """
    longest = max([1, *map(len, sequences)])
    text = "".join(sequence.ljust(longest, "N") for sequence in sequences)
    letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    return _CODES[letters].reshape(len(sequences), longest)


def decode(codes: np.ndarray) -> list[str]:
    """Return strings of A, C, G, T, N from base codes (B, L); the inverse of `encode`."""
    return [row.tobytes().decode() for row in _LETTERS[codes]]


def frame(
    sequences: Sequence[str], profile: np.ndarray | None = None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Lay sequences onto the Folmer region by their best ungapped offset.

    Offset 0 is kept unless another offset is clearly better, so that a sequence of the whole region that
    evolution, mutation or N has made unlike the profile stays where it is.

    Args:
        sequences: B upper-case DNA strings of any lengths; letters other than A, C, G, T count as N.
        profile: base frequencies (658, 4), the stored site profile unless given.

    Returns:
        The B framed strings of 658 letters, missing sites N; their offsets (B,), int, the site on which the
        first letter falls (negative where letters lie before the region); and their match scores (B,), float:
        the sum of profile weights over the known sites, divided by what the consensus would score there.
        About 0 for DNA of any composition that is not COI and 1 for the consensus; 0 where nothing is known.
    """
    profile = site_profile() if profile is None else np.asarray(profile, np.float32)
    # Less the mean over sites, so that base composition alone scores nothing.
    weights = profile - profile.mean(axis=0)  # (658, 4)
    framed: list[str] = [""] * len(sequences)
    offsets = np.zeros(len(sequences), np.int64)
    scores = np.zeros(len(sequences), np.float32)
    by_length = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    for start in range(0, len(by_length), _BATCH):
        rows = by_length[start : start + _BATCH]
        codes = encode([sequences[row] for row in rows])  # (b, L)
        offsets[rows] = _best_offsets(codes, weights)
        placed = _place(codes, offsets[rows])  # (b, 658)
        scores[rows] = _match(placed, weights)
        for row, letters in zip(rows, decode(placed), strict=True):
            framed[row] = letters
    return framed, offsets, scores


def _best_offsets(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return offsets (b,) of the highest sum over i of `weights[i + offset, codes[i]]`, by the correlation
    theorem."""
    size = 1 << (SITES + codes.shape[1]).bit_length()
    one_hot = np.eye(_UNKNOWN + 1, _UNKNOWN, dtype=np.float32)[codes]  # (b, L, 4), unknown letters all zero
    spectrum = np.fft.rfft(weights, size, axis=0)[None] * np.fft.rfft(one_hot, size, axis=1).conj()
    sums = np.fft.irfft(spectrum.sum(axis=2), size, axis=1)  # (b, size), negative offsets at the end
    known = (codes != _UNKNOWN).sum(axis=1)
    sums[:, 0] += _SHIFT_MARGIN * np.sqrt(np.minimum(known, SITES))
    best = sums.argmax(axis=1)
    return np.where(best < SITES, best, best - size)


def _place(codes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return base codes (b, 658) of the sites, from codes (b, L) whose first letters fall on the offsets
    (b,)."""
    source = np.arange(SITES) - offsets[:, None]
    inside = (source >= 0) & (source < codes.shape[1])
    picked = np.take_along_axis(codes, np.where(inside, source, 0), axis=1)
    return np.where(inside, picked, np.uint8(_UNKNOWN))


def _match(placed: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the match scores (b,) of framed base codes (b, 658)."""
    with_unknown = np.concatenate([weights, np.zeros((SITES, 1), np.float32)], axis=1)
    reached = with_unknown[np.arange(SITES), placed].sum(axis=1)
    reachable = np.where(placed == _UNKNOWN, 0, weights.max(axis=1)).sum(axis=1)
    return np.divide(reached, reachable, out=np.zeros_like(reached), where=reachable > 0)
