"""Kinds of mutation, typed edits and what they change."""

import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from Bio.Data.CodonTable import unambiguous_dna_by_id
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.dna.barcode import BASES, CODON_START, SITES, Barcode
from g2pdiff.dna.mutation import (
    KINDS,
    UNIFORM,
    Changes,
    MutationModel,
    changes,
    edit,
    largest_rate,
    mutate,
    parse_ratio,
    parse_region,
)
from g2pdiff.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples.csv"
with EXAMPLES.open(newline="") as file:
    BARCODES = {row["name"]: Barcode(row["dna_barcode"]) for row in csv.DictReader(file)}
CARDUI = BARCODES["Vanessa cardui"]
TABLE = unambiguous_dna_by_id[5]

properties = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def barcodes(draw) -> Barcode:
    """Return a real barcode, some of its sites unknown, and at times a stop codon in its frame."""
    letters = list(draw(st.sampled_from(sorted(BARCODES.values(), key=lambda b: b.sequence))).sequence)
    for site in draw(st.lists(st.integers(0, SITES - 1), max_size=30)):
        letters[site] = "N"
    for codon in draw(st.lists(st.integers(0, 218), max_size=2)):
        letters[CODON_START + 3 * codon : CODON_START + 3 * codon + 3] = "TAA"
    return Barcode("".join(letters))


@st.composite
def models(draw, kinds=tuple(KINDS)) -> MutationModel:
    first, last = sorted((draw(st.integers(1, SITES)), draw(st.integers(1, SITES))))
    return MutationModel(
        kind=draw(st.sampled_from(kinds)),
        transition_transversion_ratio=draw(st.none() | st.floats(0, 100)),
        no_new_stops=draw(st.booleans()),
        region=draw(st.none() | st.just((max(first - 20, 1), min(last + 20, SITES)))),
    )


def highest_rate(barcode: Barcode, model: MutationModel, seed: int) -> float:
    """Return `largest_rate`, 0 where the region has no known site."""
    try:
        return largest_rate(barcode, model, seed)
    except InputError as error:
        assert error.field == "region"
        return 0.0


def meaning(codon: str) -> str:
    """Return the amino acid of a codon in NCBI table 5, * for a stop codon, looked up rather than
    translated."""
    return "*" if codon in TABLE.stop_codons else TABLE.forward_table[codon]


def changed_codons(before: Barcode, after: Barcode) -> list[tuple[str, str]]:
    """Return the old and new codons that differ, whole and known ones alone."""
    starts = range(CODON_START, SITES, 3)
    pairs = [(before.sequence[start : start + 3], after.sequence[start : start + 3]) for start in starts]
    return [(old, new) for old, new in pairs if old != new and "N" not in old]


