"""Barcodes: reading what a person pastes, framing it on the Folmer region, translating it and mutating it.

`Barcode.parse` takes raw letters or FASTA, cleans what can be cleaned, says so in `notes`, says what to be
wary of in `warnings`, and refuses the rest with one sentence (`g2pdiff.errors.InputError`). What comes out is
always 658 letters of A, C, G, T, N on the same sites, see `g2pdiff.dna.framing`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import numpy as np
from Bio.Seq import translate
from Bio.SeqIO.FastaIO import SimpleFastaParser

from g2pdiff.dna.foreign import headless, other_format
from g2pdiff.dna.framing import BASES, CODON_START, SITES, decode, encode, frame
from g2pdiff.dna.headers import read_header
from g2pdiff.dna.letters import LONGEST, SHORTEST, Letters, clean, count
from g2pdiff.dna.placing import Placement, place
from g2pdiff.dna.recognition import CODES, longer_piece, other_animal, other_marker
from g2pdiff.dna.records import Entries, Entry, is_tabular, read_entries
from g2pdiff.errors import InputError, printable, quoted
from g2pdiff.validation import check_rate, check_seed

__all__ = ["BASES", "CODON_START", "SITES", "TRANSLATION_TABLE", "Barcode", "frame"]

TRANSLATION_TABLE = 5
"""NCBI's number of the invertebrate mitochondrial code."""

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

RARE_SCORE = 0.6
"""Match score that 999 of 1,000 insect records reach."""

MANY_UNKNOWN = 0.05

