"""Placing cleaned letters on the region: the strand, the gaps and the indels are decided here, in bulk.

The form, the command line, the endpoints and the tables of training all come through `place`, so that a
record means the same barcode wherever it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from Bio.Seq import reverse_complement

from g2pdiff.dna.framing import frame
from g2pdiff.dna.indels import Indel, repair, suspects
from g2pdiff.dna.letters import Letters

TURN_MARGIN = 0.25
"""Match score by which the reverse complement must beat the sequence as given. It does by about 0.8 where a
real record was turned round, and by 0.24 at most where letters were shuffled."""

CLOSE_MARGIN = 0.004
"""Match score by which the reading without gaps must beat the one that holds their sites: some three letters
of a whole barcode. Of readings that are as good, the one that an alignment means is kept."""


@dataclass(frozen=True)
class Placement:
    """Where letters lie on the region.

    Attributes:
        sequence: 658 letters of A, C, G, T, N.
        length: sites from the first letter to the last one, held gaps and missing letters counted.
        offset: site on which the first letter falls.
        score: match score of `g2pdiff.dna.framing.frame`.
        is_turned: whether it is the reverse complement that lies there.
        is_held: whether gaps keep their sites.
        indels: where the shift along the letters changes, and N was set.
    """

    sequence: str
    length: int
    offset: int
    score: float
    is_turned: bool = False
    is_held: bool = True
    indels: tuple[Indel, ...] = ()


def place(records: Sequence[Letters]) -> list[Placement]:
    """Lay B cleaned records onto the region."""
    placements = _place_texts([record.held for record in records])
    gapped = [row for row, record in enumerate(records) if record.gaps]
    for row, closed in zip(gapped, _place_texts([records[row].closed for row in gapped]), strict=True):
        if closed.score > placements[row].score + CLOSE_MARGIN:
            placements[row] = replace(closed, is_held=False)
    for row, record in enumerate(records):
        placed = placements[row]
        if placed.is_held and (record.before or record.after):
            skipped = record.after if placed.is_turned else record.before
            length = placed.length - record.before - record.after
            placements[row] = replace(placed, offset=placed.offset + skipped, length=length)
    doubtful = suspects([placed.sequence for placed in placements])
    for row in doubtful.nonzero()[0].tolist():
        placements[row] = _repaired(records[row], placements[row])
    return placements


def _place_texts(texts: Sequence[str]) -> list[Placement]:
    """Return texts or their reverse complements, whichever matches, each in one piece."""
    framed, offsets, scores = frame(texts)
    placements = [
        Placement(sequence, len(text), int(offset), float(score))
        for text, sequence, offset, score in zip(texts, framed, offsets, scores, strict=True)
    ]
    # No match is above 1: what is nearer to 1 than the margin is not turned.
    rows = [row for row, placed in enumerate(placements) if placed.score < 1 - TURN_MARGIN]
    turned = frame([str(reverse_complement(texts[row])) for row in rows])
    for row, sequence, offset, score in zip(rows, *turned, strict=True):
        if score > placements[row].score + TURN_MARGIN:
            placements[row] = Placement(sequence, len(texts[row]), int(offset), float(score), is_turned=True)
    return placements


def _repaired(record: Letters, placed: Placement) -> Placement:
    """Return the placement with its indels found, where it has any."""
    letters = record.closed
    if placed.is_held:
        letters = record.held[record.before : len(record.held) - record.after]
    if placed.is_turned:
        letters = str(reverse_complement(letters))
    found = repair(letters, placed.offset)
    if found is None:
        return placed
    score = float(frame([found.sequence])[2][0])
    if score <= placed.score:
        return placed
    return replace(
        placed,
        sequence=found.sequence,
        length=found.end - found.first,
        offset=found.first,
        indels=found.indels,
        score=score,
    )
