"""Insertions and deletions: where a read leaves the frame of the rest of it, and how to repair that.

`g2pdiff.dna.framing` lays a sequence down in one piece. Behind a missing or an extra letter everything is
then shifted, and the match with the site profile falls to chance. Here the shift may change along the read,
at a price; the highest sum of profile weights less prices is found by dynamic programming over (letter,
shift). A change is believed only where both sides of it match the profile as COI does. Letters round it,
whose shift stays open, become N: an unknown site is honest, a shifted one is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from g2pdiff.dna.framing import SITES, encode, site_profile

NEAR, FAR = 30, 200
"""Letters that one insertion or deletion has at most: where there may be several, and where there is one."""

PRICE, PRICE_OF_FRAME = 4.0, 2.0
"""Profile weights that a change of shift costs, and one that breaks the reading frame in addition. A matching
letter weighs 0.5 on average, a chance one 0."""

SMALLEST_PIECE, SMALLEST_OF_TWO = 25, 45
"""Known letters that a piece has at least, of a few near ones and of two that are far apart: chance finds a
match for fewer among as many shifts. Of a read with a fifth of its sites substituted, the last 22 letters can
match as well as COI does."""

LEAST_MATCH = 0.45
"""Match score of a piece on its own, as real insects' records have it; shuffled letters stay below 0.3."""

OPEN = 4.0
"""By how much another end of a piece may be worse, in profile weights, for its letters to stay open. With
2.5, one insertion in 5,000 into real barcodes left letters on wrong sites: of a bee with an unusual
protein."""

Piece = tuple[int, int, int]
"""First letter, one past the last letter, and column of the shift."""

WINDOW, SUSPICIOUS = 36, 0.3
"""Known sites of a window, and the match in it below which a record is looked into at all."""


@dataclass(frozen=True)
class Indel:
    """One change of shift.

    Attributes:
        size: letters that are missing (positive) or extra (negative).
        first, last: sites of the region, from 0, that were set to N round it.
    """

    size: int
    first: int
    last: int

    @property
    def breaks_frame(self) -> bool:
        return self.size % 3 != 0


@dataclass(frozen=True)
class Laid:
    """A sequence that was laid down in pieces.

    Attributes:
        sequence: the framed string of 658 letters.
        first, end: the site on which the first letter falls, and one past that of the last; either may lie
            outside of the region.
        indels: the changes of shift along it.
    """

    sequence: str
    first: int
    end: int
    indels: tuple[Indel, ...]


def _weights() -> np.ndarray:
    """Return profile weights (659, 5): the unknown base and the site beyond the region weigh nothing."""
    profile = site_profile()
    weights = np.zeros((SITES + 1, 5), np.float32)
    weights[:SITES, :4] = profile - profile.mean(axis=0)
    return weights


def suspects(framed: list[str]) -> np.ndarray:
    """Find which of B framed barcodes have a stretch that matches the profile no better than chance (B,),
    bool."""
    weights = _weights()[:SITES]
    result = np.zeros(len(framed), bool)
    for start in range(0, len(framed), 2048):
        codes = encode(framed[start : start + 2048])
        got = weights[np.arange(SITES), codes]
        most = np.where(codes < 4, weights.max(axis=1), 0)
        got, most = (np.pad(sums.cumsum(1), ((0, 0), (1, 0))) for sums in (got, most))
        got, most = got[:, WINDOW:] - got[:, :-WINDOW], most[:, WINDOW:] - most[:, :-WINDOW]
        dense = most > 0.5 * most.max(axis=1, keepdims=True)
        result[start : start + 2048] = (dense & (got < SUSPICIOUS * most)).any(axis=1)
    return result


def repair(letters: str, offset: int) -> Laid | None:
    """Lay a sequence down in pieces.

    Args:
        letters: of A, C, G, T, N.
        offset: site on which the first letter falls if the sequence is laid down in one piece.

    Returns:
        Where it lies; None where one piece is best.
    """
    near = _laid(letters, offset, NEAR, _pieces, SMALLEST_PIECE)
    return near or _laid(letters, offset, FAR, _two_pieces, SMALLEST_OF_TWO)


