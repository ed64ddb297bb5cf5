"""Barcodes: reading what a person pastes, framing it on the Folmer region, translating it and mutating it.

`Barcode.parse` takes raw letters or FASTA, cleans what can be cleaned, says so in `notes`, says what to be
wary of in `warnings`, and refuses the rest with one sentence (`g2pdiff.errors.InputError`). What comes out is
always 658 letters of A, C, G, T, N on the same sites, see `g2pdiff.dna.framing`.
"""

import re
from dataclasses import dataclass, replace
from io import StringIO

import numpy as np
from Bio.Seq import reverse_complement, translate
from Bio.SeqIO.FastaIO import SimpleFastaParser

from g2pdiff.dna.framing import BASES, CODON_START, SITES, decode, encode, frame
from g2pdiff.errors import InputError, printable
from g2pdiff.validation import check_rate, check_seed

__all__ = ["BASES", "CODON_START", "SITES", "TRANSLATION_TABLE", "Barcode", "frame"]

TRANSLATION_TABLE = 5
"""NCBI's number of the invertebrate mitochondrial code."""

SHORTEST, LONGEST = 200, 2000
MAXIMUM_TEXT = 1_000_000
LONGEST_NAME = 200
LEAST_KNOWN = SHORTEST // 2
"""Known sites that a framed barcode must have: those of the shortest read when half of it is N."""

STANDARD_LENGTH = 500
"""Letters of COI that BOLD asks of a barcode record."""

COI_SCORE = 0.4
"""Match score under which a sequence is called unlike COI. Of 137,615 insect records 99.9 % reach 0.60; with
shuffled letters none reaches 0.25; with half of the sites substituted the middle 98 % lie between 0.22 and
0.38."""

TURN_MARGIN = 0.25
"""Match score by which the reverse complement must beat the sequence as given. It does by about 0.8 where a
real record was turned round, and by 0.24 at most where letters were shuffled."""

MANY_UNKNOWN = 0.05

_NOISE = (
    (re.compile(r"[\s\u200b-\u200d\u2060]"), "space"),
    (re.compile(r"[0-9]+"), "line number"),
    (re.compile(r"[-.~]"), "gap character"),
)
_GENBANK_FRAME = re.compile(r"(?m)^(ORIGIN\b.*|//)$")
_AMBIGUITY_CODES = "RYSWKMBDHV"
_IUPAC_CODES = f"{BASES}UN{_AMBIGUITY_CODES}"
_DNA_LETTERS = frozenset(_IUPAC_CODES + _IUPAC_CODES.lower())
_AMINO_ACID_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYXBZ*acdefghiklmnpqrstvwyxbz")


