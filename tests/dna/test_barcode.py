"""Reading, framing, translating and mutating barcodes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import reverse_complement
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from g2pdiff.dna.barcode import BASES, CODON_START, SITES, Barcode, frame
from g2pdiff.dna.framing import decode, encode
from g2pdiff.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples.csv"
with EXAMPLES.open(newline="") as file:
    CONSENSUS = {row["name"]: row["dna_barcode"] for row in csv.DictReader(file)}
CARDUI = CONSENSUS["Vanessa cardui"]

properties = settings(deadline=None, max_examples=60)
consensus = st.sampled_from(sorted(CONSENSUS.values()))
seeds = st.integers(0, 2**32 - 1)


@st.composite
def reads(draw, shortest: int = 250) -> str:
    """Return a stretch of a species' barcode with up to 20 % substitutions and some N, as a sequencer would
    give it."""
    sequence = Barcode(draw(consensus)).mutate(draw(st.floats(0, 0.2)), draw(seeds)).sequence
    start = draw(st.integers(0, SITES - shortest))
    letters = list(sequence[start : draw(st.integers(start + shortest, SITES))])
    for site in draw(st.lists(st.integers(0, len(letters) - 1), max_size=5)):
        letters[site] = "N"
    return "".join(letters)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        Barcode.parse(text)
    assert caught.value.field == "barcode"
    return str(caught.value)


def genbank(sequence: str) -> str:
    lines = []
    for start in range(0, len(sequence), 60):
        blocks = (sequence[i : i + 10] for i in range(start, min(start + 60, len(sequence)), 10))
        lines.append(f"{start + 1:>9} {' '.join(blocks).lower()}")
    return "\n".join(["ORIGIN", *lines, "//"])


# Reading


def test_a_whole_barcode_is_taken_as_it_is():
    barcode = Barcode.parse(CARDUI)
    assert barcode == Barcode(sequence=CARDUI, name="", length=658, offset=0, notes=(), warnings=())
    assert (barcode.coverage, barcode.n_fraction, barcode.stop_codons) == (658, 0, ())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f">ABCD123-10|COI-5P|Vanessa cardui\n{CARDUI}\n", "ABCD123-10|COI-5P|Vanessa cardui"),
        (f"\ufeff\r\n>one\r\n{CARDUI[:300]}\r\n\r\n{CARDUI[300:]}", "one"),
        (f">\n{CARDUI}", ""),
        (f"\n\n  {CARDUI[:80]}\n  {CARDUI[80:]}\n", ""),
    ],
)
def test_fasta_and_raw_letters_read_the_same(text, name):
    barcode = Barcode.parse(text)
    assert (barcode.sequence, barcode.name, barcode.notes) == (CARDUI, name, ())


def test_the_first_of_several_records_is_used():
    barcode = Barcode.parse(f">one\n{CARDUI}\n>two\nACGT\n>three\nACGT\n")
    assert (barcode.sequence, barcode.name) == (CARDUI, "one")
    assert barcode.notes == ("Used the first of 3 FASTA records and ignored the others.",)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (CARDUI.lower(), "Read 658 lower-case letters as upper case."),
        (CARDUI.replace("T", "U"), f"Read {CARDUI.count('T')} letters U as T."),
        (f"{CARDUI[:9]}-{CARDUI[9:]}", "Removed 1 gap character."),
        (f"{CARDUI[:9]} {CARDUI[9:20]}\t{CARDUI[20:]}", "Removed 2 spaces."),
        (f"{CARDUI[:9]}\u00a0{CARDUI[9:]}", "Removed 1 space."),
        (genbank(CARDUI), "Removed 11 line numbers."),
        (f'"{CARDUI}"', "Removed 2 quotation marks."),
        (f"5'-{CARDUI}-3'", "Removed 2 end marks."),
    ],
)
def test_what_is_cleaned_is_said(text, note):
    barcode = Barcode.parse(text)
    assert barcode.sequence == CARDUI
    assert note in barcode.notes


def test_wide_letters_are_letters():
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in CARDUI)
    assert Barcode.parse(wide).sequence == CARDUI


def test_the_name_of_a_single_barcode_is_that_of_the_batch():
    barcode = Barcode.parse(f">moth 1 lat=56.6 lon=11.3\n{CARDUI}")
    assert barcode.name == "moth 1" and "names a place" in barcode.notes[0]


def test_ambiguity_codes_become_n():
    barcode = Barcode.parse(f"{CARDUI[:100]}RYK{CARDUI[103:]}")
    assert barcode.sequence == f"{CARDUI[:100]}NNN{CARDUI[103:]}"
    assert barcode.notes == ("Read 3 ambiguity codes as N.",)
    assert barcode.coverage == 655


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "is empty"),
        ("", "is empty"),
        (" \r\n\t\n", "is empty"),
        (">", "no sequence"),
        (">Vanessa cardui", "no sequence"),
        (f">Vanessa cardui {CARDUI}", "no sequence"),
        (f">one\n>two\n{CARDUI}", "no sequence"),
        (
            f"{CARDUI[:300]}!§{CARDUI[300:]}",
            "2 characters that DNA does not have (first '!' after 300 letters)",
        ),
        ("ß" * 300, "300 characters that DNA does not have"),
        (Barcode(CARDUI).amino_acids, "looks like a protein"),
        (f">protein\n{Barcode(CARDUI).amino_acids}*", "looks like a protein"),
        (CARDUI[:199], "too short (199 letters)"),
        ("----", "too short (0 letters)"),
        (CARDUI * 46, "too long (30,268 letters)"),
        ("N" * 400 + CARDUI[400:], "61% N"),
        ("N" * 658, "100% N"),
        ("N" * 658 + "A" * 658, "only 0 known letters"),
        ("A" * 1_000_001, "1,000,001 characters"),
        ("MK123456", 'an accession number of GenBank ("MK123456"): paste the sequence'),
        ("KJ123456.1, KJ123457.1", "an accession number of GenBank"),
        ("NC_012345.1", "an accession number of GenBank"),
        (">moth\nBBLSX123-10", "a process id of BOLD"),
        ("BOLD:AAA1234", "a BIN of BOLD"),
        ("Aglais io", "the name of a species"),
        ("https://www.ncbi.nlm.nih.gov/nuccore/KJ123456", "is a link"),
        (f"moth of 1999\n{CARDUI}", "begins with a line that is no DNA"),
        (f"CLUSTAL W (1.83)\n\nseq1 {CARDUI}", "is a Clustal alignment: save it as FASTA"),
        (f"#NEXUS\nmatrix seq1 {CARDUI}", "is a NEXUS file"),
        (f" 1 658\nseq1 {CARDUI}", "is a PHYLIP alignment"),
        (f"# STOCKHOLM 1.0\nseq1 {CARDUI}", "is a Stockholm alignment"),
        (f"@read\n{CARDUI}\n+\n{'I' * 658}", "is a FASTQ file"),
        (f'{{"seq": "{CARDUI}"}}', "is JSON"),
        (f"<pre>{CARDUI}</pre>", "is a web page or XML"),
        (CARDUI.replace("A", "\u0410"), "(first '\u0410' (U+0410) after"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(text, sentence):
    message = refusal(text)
    assert sentence in message
    assert message.startswith("The barcode") and message.endswith(".") and "\n" not in message


def test_half_n_and_the_shortest_and_the_longest_are_still_taken():
    assert Barcode.parse("N" * 329 + CARDUI[329:]).coverage == 329
    assert Barcode.parse(CARDUI[100:300]).offset == 100
    flank = CARDUI[::-1]
    assert Barcode.parse(flank + CARDUI + flank + flank[:26]).sequence == CARDUI
    assert Barcode.parse(flank * 20 + CARDUI + flank * 24).sequence == CARDUI


@given(st.text() | st.text("ACGTNRYacgtu>- \r\n19", min_size=150, max_size=900))
@properties
def test_any_text_is_read_or_refused(text):
    try:
        barcode = Barcode.parse(text)
    except InputError as error:
        assert error.field == "barcode" and str(error)
    else:
        assert len(barcode.sequence) == SITES and set(barcode.sequence) <= set("ACGTN")


@given(reads(), st.data())
@properties
def test_noise_does_not_change_the_framed_sequence(read, data):
    clean = Barcode.parse(read)
    letters = [letter.lower() if data.draw(st.booleans(), label="lower") else letter for letter in read[:40]]
    noise = st.sampled_from(["", " ", "\n", "\r\n", "\n   61 ", "\t", "\u200b", "\u00a0"])
    text = "".join(letter + data.draw(noise) for letter in letters) + read[40:]
    assert Barcode.parse(text).sequence == clean.sequence
    assert Barcode.parse(genbank(read)).sequence == clean.sequence
    assert Barcode.parse(f">x|COI-5P|y\r\n{read.replace('T', 'U')}\r\n").sequence == clean.sequence


# Framing

# A fifth of its sites are substituted; its last 22 letters match the sites beside theirs as well.
ENDS_BY_CHANCE = (
    "AAAGTTATATTTTGTTTTTTGTTTGTCATCGGGAATAATTACTTCATCTTAAAGATTACTTATTCGTGTTGCATTAGGAACATCTAAATCTATAAGTAGT"
    "GAGCATCCGAGTTGTAATTCAACTAGTACAGCAGATGCTTTAATGATAATTTCCCTTATAGTTAACCGATATATGTGCGGAGGATTGGGTACTTGATTAA"
    "TTCTTCTTATACTTGGAGCTCCTGATATAGCATTCCCACGAATAAATGATATCAGATGCTGACTATTACCTCCATGTTTGTTTAGATTCATTTGATGAGA"
    "TTTAGCTGAAAATGGGGTTGGAACAGGCTGGACTCTATACTCTCATTAAGCATCTATTACCGGTCATAATTCTTTTGCAGTTGATATTGCATTTTTTTGG"
    "CGCCGTAATAAAGGTCTGTGTTCAATCATAGGAGCTATTAATACTATAGTTACTATCTTAAATATACGTTGAATAACTTATCGTTTCAT"
)


@given(reads(shortest=340))
@properties
def test_parsing_a_parsed_sequence_changes_nothing(read):
    sequence = Barcode.parse(read).sequence
    assert Barcode.parse(sequence).sequence == sequence


@given(reads())
@example(ENDS_BY_CHANCE)
@properties
def test_a_read_is_laid_on_its_own_sites(read):
    barcode = Barcode.parse(read)
    assert barcode.sequence[barcode.offset : barcode.offset + len(read)] == read
    assert barcode.coverage == len(read) - read.count("N")
    assert barcode.n_fraction == pytest.approx(read.count("N") / len(read))


@given(consensus, st.integers(0, 400), st.integers(250, SITES))
@properties
def test_the_offset_of_a_fragment_is_found(sequence, start, length):
    fragment = sequence[start : start + length]
    assert Barcode.parse(fragment).offset == start


@given(reads())
@properties
def test_a_reverse_complement_is_turned(read):
    barcode = Barcode.parse(reverse_complement(read))
    assert barcode.sequence == Barcode.parse(read).sequence
    assert "Turned the sequence: it was the reverse complement of the barcode." in barcode.notes
    assert not any(note.startswith("Turned") for note in Barcode.parse(read).notes)


def test_letters_outside_the_region_are_trimmed_and_said():
    barcode = Barcode.parse("GGTCAACAAATCATAAAGATATTGG" + CARDUI + "TGATTTTTTGGTCACCCTGAAGTTTA")
    assert (barcode.sequence, barcode.offset, barcode.length) == (CARDUI, -25, 709)
    assert barcode.notes == ("Trimmed 51 letters: 25 before the region, 26 after it.",)


def test_sites_that_are_not_covered_are_said():
    barcode = Barcode.parse(CARDUI[100:400])
    assert barcode.sequence == "N" * 100 + CARDUI[100:400] + "N" * 258
    assert barcode.n_fraction == 0
    assert barcode.notes == ("Set the sites outside 101 to 400 of 658, which are not covered, to N.",)
    assert barcode.warnings == ("Only 300 of 658 sites are covered; 500 are the usual minimum.",)


def test_frame_in_bulk_is_the_same_as_one_by_one_and_keeps_the_order():
    sequences = [sequence[start:] for start, sequence in enumerate(CONSENSUS.values())] + ["", "ACGT", "NNNN"]
    framed, offsets, scores = frame(sequences)
    for index, sequence in enumerate(sequences):
        (alone,), (offset,), (score,) = frame([sequence])
        assert (framed[index], offsets[index]) == (alone, offset)
        assert scores[index] == pytest.approx(score, abs=1e-5)
    assert offsets[:24].tolist() == list(range(24))
    assert framed[-3] == framed[-1] == "N" * SITES and scores[-3] == scores[-1] == 0


def test_match_score_tells_coi_from_other_dna():
    generator = np.random.default_rng(0)
    real = list(CONSENSUS.values())
    shuffled = ["".join(generator.permutation(list(sequence))) for sequence in real]
    assert frame(real)[2].min() > 0.6
    assert frame(shuffled)[2].max() < 0.3
    assert abs(frame(shuffled)[2].mean()) < 0.05


def test_frame_of_nothing():
    framed, offsets, scores = frame([])
    assert (framed, offsets.shape, scores.shape) == ([], (0,), (0,))


@given(st.lists(st.text("ACGTN", min_size=7, max_size=7)))
@properties
def test_decode_inverts_encode(sequences):
    assert decode(encode(sequences)) == sequences


# Translation and warnings


def test_amino_acids_are_those_of_the_invertebrate_mitochondrion():
    barcode = Barcode.parse(CARDUI)
    assert len(barcode.amino_acids) == 219
    assert barcode.amino_acids.startswith("TLYFIFGIWAG")
    # In table 5, unlike the standard code, ATA is methionine, TGA tryptophan and AGA serine.
    codons = "ATATGAAGATAATAGTANCTN"
    replaced = Barcode(CARDUI[:CODON_START] + codons + CARDUI[CODON_START + len(codons) :])
    assert replaced.amino_acids[:7] == "MWS**XL"
    assert replaced.stop_codons == (3, 4)


def test_every_example_is_an_open_frame_without_warnings():
    for sequence in CONSENSUS.values():
        barcode = Barcode.parse(sequence)
        assert (barcode.sequence, barcode.notes, barcode.warnings) == (sequence, (), ())


def test_a_pseudogene_shows_by_stop_codons():
    barcode = Barcode.parse(CARDUI[:298] + "TAATAG" + CARDUI[304:])
    assert barcode.stop_codons
    assert "a sequencing error or a pseudogene is likely" in barcode.warnings[0]


def test_many_n_and_foreign_dna_are_warned_of():
    letters = list(CARDUI)
    letters[:650:10] = "N" * 65
    assert Barcode.parse("".join(letters)).warnings == ("10% of the letters are N.",)
    foreign = Barcode.parse("".join(np.random.default_rng(1).choice(list(BASES), 658)))
    assert foreign.warnings[0].startswith("The sequence is unlike insect COI")
    assert foreign.is_foreign and foreign.mutate(0.1).is_foreign
    assert not Barcode.parse(CARDUI).is_foreign


# Mutation


@given(reads(), st.floats(0, 1), seeds)
@properties
def test_mutation_substitutes_exactly_the_rate_of_known_sites(read, rate, seed):
    barcode = Barcode.parse(f">name\n{read}")
    mutant = barcode.mutate(rate, seed)
    assert len(barcode.differences(mutant)) == round(rate * barcode.coverage)
    assert mutant.coverage == barcode.coverage and mutant.name == "name"
    assert mutant == barcode.mutate(rate, seed)


@given(seeds, st.floats(0, 1), st.floats(0, 1))
@properties
def test_a_higher_rate_keeps_the_substitutions_of_a_lower_one(seed, one, other):
    few, many = (Barcode(CARDUI).mutate(rate, seed) for rate in sorted((one, other)))
    for site in Barcode(CARDUI).differences(few):
        assert many.sequence[site] == few.sequence[site]


@given(seeds, seeds)
@properties
def test_another_seed_gives_another_mutant(one, other):
    assume(one != other)
    assert Barcode(CARDUI).mutate(0.2, one).sequence != Barcode(CARDUI).mutate(0.2, other).sequence


def test_substitutions_are_uniform_over_the_three_other_bases():
    mutants = [Barcode("A" * SITES).mutate(1, seed).sequence for seed in range(20)]
    counts = np.array([sum(mutant.count(base) for mutant in mutants) for base in "ACGT"])
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / (20 * SITES), 1 / 3, atol=0.02)


def test_mutation_is_noted():
    assert Barcode(CARDUI).mutate(0.1, 7).notes == ("Substituted 66 sites (mutation rate 0.1, seed 7).",)
    assert Barcode(CARDUI).mutate(0) == Barcode(CARDUI)


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan"), "much", None])
def test_bad_mutation_rates_are_refused(rate):
    with pytest.raises(InputError) as caught:
        Barcode(CARDUI).mutate(rate)
    assert caught.value.field == "mutation_rate"


def test_differences_leave_unknown_sites_out():
    one, other = Barcode("ACGTN" + CARDUI[5:]), Barcode("ATGNA" + CARDUI[5:])
    assert one.differences(other) == other.differences(one) == (1,)
