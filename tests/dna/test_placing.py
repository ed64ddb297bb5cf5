"""Gaps, indels and the strand: letters keep their sites, and what is not insect COI is named."""

import csv
from pathlib import Path
from random import Random

import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq, reverse_complement
from Bio.SeqRecord import SeqRecord
from hypothesis import example, given, settings
from hypothesis import strategies as st

from g2pdiff.dna.barcode import SITES, Barcode
from g2pdiff.dna.letters import GAPS, clean
from g2pdiff.dna.placing import place
from g2pdiff.dna.recognition import _INSECTS, _OTHERS, INVERTEBRATE, other_animal

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples.csv"
with EXAMPLES.open(newline="") as file:
    CONSENSUS = [row["dna_barcode"] for row in csv.DictReader(file)]
CARDUI = CONSENSUS[0]

few = settings(deadline=None, max_examples=40)
consensus = st.sampled_from(CONSENSUS)


def wrong_sites(sequence: str, truth: str) -> int:
    return sum(a != b and "N" not in (a, b) for a, b in zip(sequence, truth, strict=True))


def back_translated(protein: str, table: int, seed: int = 0) -> str:
    """Return the DNA of a protein, codons drawn at random; the first letter is the site before the first
    codon."""
    codons = {}
    for codon, acid in CodonTable.unambiguous_dna_by_id[table].forward_table.items():
        codons.setdefault(acid, []).append(codon)
    random = Random(seed)
    return "A" + "".join(random.choice(codons[acid]) for acid in protein)


@given(consensus, st.integers(20, 600), st.integers(1, 60), st.sampled_from([*GAPS, "N", "X", "x"]))
@few
def test_a_letter_that_is_not_there_keeps_its_site(truth, start, size, gap):
    size = min(size, SITES - 20 - start)
    barcode = Barcode.parse(f">aligned\n{truth[:start]}{gap * size}{truth[start + size :]}")
    assert barcode.sequence == truth[:start] + "N" * size + truth[start + size :]
    assert gap in "N" or any("unknown sites (N)" in note for note in barcode.notes)


@given(consensus, st.integers(60, 600), st.integers(1, 40))
@few
def test_gaps_where_nothing_is_missing_are_closed(truth, start, size):
    barcode = Barcode.parse(truth[:start] + "-" * size + truth[start:])
    assert barcode.sequence == truth
    assert any(note.startswith(f"Removed {size} gap") for note in barcode.notes)


@given(consensus, st.integers(0, 200), st.integers(0, 200), st.booleans())
@few
def test_gaps_round_a_record_are_sites_that_were_not_read(truth, before, after, is_turned):
    letters = "-" * before + truth[before : SITES - after] + "-" * after
    barcode = Barcode.parse(reverse_complement(letters) if is_turned else letters)
    assert barcode.sequence == "N" * before + truth[before : SITES - after] + "N" * after
    assert (barcode.offset, barcode.length, barcode.n_fraction) == (before, SITES - before - after, 0)


@given(consensus, st.integers(60, 580), st.sampled_from([1, 2, 3, 4, 6, 9, 12]), st.booleans())
@few
def test_missing_letters_are_noticed_and_nothing_behind_them_is_shifted(truth, start, size, is_turned):
    letters = truth[:start] + truth[start + size :]
    barcode = Barcode.parse(reverse_complement(letters) if is_turned else letters)
    assert wrong_sites(barcode.sequence, truth) <= 5
    assert barcode.coverage >= SITES - 75
    (told,) = [warning for warning in barcode.warnings if "missing" in warning]
    assert f"{size} letter" in told and ("reading frame" in told) == (size % 3 != 0)


@given(consensus, st.integers(60, 580), st.text("ACGT", min_size=1, max_size=9))
@example(CONSENSUS[20], 455, "CAATTG")
@example(CONSENSUS[20], 483, "AA")
@example(CONSENSUS[20], 458, "GGGGGG")
@few
def test_extra_letters_are_noticed(truth, start, extra):
    barcode = Barcode.parse(truth[:start] + extra + truth[start:])
    assert wrong_sites(barcode.sequence, truth) <= len(extra) + 4
    assert any("too many" in warning for warning in barcode.warnings)


@given(consensus, st.integers(100, 480), st.integers(31, 90))
@few
def test_a_long_stretch_that_is_missing_is_noticed(truth, start, size):
    barcode = Barcode.parse(truth[:start] + truth[start + size :])
    assert wrong_sites(barcode.sequence, truth) <= 5
    (told,) = [warning for warning in barcode.warnings if "put back on their sites" in warning]
    assert f"{size} letters are missing" in told
    assert not any("which are not covered" in note for note in barcode.notes)