@dataclass(frozen=True)
class Barcode:
    """A COI barcode framed on the Folmer region.

    Attributes:
        sequence: 658 letters of A, C, G, T, N; sites that were not read are N.
        name: FASTA header in one line, cut at 200 characters; empty for raw letters.
        length: letters given, after cleaning.
        offset: site on which the first given letter falls; negative where letters were trimmed before it.
        notes: what was cleaned, turned, trimmed or ignored, a sentence each.
        warnings: what speaks against trusting a picture made from this barcode, a sentence each.
    """

    sequence: str
    name: str = ""
    length: int = SITES
    offset: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> "Barcode":
        """Read raw letters or FASTA, of several records the first; None is an empty box.

        >>> from g2pdiff.built_in import example_barcode
        >>> barcode = Barcode.parse(example_barcode("Papilio machaon"))
        >>> barcode.name, len(barcode.sequence), barcode.warnings
        ('Papilio machaon', 658, ())
        >>> fragment = Barcode.parse(barcode.sequence[100:400].lower())
        >>> fragment.offset, fragment.coverage
        (100, 300)
        >>> fragment.notes[0]
        'Read 300 lower-case letters as upper case.'

        Raises:
            InputError: field `barcode`, if the text is empty or huge, holds letters that are not IUPAC DNA or
                a protein, fewer than 200 or more than 2,000 letters, more than half N, or hardly overlaps the
                region.
        """
        name, letters, notes = _read(text)
        letters, cleaned = _clean(letters)
        notes += cleaned
        (forward, turned), offsets, scores = frame([letters, reverse_complement(letters)])
        is_turned = bool(scores[1] > scores[0] + TURN_MARGIN)
        barcode = cls(turned if is_turned else forward, name, len(letters), int(offsets[int(is_turned)]))
        if barcode.coverage < LEAST_KNOWN:
            raise InputError(
                "barcode",
                f"The barcode has only {barcode.coverage} known letters in the {SITES}-site barcode region: "
                f"paste a COI sequence that overlaps the region by at least {SHORTEST} letters.",
            )
        if is_turned:
            notes.append("Turned the sequence: it was the reverse complement of the barcode.")
        notes += barcode._placement()
        return replace(barcode, notes=tuple(notes), warnings=barcode._doubts(scores[int(is_turned)]))

    @property
    def coverage(self) -> int:
        """Sites that are known, that is, not N."""
        return SITES - self.sequence.count("N")

    @property
    def n_fraction(self) -> float:
        """Share of N among the sites of the region that the given letters fall on."""
        start, end = self._span()
        return self.sequence.count("N", start, end) / (end - start)

    @property
    def amino_acids(self) -> str:
        """The 219 codons translated with NCBI table 5: X where unknown, * for a stop codon.

        >>> from g2pdiff.built_in import example_barcode
        >>> Barcode.parse(example_barcode("Papilio machaon")).amino_acids[:11]
        'TLYFIFGIWAS'
        """
        return translate(self.sequence[CODON_START:], table=TRANSLATION_TABLE)

    @property
    def stop_codons(self) -> tuple[int, ...]:
        """Indices, 0 to 218, of the stop codons; a working COI gene has none in this region."""
        return tuple(index for index, letter in enumerate(self.amino_acids) if letter == "*")

    def mutate(self, rate: float, seed: int = 0) -> "Barcode":
        """Substitute `round(rate * coverage)` distinct known sites, each by one of the three other bases.

        Sites and bases are drawn uniformly. With one seed, a higher rate keeps the substitutions of a lower
        one and adds to them, so that a series over rates is one path of mutation. Warnings stay those of the
        barcode as given.

        >>> from g2pdiff.built_in import example_barcode
        >>> barcode = Barcode.parse(example_barcode())
        >>> few, more = barcode.mutate(0.01, seed=1), barcode.mutate(0.02, seed=1)
        >>> len(barcode.differences(few)), len(barcode.differences(more)), len(few.differences(more))
        (7, 13, 6)

        Raises:
            InputError: field `mutation_rate` outside 0 to 1, or `seed`.
        """
        rate, seed = check_rate("mutation_rate", rate), check_seed(seed)
        count = round(rate * self.coverage)
        if count == 0:
            return self
        codes = encode([self.sequence])[0]
        known = np.flatnonzero(codes < len(BASES))
        generator = np.random.default_rng(seed)
        sites = generator.permutation(known)[:count]
        steps = generator.integers(1, len(BASES), size=len(known))[:count]
        codes[sites] = (codes[sites] + steps) % len(BASES)
        note = f"Substituted {_count(count, 'site')} (mutation rate {rate:g}, seed {seed})."
        return replace(self, sequence=decode(codes[None])[0], notes=(*self.notes, note))

    def differences(self, other: "Barcode") -> tuple[int, ...]:
        """Sites known in both barcodes where their bases differ, counted from 0.

        >>> Barcode("ACGT").differences(Barcode("ATGN"))
        (1,)
        """
        pairs = zip(self.sequence, other.sequence, strict=True)
        return tuple(site for site, (a, b) in enumerate(pairs) if a != b and "N" not in (a, b))

    def _span(self) -> tuple[int, int]:
        """First site and one past the last site of the region that the given letters fall on."""
        return max(self.offset, 0), min(self.offset + self.length, SITES)

    def _placement(self) -> list[str]:
        """Notes on how the given letters lie on the region."""
        start, end = self._span()
        notes = []
        before, after = max(-self.offset, 0), max(self.offset + self.length - SITES, 0)
        if before or after:
            trimmed = _count(before + after, "letter")
            notes.append(f"Trimmed {trimmed}: {before} before the region, {after} after it.")
        if end - start < SITES:
            notes.append(
                f"Set the sites outside {start + 1} to {end} of {SITES}, which are not covered, to N."
            )
        return notes

    def _doubts(self, score: float) -> tuple[str, ...]:
        """Warnings, given the match score of `frame`."""
        warnings = []
        if score < COI_SCORE:
            warnings.append(
                f"The sequence is unlike insect COI (match {score:.2f}, of real barcodes 0.6 and more): "
                "a picture for it means nothing."
            )
        elif self.stop_codons:
            stops = _count(len(self.stop_codons), "stop codon")
            warnings.append(
                f"The reading frame has {stops} (the first is codon {self.stop_codons[0] + 1} of "
                f"{len(self.amino_acids)}): a sequencing error or a pseudogene is likely."
            )
        start, end = self._span()
        if end - start < STANDARD_LENGTH:
            covered = f"Only {end - start} of {SITES} sites are covered"
            warnings.append(f"{covered}; {STANDARD_LENGTH} are the usual minimum.")
        if self.n_fraction > MANY_UNKNOWN:
            warnings.append(f"{self.n_fraction:.0%} of the letters are N.")
        return tuple(warnings)