def refusal(field: str, function, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert caught.value.field == field and sentence.endswith(".") and "\n" not in sentence
    return sentence


# Substitutions


@given(barcodes(), models(), st.floats(0, 1), seeds)
@properties
def test_exactly_the_rate_of_known_sites_is_substituted(barcode, model, share, seed):
    rate = share * highest_rate(barcode, model, seed)
    first, last = model.region or (1, SITES)
    known = [site for site in range(first - 1, last) if barcode.sequence[site] != "N"]
    mutant = mutate(barcode, rate, seed, model) if known else barcode
    changed = barcode.differences(mutant)
    assert len(changed) == round(rate * len(known)) and set(changed) <= set(known)
    assert len(mutant.sequence) == SITES and mutant.coverage == barcode.coverage


@given(barcodes(), models(), st.floats(0, 1), st.floats(0, 1), seeds)
@properties
def test_a_higher_rate_keeps_the_substitutions_of_a_lower_one(barcode, model, one, other, seed):
    highest = highest_rate(barcode, model, seed)
    few, many = (mutate(barcode, highest * share, seed, model) for share in sorted((one, other)))
    assert set(changes(barcode, few).bases) <= set(changes(barcode, many).bases)
    assert few == mutate(barcode, highest * min(one, other), seed, model)


@given(barcodes(), st.floats(0, 1), seeds)
@properties
def test_the_uniform_model_is_that_of_barcode_mutate(barcode, rate, seed):
    assert mutate(barcode, rate, seed) == mutate(barcode, rate, seed, UNIFORM) == barcode.mutate(rate, seed)


@given(barcodes(), models(["synonymous"]), seeds)
@properties
def test_synonymous_mutation_keeps_the_protein(barcode, model, seed):
    mutant = mutate(barcode, highest_rate(barcode, model, seed), seed, model)
    assert mutant.amino_acids == barcode.amino_acids
    assert all(meaning(old) == meaning(new) for old, new in changed_codons(barcode, mutant))
    assert mutant.sequence[0] == barcode.sequence[0]


@given(barcodes(), models(["nonsynonymous"]), st.floats(0, 1), seeds)
@properties
def test_nonsynonymous_mutation_changes_the_meaning_of_every_touched_codon(barcode, model, share, seed):
    mutant = mutate(barcode, share * highest_rate(barcode, model, seed), seed, model)
    changed = changed_codons(barcode, mutant)
    assert all(meaning(old) != meaning(new) for old, new in changed)
    assert len(barcode.differences(mutant)) == sum(
        a != b for codons in changed for a, b in zip(*codons, strict=True)
    )  # and no site outside a whole known codon


@given(barcodes(), models(["uniform", "nonsynonymous"]), st.floats(0, 1), seeds)
@properties
def test_no_stop_codon_arises_where_none_may(barcode, model, share, seed):
    model = MutationModel(model.kind, model.transition_transversion_ratio, True, model.region)
    mutant = mutate(barcode, share * highest_rate(barcode, model, seed), seed, model)
    assert set(mutant.stop_codons) <= set(barcode.stop_codons)


def test_stop_codons_do_arise_where_they_may():
    for model in (UNIFORM, MutationModel("nonsynonymous")):
        assert changes(CARDUI, mutate(CARDUI, 0.3, 0, model)).new_stops


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [0.2, 0.5, 2, 20])
def test_the_transition_transversion_ratio_is_that_among_the_substitutions(kind, ratio):
    model = MutationModel(kind, ratio)
    found = [
        changes(barcode, mutate(barcode, 0.1, seed, model)) for seed, barcode in enumerate(BARCODES.values())
    ]
    transitions, transversions = sum(c.transitions for c in found), sum(c.transversions for c in found)
    share = transitions / (transitions + transversions)
    assert share == pytest.approx(ratio / (1 + ratio), abs=0.05)  # 1,584 draws: four standard deviations


def test_without_a_ratio_the_three_other_bases_are_drawn_evenly():
    model = MutationModel(region=(1, SITES))
    mutants = [mutate(Barcode("A" * SITES), 1, seed, model).sequence for seed in range(5)]
    counts = np.array([sum(mutant.count(base) for mutant in mutants) for base in BASES])
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / (5 * SITES), 1 / 3, atol=0.04)


def test_a_ratio_of_zero_draws_no_transition_and_a_small_one_falls_back_to_them():
    model = MutationModel("synonymous", 0.0)
    assert changes(CARDUI, mutate(CARDUI, largest_rate(CARDUI, model), 0, model)).transitions == 0
    model = MutationModel("synonymous", 0.01)
    found = changes(CARDUI, mutate(CARDUI, largest_rate(CARDUI, model), 0, model))
    assert found.transversions > 80 and found.transitions > 80


def test_a_change_that_is_refused_at_first_is_possible_after_another():
    """Return TTC means what TTT does, so that its last base alone must not become C; after its first base it
    may."""
    barcode = Barcode("NTTT" + "N" * (SITES - 4))
    after = {mutate(barcode, 1, seed, MutationModel("nonsynonymous")).sequence[1:4] for seed in range(40)}
    assert any(codon.endswith("C") for codon in after)
    assert all(a != b for codon in after for a, b in zip(codon, "TTT", strict=True))