@given(consensus, st.integers(150, 430), st.integers(31, 75))
@few
def test_a_long_stretch_of_foreign_letters_is_noticed(truth, start, size):
    barcode = Barcode.parse(truth[:start] + "".join(Random(start).choices("ACGT", k=size)) + truth[start:])
    # Some of them may match beside the cut by chance, none of the letters behind it is shifted.
    assert wrong_sites(barcode.sequence[: start - 40], truth[: start - 40]) == 0
    assert wrong_sites(barcode.sequence[start + 40 :], truth[start + 40 :]) == 0
    assert any("too many" in warning for warning in barcode.warnings)


@given(consensus, st.floats(0, 0.5), st.integers(0, 1000))
@few
def test_substitutions_are_no_indels(truth, rate, seed):
    mutant = Barcode(truth).mutate(rate, seed).sequence
    assert place([clean(mutant)])[0].sequence == mutant


def test_records_in_bulk_are_placed_as_one_by_one():
    texts = [CARDUI, CARDUI[:300] + CARDUI[301:], f"{CARDUI[:90]}---{CARDUI[93:]}", CARDUI.lower()]
    texts += [reverse_complement(CARDUI[50:]), f"{CARDUI[:100]}--{CARDUI[100:]}"]
    records = [clean(text) for text in texts]
    together = place(records)
    for text, record, placed in zip(texts, records, together, strict=True):
        alone = place([record])[0]
        assert (alone.sequence, alone.offset) == (placed.sequence, placed.offset)
        assert alone.indels == placed.indels
        assert Barcode.parse(text).sequence == placed.sequence


@pytest.mark.parametrize(("name", "table", "protein"), _OTHERS)
@pytest.mark.parametrize("seed", range(3))
def test_other_animals_are_named_with_their_genetic_code(name, table, protein, seed):
    random = Random(seed)
    varied = "".join(random.choice("LIVMSTAG") if random.random() < 0.05 else acid for acid in protein)
    barcode = Barcode.parse(back_translated(varied, table, seed))
    (told,) = [warning for warning in barcode.warnings if "reads as COI of" in warning]
    assert name in told and f"genetic code {table}" in told and "means nothing" in told
    assert barcode.is_foreign
    assert not any("pseudogene" in warning for warning in barcode.warnings)


@given(consensus, st.floats(0, 0.1), st.integers(0, 1000))
@few
def test_insects_are_named_nothing(truth, rate, seed):
    assert other_animal(Barcode(truth).mutate(rate, seed).sequence) is None


@pytest.mark.parametrize("protein", _INSECTS)
def test_no_order_of_insects_reads_as_another_animal(protein):
    assert other_animal(back_translated(protein, INVERTEBRATE)) is None


FLANK = "".join(Random(5).choices("AATTTC", k=14_000))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FLANK[:40] + CARDUI + FLANK[:850], "piece of the COI gene: its barcode region, letters 41 to"),
        (FLANK[:1500] + CARDUI + FLANK[1500:], "mitochondrial genome: its barcode region, letters 1,501 to"),
        (f"; made by hand\n>moth\n{CARDUI}", "Ignored 1 comment line."),
    ],
)  # fmt: skip
def test_longer_pieces_and_comments_are_said(text, words):
    barcode = Barcode.parse(text)
    assert barcode.sequence == CARDUI and barcode.warnings == ()
    assert any(words in note for note in barcode.notes)


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        (FLANK[:200] + "CGACGAGAAGACCCTATAGAGTTT" + FLANK[200:400], "looks like 16S ribosomal RNA"),
        (FLANK[:200] + "AAACTAGGATTAGATACCCTATTAT" + FLANK[200:400], "looks like 12S ribosomal RNA"),
        (back_translated("WFFGHPEVYILILPGFGMISH" * 5, 5)[1:], "the part of COI behind the barcode region"),
    ],
)
def test_other_markers_are_named(letters, words):
    for text in (letters, reverse_complement(letters)):
        assert words in Barcode.parse(text).warnings[0]


def test_what_is_far_from_every_insect_is_told():
    far = Barcode.parse(Barcode(CARDUI).mutate(0.27, seed=1).sequence)
    assert any("unlike nearly all insect COI" in warning for warning in far.warnings)


def test_biopythons_types_are_read_like_their_text():
    record = SeqRecord(Seq(CARDUI), id="moth", description="moth 1")
    assert Barcode.parse(Seq(CARDUI)) == Barcode.parse(CARDUI)
    assert Barcode.parse(record) == Barcode.parse(f">moth 1\n{CARDUI}")
    assert Barcode.parse(CARDUI.encode()) == Barcode.parse(CARDUI)