def _laid(
    letters: str, offset: int, furthest: int, pieces: Callable[..., list[Piece]], smallest: int
) -> Laid | None:
    """Lay a sequence down as `repair` does, in the pieces that a function finds among shifts up to `furthest`
    letters, each of `smallest` known letters at least."""
    begins, ends = offset, offset + len(letters)
    # Letters that fall on no site whatever the shift decide nothing.
    start = max(0, -offset - furthest)
    letters, offset = letters[start : SITES - offset + furthest], offset + start
    codes = encode([letters])[0]
    weights, shifts = _weights(), np.arange(-furthest, furthest + 1)
    sites = np.arange(len(codes))[:, None] + offset + shifts  # (L, D)
    sites = np.where((sites >= 0) & (sites < SITES), sites, SITES)
    scores = weights[sites, codes[:, None]]  # (L, D)
    # The most that any stretch gains by any other shift: mostly too little, and soon computed.
    gained = np.pad((scores - scores[:, furthest, None]).cumsum(axis=0), ((1, 0), (0, 0)))
    if (gained - np.minimum.accumulate(gained)).max() <= PRICE:
        return None
    runs = pieces(scores, shifts)
    if len(runs) < 2:
        return None
    known = np.concatenate([[0], (codes < 4).cumsum()])
    best = weights.max(axis=1)
    for begin, end, column in runs:
        most = best[sites[begin:end, column]][codes[begin:end] < 4].sum()
        if known[end] - known[begin] < smallest or scores[begin:end, column].sum() < LEAST_MATCH * most:
            return None
    placed = np.full(SITES, 4, np.uint8)
    for begin, end, column in runs:
        on = sites[begin:end, column] < SITES
        placed[sites[begin:end, column][on]] = codes[begin:end][on]
    indels = []
    for (begin, middle, left), (_, end, right) in pairwise(runs):
        low, high = _open_letters(scores, begin, middle, end, left, right)
        # Sites that these letters, and the letters between them, fall on with either shift.
        touched = [low + offset + shifts[left], low + offset + shifts[right]]
        touched += [high - 1 + offset + shifts[left], high - 1 + offset + shifts[right]]
        first, last = max(0, int(min(touched))), min(SITES - 1, int(max(touched)))
        placed[first : last + 1] = 4
        indels.append(Indel(int(shifts[right] - shifts[left]), first, last))
    sequence = "".join("ACGTN"[code] for code in placed)
    begins, ends = begins + int(shifts[runs[0][2]]), ends + int(shifts[runs[-1][2]])
    return Laid(sequence, begins, ends, tuple(indels))


def _pieces(scores: np.ndarray, shifts: np.ndarray) -> list[Piece]:
    """Return runs (first letter, one past the last, column of the shift) of the best way through (L, D)
    scores."""
    change = np.abs(shifts[:, None] - shifts)
    price = PRICE + PRICE_OF_FRAME * (change % 3 != 0) + 0.05 * change
    price[change == 0] = 0
    total, came_from = scores[0].copy(), np.zeros(scores.shape, np.int16)
    total -= np.where(shifts == 0, 0, 0.01)  # of equal ways the one in one piece
    for index in range(1, len(scores)):
        reached = total[:, None] - price
        came_from[index] = reached.argmax(axis=0)
        total = reached.max(axis=0) + scores[index]
    columns = [int(total.argmax())]
    for index in range(len(scores) - 1, 0, -1):
        columns.append(int(came_from[index, columns[-1]]))
    columns = np.array(columns[::-1])
    cuts = [0, *(np.flatnonzero(np.diff(columns)) + 1), len(columns)]
    return [(int(a), int(b), int(columns[a])) for a, b in pairwise(cuts)]


def _two_pieces(scores: np.ndarray, shifts: np.ndarray) -> list[Piece]:
    """Return the best way through (L, D) scores that changes its shift once, if that pays; see `_pieces`."""
    left = np.pad(scores.cumsum(axis=0), ((1, 0), (0, 0)))  # (L + 1, D), sums before letter i
    right = left[-1] - left
    ways = left.max(axis=1) + right.max(axis=1)
    middle = int(ways.argmax())
    columns = int(left[middle].argmax()), int(right[middle].argmax())
    change = abs(int(shifts[columns[1]] - shifts[columns[0]]))
    price = PRICE + PRICE_OF_FRAME * (change % 3 != 0) + 0.05 * change
    if change == 0 or ways[middle] - price <= left[-1].max():
        return []
    return [(0, middle, columns[0]), (middle, len(scores), columns[1])]


def _open_letters(
    scores: np.ndarray, begin: int, middle: int, end: int, left: int, right: int
) -> tuple[int, int]:
    """Return the letters round a change of shift, first and one past the last, for which either shift may
    hold."""
    gain = scores[begin:end, left] - scores[begin:end, right]
    ways = np.concatenate([[0], gain.cumsum()])  # of a change before letter begin + i
    near = np.flatnonzero(ways >= ways.max() - OPEN) + begin
    return min(int(near.min()), middle - 1), max(int(near.max()), middle + 1)