@pytest.mark.parametrize("codon", ["".join(letters) for letters in product(BASES, repeat=3)])
def test_one_synonymous_step_reaches_just_the_codons_of_the_same_meaning(codon):
    barcode = Barcode("N" + codon + "N" * (SITES - 4))
    steps = {codon[:i] + base + codon[i + 1 :] for i in range(3) for base in BASES} - {codon}
    wanted = {step for step in steps if meaning(step) == meaning(codon)}
    if not wanted:
        refusal("mutation_rate", mutate, barcode, 1 / 3, 0, MutationModel("synonymous"))
    else:
        model = MutationModel("synonymous")
        assert {mutate(barcode, 1 / 3, seed, model).sequence[1:4] for seed in range(40)} == wanted


def test_too_high_a_rate_is_refused_with_what_is_possible():
    model = MutationModel("synonymous", region=(100, 200))
    highest = largest_rate(CARDUI, model, 3)
    assert 0.25 < highest < 0.45
    possible = round(highest * 101)
    assert refusal("mutation_rate", mutate, CARDUI, 0.5, 3, model) == (
        f"Of the 101 known sites {possible} can be substituted (synonymous, sites 100 to 200, seed 3), "
        f"not 50: choose a mutation rate of at most {int(1000 * possible / 101) / 10:g}%."
    )
    assert len(changes(CARDUI, mutate(CARDUI, highest, 3, model)).bases) == possible


def test_what_was_done_is_noted():
    model = MutationModel("nonsynonymous", 2.0, True, (10, 400))
    assert mutate(CARDUI, 0.1, 7, model).notes == (
        "Substituted 39 sites (nonsynonymous, transition/transversion ratio 2, no new stop codons, "
        "sites 10 to 400, mutation rate 0.1, seed 7).",
    )
    assert mutate(CARDUI, 0, 7, model) == CARDUI


def test_bad_rates_seeds_and_empty_regions_are_refused():
    fragment = Barcode("N" * 100 + CARDUI.sequence[100:])
    model = MutationModel(region=(1, 100))
    assert "no known base from site 1 to 100" in refusal("region", mutate, fragment, 0.1, 0, model)
    refusal("region", largest_rate, fragment, model)
    refusal("mutation_rate", mutate, CARDUI, 1.1, 0, model)
    refusal("seed", mutate, CARDUI, 0.1, -1, model)
    refusal("seed", largest_rate, CARDUI, model, 0.5)


# Models


@pytest.mark.parametrize(
    ("field", "arguments", "sentence"),
    [
        ("kind", {"kind": "silent"}, 'no mutation kind "silent": choose uniform or synonymous or nonsyn'),
        ("transition_transversion_ratio", {"transition_transversion_ratio": -1}, "between 0 and 100"),
        ("transition_transversion_ratio", {"transition_transversion_ratio": float("nan")}, "between 0 and"),
        ("region", {"region": (0, 5)}, "within 1-658, not 0-5"),
        ("region", {"region": (600, 659)}, "within 1-658, not 600-659"),
        ("region", {"region": (9, 2)}, "from a lower to a higher site"),
    ],
)
def test_bad_models_are_refused(field, arguments, sentence):
    assert sentence in refusal(field, lambda: MutationModel(**arguments))


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_blank_ratios_and_regions_are_none(blank):
    assert parse_ratio(blank) is None and parse_region(blank) is None


def test_ratios_are_read_and_refused():
    assert [parse_ratio(value) for value in (0, "2", " 0.5 ", 100)] == [0, 2, 0.5, 100]
    for value in ("-1", "101", "nan", "much", "x" * 10_000):
        sentence = refusal("transition_transversion_ratio", parse_ratio, value)
        assert sentence.startswith("Transition transversion ratio must be") and len(sentence) < 140


@given(st.integers(1, SITES), st.integers(1, SITES), st.sampled_from(["-", " - ", "\u2013", "- "]))
@properties
def test_regions_are_read(one, other, dash):
    first, last = sorted((one, other))
    assert parse_region(f" {first}{dash}{last}\n") == (first, last)


@pytest.mark.parametrize(
    "text", ["0-5", "9-2", "1-659", "100", "a-b", "1-2-3", "-5-9", "999999999-1", "\u0661-9"]
)
def test_bad_regions_are_refused(text):
    assert refusal("region", parse_region, text).startswith("The region must ")


# Edits