_GENBANK_FRAME = re.compile(r"(?m)^(ORIGIN\b.*|//)$")


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
        is_foreign: whether it reads as something else than insect COI, so that no score of a picture counts.
    """

    sequence: str
    name: str = ""
    length: int = SITES
    offset: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_foreign: bool = False

    @classmethod
    def parse(cls, text: object) -> "Barcode":
        """Read raw letters, FASTA, a GenBank file or a table, of several records the first; or Biopython's
        `Seq` or `SeqRecord`. None is an empty box.

        A place that the record names is not used: a note says so, or a warning where it cannot be read.

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
                a protein, fewer than 200 or more than 30,000 letters, more than half N, or hardly overlaps
                the region.
        """
        entry, notes = _read(as_text(text))
        barcode = cls.of(shorten(entry.name), entry.letters, notes)
        return replace(barcode, warnings=(entry.warning, *barcode.warnings)) if entry.warning else barcode

    @classmethod
    def of(cls, name: str, letters: str, notes: Sequence[str] = ()) -> "Barcode":
        """Return the barcode of the letters of one record, read as `parse` reads them.

        Raises:
            InputError: field `barcode`, as of `parse`.
        """
        if not letters.strip():
            raise InputError("barcode", f"{quoted(name) if name else 'The record'} has no sequence.")
        cleaned = clean(letters)
        return cls.placed(name, cleaned, place([cleaned])[0], notes)

    @classmethod
    def placed(
        cls, name: str, letters: Letters, placement: Placement, notes: Sequence[str] = ()
    ) -> "Barcode":
        """Return the barcode of cleaned letters and where they lie.

        Raises:
            InputError: field `barcode`, if they hardly overlap the region.
        """
        barcode = cls(placement.sequence, name, placement.length, placement.offset)
        if barcode.coverage < LEAST_KNOWN:
            raise InputError(
                "barcode",
                f"The barcode has only {barcode.coverage} known letters in the {SITES}-site barcode region: "
                f"paste a COI sequence that overlaps the region by at least {SHORTEST} letters.",
            )
        notes = [*notes, *letters.notes]
        if letters.gaps and placement.is_held:
            notes.append(
                f"Kept {count(letters.gaps, 'gap')} as unknown sites (N): the letters behind match better so."
            )
        elif letters.gaps:
            notes.append(f"Removed {count(letters.gaps, 'gap character')}.")
        if placement.is_turned:
            notes.append("Turned the sequence: it was the reverse complement of the barcode.")
        notes += barcode._placement()
        foreign = barcode._foreign(letters.closed, placement.score)
        return replace(
            barcode,
            notes=tuple(notes),
            warnings=(*foreign, *barcode._doubts(placement)),
            is_foreign=bool(foreign),
        )

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
        return str(translate(self.sequence[CODON_START:], table=str(TRANSLATION_TABLE)))

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
        amount = round(rate * self.coverage)
        if amount == 0:
            return self
        codes = encode([self.sequence])[0]
        known = np.flatnonzero(codes < len(BASES))
        generator = np.random.default_rng(seed)
        sites = generator.permutation(known)[:amount]
        steps = generator.integers(1, len(BASES), size=len(known))[:amount]
        codes[sites] = (codes[sites] + steps) % len(BASES)
        note = f"Substituted {count(amount, 'site')} (mutation rate {rate:g}, seed {seed})."
        return replace(self, sequence=decode(codes[None])[0], notes=(*self.notes, note))

    def differences(self, other: "Barcode") -> tuple[int, ...]:
        """Return sites known in both barcodes where their bases differ, counted from 0.

        >>> Barcode("ACGT").differences(Barcode("ATGN"))
        (1,)
        """
        pairs = zip(self.sequence, other.sequence, strict=True)
        return tuple(site for site, (a, b) in enumerate(pairs) if a != b and "N" not in (a, b))

    def _span(self) -> tuple[int, int]:
        """Return the first site and one past the last site of the region that the given letters fall on."""
        return max(self.offset, 0), min(self.offset + self.length, SITES)

    @property
    def _first_codon(self) -> int:
        """The letter, from 1, that the first whole codon of the letters begins with: 1, 2 or 3."""
        return (CODON_START - self.offset) % 3 + 1

    def _placement(self) -> list[str]:
        """Note how the given letters lie on the region."""
        start, end = self._span()
        notes = []
        before, after = max(-self.offset, 0), max(self.offset + self.length - SITES, 0)
        if before or after:
            trimmed = count(before + after, "letter")
            notes.append(f"Trimmed {trimmed}: {before:,} before the region, {after:,} after it.")
        if end - start < SITES:
            notes.append(
                f"Set the sites outside {start + 1} to {end} of {SITES}, which are not covered, to N."
            )
        if piece := longer_piece(self.length):
            notes.append(
                f"The sequence is {piece}: its barcode region, letters {1 - self.offset + start:,} to "
                f"{end - self.offset:,} in reading frame {self._first_codon}, was cut out."
            )
        return notes

    def _foreign(self, letters: str, score: float) -> list[str]:
        """Return the warning on letters without gaps that are no insect COI; none on others.

        Args:
            letters: as given, cleaned.
            score: their match score on the region.
        """
        if other := other_animal(self.sequence):
            return [
                f"The barcode reads as COI of {other.name} ({other.identity:.0%} of its amino acids with "
                f"NCBI's genetic code {other.table}, {CODES[other.table]}; {other.insects:.0%} of insects'): "
                "the model knows insects alone, so that a picture for it means nothing."
            ]
        if score < COI_SCORE:
            marker = other_marker(letters)
            what = (
                f"looks like {marker}, not like the barcode region of COI"
                if marker
                else "is unlike insect COI"
            )
            return [
                f"The sequence {what} (match {score:.2f}, of real barcodes 0.6 and more): "
                "a picture for it means nothing."
            ]
        if score < RARE_SCORE and self.coverage >= STANDARD_LENGTH:
            return [
                f"The barcode is unlike nearly all insect COI (match {score:.2f}; 999 of 1,000 insect "
                f"records reach {RARE_SCORE:.2f}): a picture for it says little."
            ]
        return []

    def _doubts(self, placement: Placement) -> list[str]:
        """Return the warnings on indels, stop codons and letters that are missing."""
        warnings = []
        for indel in placement.indels:
            size = count(abs(indel.size), "letter")
            is_or_are = "is" if abs(indel.size) == 1 else "are"
            what = f"{size} {is_or_are} {'missing' if indel.size > 0 else 'too many'}"
            why = (
                "breaks the reading frame, as a sequencing error or a pseudogene does"
                if indel.breaks_frame
                else "shifts the codons behind it"
            )
            warnings.append(
                f"Near site {(indel.first + indel.last) // 2 + 1} {what}, which {why}: the letters behind "
                f"were put back on their sites, and sites {indel.first + 1} to {indel.last + 1} set to N."
            )
        if self.stop_codons and placement.score >= COI_SCORE and not other_animal(self.sequence):
            stops = count(len(self.stop_codons), "stop codon")
            warnings.append(
                f"The reading frame has {stops} (the first is codon {self.stop_codons[0] + 1} of "
                f"{len(self.amino_acids)}; codons begin with letter {self._first_codon}): a sequencing "
                "error or a pseudogene is likely."
            )
        start, end = self._span()
        if end - start < STANDARD_LENGTH:
            covered = f"Only {end - start} of {SITES} sites are covered"
            warnings.append(f"{covered}; {STANDARD_LENGTH} are the usual minimum.")
        if self.n_fraction > MANY_UNKNOWN:
            warnings.append(f"{self.n_fraction:.0%} of the letters are N.")
        return warnings


def as_text(value: Any) -> str:
    """Return what was given for a barcode as text: FASTA of Biopython's records, nothing for None."""
    if value is None:
        return ""
    if hasattr(value, "seq"):  # SeqRecord
        return f">{value.description}\n{value.seq}"
    return bytes(value).decode("ascii", "replace") if isinstance(value, (bytes, bytearray)) else str(value)