def _read(text: str | None) -> tuple[str, str, list[str]]:
    """Name and letters of the first record, and notes, from raw letters or FASTA."""
    text = text or ""
    if len(text) > MAXIMUM_TEXT:
        raise InputError(
            "barcode",
            f"The barcode text has {len(text):,} characters: paste one sequence, up to {LONGEST:,} letters.",
        )
    # Blanks become tabs, which the parser leaves in the sequence, where they are counted.
    lines = (line.strip().replace(" ", "\t") for line in text.replace("\ufeff", "").splitlines())
    text = _GENBANK_FRAME.sub("", "\n".join(lines)).strip()
    if not text:
        raise InputError("barcode", "The barcode is empty: paste a COI sequence, as plain letters or FASTA.")
    # Raw letters are a FASTA record that lacks its header.
    records = list(SimpleFastaParser(StringIO(text if text.startswith(">") else f">\n{text}")))
    name, letters = records[0]
    if not letters.strip():
        raise InputError(
            "barcode",
            "The barcode has a FASTA header but no sequence: paste the letters on the lines below it.",
        )
    notes = []
    if len(records) > 1:
        notes.append(f"Used the first of {len(records):,} FASTA records and ignored the others.")
    return shorten(name), letters, notes


def shorten(name: str) -> str:
    """A FASTA header as a page, a table or a file can hold it: one line of at most 200 characters."""
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _clean(letters: str) -> tuple[str, list[str]]:
    """Upper-case letters of A, C, G, T, N, and notes on what was cleaned, from letters as given."""
    notes = []
    for pattern, what in _NOISE:
        letters, count = pattern.subn("", letters)
        if count:
            notes.append(f"Removed {_count(count, what)}.")
    _check_letters(letters)
    if lower := sum(map(str.islower, letters)):
        notes.append(f"Read {_count(lower, 'lower-case letter')} as upper case.")
        letters = letters.upper()
    if uracils := letters.count("U"):
        notes.append(f"Read {_count(uracils, 'letter')} U as T.")
        letters = letters.replace("U", "T")
    if ambiguous := sum(letters.count(code) for code in _AMBIGUITY_CODES):
        notes.append(f"Read {_count(ambiguous, 'ambiguity code')} as N.")
        letters = letters.translate(str.maketrans(_AMBIGUITY_CODES, "N" * len(_AMBIGUITY_CODES)))
    _check_amount(letters)
    return letters, notes


def _check_letters(letters: str) -> None:
    """Refuse letters that are not IUPAC DNA, and say so where they are a protein's."""
    strange = [index for index, letter in enumerate(letters) if letter not in _DNA_LETTERS]
    if not strange:
        return
    is_protein = _AMINO_ACID_LETTERS.issuperset(letters) and len(letters) >= 20
    if is_protein and len(strange) > 0.05 * len(letters):
        raise InputError(
            "barcode", "The barcode looks like a protein: paste the DNA of the COI gene, not its amino acids."
        )
    first = f"{letters[strange[0]]!r} after {_count(strange[0], 'letter')}"
    raise InputError(
        "barcode",
        f"The barcode has {_count(len(strange), 'character')} that DNA does not have (first {first}): "
        "paste a sequence of A, C, G, T and IUPAC codes alone.",
    )


def _check_amount(letters: str) -> None:
    """Refuse too few or too many letters, and too many N among them."""
    given = _count(len(letters), "letter")
    if len(letters) < SHORTEST:
        raise InputError(
            "barcode", f"The barcode is too short ({given}): paste at least {SHORTEST} letters of COI."
        )
    if len(letters) > LONGEST:
        raise InputError(
            "barcode",
            f"The barcode is too long ({given}): cut out the COI barcode region, up to {LONGEST:,} letters.",
        )
    if 2 * letters.count("N") > len(letters):
        share = letters.count("N") / len(letters)
        raise InputError("barcode", f"The barcode is {share:.0%} N: paste a sequence at least half known.")


def _count(number: int, what: str) -> str:
    """`1 gap`, `3 gaps`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