def test_edits_are_made_in_every_way_of_typing_them():
    assert CARDUI.sequence[:5] == "TACAT"
    for text in ("A2G, T5C", "a2g t5c", "2G;5C", "\n A2G,\t;5c , "):
        edited = edit(CARDUI, text)
        assert edited.sequence == "TGCAC" + CARDUI.sequence[5:]
        assert edited.notes == ("Edited 2 sites.",)
    assert edit(CARDUI, "T1A").notes == ("Edited 1 site.",)
    for text in (None, "", " ;, "):
        assert edit(CARDUI, text) == CARDUI


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("C2G", "Site 2 is A, not C."),
        ("N2G", "Site 2 is A, not N."),
        ("A2A", "Site 2 is A already: type another base."),
        ("2G 4A A2C", "Site 4 is A already: type another base."),
        ("A2G,2C", "Site 2 is edited twice: keep one edit of it."),
        ("A2N", 'The new base of "A2N" must be A, C, G or T.'),
        ("A0G", "There is no site 0: the barcode region has sites 1 to 658."),
        ("659G", "There is no site 659: the barcode region has sites 1 to 658."),
        ("658G", "Site 658 is unknown (N): edit a known site."),
        ("A2", '"A2" is not an edit: type old base, site and new base, such as A123G.'),
        ("A-2G", '"A-2G" is not an edit: type old base, site and new base, such as A123G.'),
        ("A2G5T", '"A2G5T" is not an edit: type old base, site and new base, such as A123G.'),
        ("\u0662G", '"\u0662G" is not an edit: type old base, site and new base, such as A123G.'),
    ],
)
def test_bad_edits_are_refused_in_one_sentence(text, sentence):
    assert refusal("edits", edit, Barcode(CARDUI.sequence[:-1] + "N"), text) == sentence


@given(st.text("ACGTNacgt0123456789,; -", max_size=12) | st.text())
@properties
def test_any_text_is_an_edit_or_refused(text):
    try:
        edited = edit(CARDUI, text)
    except InputError as error:
        assert error.field == "edits" and len(str(error)) < 140
    else:
        assert len(edited.sequence) == SITES and set(edited.sequence) <= set(BASES)


@given(barcodes(), st.floats(0, 1), seeds)
@properties
def test_edits_repeat_what_changed(barcode, rate, seed):
    mutant = barcode.mutate(rate, seed)
    there, back = changes(barcode, mutant), changes(mutant, barcode)
    assert edit(barcode, " ".join(there.bases)).sequence == mutant.sequence
    assert edit(mutant, ",".join(back.bases)).sequence == barcode.sequence


# Changes


def test_changes_are_named_and_counted():
    # Codons 1 to 4 of the painted lady are ACA TTA TAT TTT, after one site before the frame.
    assert CARDUI.sequence[:13] == "TACATTATATTTT"
    after = edit(CARDUI, "T1C A4C T5C T10A T12A T13G")
    assert changes(CARDUI, after) == Changes(
        bases=("T1C", "A4C", "T5C", "T10A", "T12A", "T13G"),
        amino_acids=("Y3*", "F4*"),
        new_stops=("Y3*", "F4*"),
        transitions=2,
        transversions=4,
        synonymous=2,
        nonsynonymous=2,
    )


def test_codons_with_unknown_bases_count_as_no_change_of_meaning():
    before = Barcode(CARDUI.sequence[:3] + "N" + CARDUI.sequence[4:])
    found = changes(before, edit(before, "T1C, A2G"))
    assert found == Changes(("T1C", "A2G"), (), (), 2, 0, 0, 0)
    assert changes(before, CARDUI) == Changes((), (), (), 0, 0, 0, 0)


@given(barcodes(), st.floats(0, 1), seeds)
@properties
def test_counts_of_changes_add_up(barcode, rate, seed):
    mutant = barcode.mutate(rate, seed)
    found = changes(barcode, mutant)
    codons = changed_codons(barcode, mutant)
    assert found.transitions + found.transversions == len(found.bases) == round(rate * barcode.coverage)
    assert found.synonymous + found.nonsynonymous == len(codons)
    assert found.nonsynonymous == sum(meaning(old) != meaning(new) for old, new in codons)
    assert len(found.new_stops) == len(set(mutant.stop_codons) - set(barcode.stop_codons))