def _read(text: str) -> tuple[Entry, list[str]]:
    """Return the first record of a text, and notes."""
    if len(text) > MAXIMUM_TEXT:
        raise InputError(
            "barcode",
            f"The barcode text has {len(text):,} characters: paste one sequence, up to {LONGEST:,} letters.",
        )
    text = text.replace("\ufeff", "")
    if is_tabular(text):
        return _first(read_entries(text, "barcode"))
    if wrong := other_format(text):
        raise InputError("barcode", f"The barcode {wrong}")
    # Blanks become tabs, which the parser leaves in the sequence, where they are counted.
    lines = [line.strip().replace(" ", "\t") for line in text.splitlines()]
    comments = sum(line.startswith(";") for line in lines)
    text = _GENBANK_FRAME.sub("", "\n".join(line for line in lines if not line.startswith(";"))).strip()
    if not text:
        raise InputError("barcode", "The barcode is empty: paste a COI sequence, as plain letters or FASTA.")
    if not text.startswith(">") and (wrong := headless(text)):
        raise InputError("barcode", f"The barcode {wrong}")
    # Raw letters are a FASTA record that lacks its header.
    records = list(SimpleFastaParser(StringIO(text if text.startswith(">") else f">\n{text}")))
    header, letters = records[0]
    if not letters.strip():
        raise InputError(
            "barcode",
            "The barcode has a FASTA header but no sequence: paste the letters on the lines below it.",
        )
    notes = [f"Ignored {count(comments, 'comment line')}."] if comments else []
    if len(records) > 1:
        notes.append(f"Used the first of {len(records):,} FASTA records and ignored the others.")
    found = read_header(header.replace("\t", " "))
    entry = Entry(found.name, letters, found.locality, found.warning)
    return entry, notes + _unused(entry)


def _first(entries: Entries) -> tuple[Entry, list[str]]:
    """Return the first record of a table or a flat file, and notes."""
    notes = list(entries.remarks)
    if len(entries) > 1:
        notes.append(f"Used the first of {len(entries):,} records and ignored the others.")
    return entries[0], notes + _unused(entries[0])


def _unused(entry: Entry) -> list[str]:
    """Return what is to be said of the place that a record names, which is not where it is drawn."""
    if entry.locality is None:
        return []
    place = f"latitude {entry.locality.latitude:g}, longitude {entry.locality.longitude:g}"
    return [f"The record names a place, {place}: the place that is given beside the barcode is used."]


def shorten(name: str) -> str:
    """Return a FASTA header as a page, a table or a file can hold it: one line of at most 200 characters."""
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
