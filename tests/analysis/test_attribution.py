"""Occlusion by codon: what is replaced, what is measured, and a model whose answer is known."""

from contextlib import closing

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from g2pdiff.analysis.attribution import CODONS, attribute, attributing, codon_sites, occlude
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from tests.tiny import BARCODE, tiny_components, tiny_pipeline

WHOLE = Barcode.parse(BARCODE)


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def latents():
    return torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def attribution(pipeline, latents):
    return attribute(pipeline, WHOLE, 56.6, 11.3, latents)


@given(st.integers(0, CODONS - 1))
def test_occlusion_hides_the_codon_and_nothing_else(index):
    hidden = occlude(WHOLE, index)
    assert hidden.amino_acids[index] == "X"
    assert hidden.coverage == WHOLE.coverage - 3
    assert hidden.differences(WHOLE) == ()
    restored = list(hidden.sequence)
    restored[codon_sites(index)] = WHOLE.sequence[codon_sites(index)]
    assert "".join(restored) == WHOLE.sequence


def test_importance_is_the_fall_of_the_aligner_s_log_probability(pipeline, latents, attribution):
    def log_prob(sequence):
        with torch.no_grad():
            place = torch.tensor([[56.6, 11.3]])
            pooled = pipeline.encode_condition([Barcode(sequence)], place).pooled
            return pipeline.aligner.log_prob(latents, torch.tensor([0]), pooled).item()

    assert attribution.importance.shape == (219,)
    assert attribution.log_prob == pytest.approx(log_prob(BARCODE), abs=1e-5)
    for codon, first_site in ((1, 2), (100, 299), (219, 656)):
        hidden = BARCODE[: first_site - 1] + "NNN" + BARCODE[first_site + 2 :]
        expected = log_prob(BARCODE) - log_prob(hidden)
        assert attribution.importance[codon - 1] == pytest.approx(expected, abs=1e-5)
    assert attribution.importance.std() > 1e-4


def test_one_latent_for_all_codons_is_as_good_as_one_for_each(pipeline, latents, attribution):
    barcodes = [WHOLE, *(occlude(WHOLE, index) for index in range(CODONS))]
    place = torch.tensor([[56.6, 11.3]])
    with torch.no_grad():
        pooled = pipeline.encode_condition(barcodes, place.expand(220, 2)).pooled
        timesteps = torch.zeros(220, dtype=torch.long)
        whole, *occluded = pipeline.aligner.log_prob(latents.expand(220, -1, -1, -1), timesteps, pooled)
    assert attribution.log_prob == pytest.approx(whole.item(), abs=1e-5)
    expected = (whole - torch.stack(occluded)).numpy()
    assert attribution.importance == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def rows_read(pipeline):
    """Return how many conditions and latents have been embedded, counted as they are."""
    counts = {"conditioner": 0, "aligner": 0}

    def counting(name):
        def count(module, inputs, output):
            counts[name] += len(inputs[0])

        return count

    parts = {"conditioner": pipeline.conditioner.bert.encoder, "aligner": pipeline.aligner.patch_embed}
    hooks = [part.register_forward_hook(counting(name)) for name, part in parts.items()]
    yield counts
    for hook in hooks:
        hook.remove()


def test_the_work_is_done_in_batches_between_which_it_can_be_stopped(pipeline, latents, rows_read):
    updates = attributing(pipeline, WHOLE, 56.6, 11.3, latents, batch=100)
    found = [(update.done, update.total, update.attribution is None) for update in updates]
    assert found == [(100, 220, True), (200, 220, True), (220, 220, True), (220, 220, False)]
    assert rows_read == {"conditioner": 220, "aligner": 1}
    with closing(attributing(pipeline, WHOLE, 56.6, 11.3, latents, batch=100)) as updates:
        next(updates)
        assert torch.is_grad_enabled()
    assert rows_read == {"conditioner": 320, "aligner": 1}


def test_it_repeats_and_the_batch_does_not_matter(pipeline, latents, attribution):
    again = attribute(pipeline, WHOLE, 56.6, 11.3, latents)
    assert np.array_equal(again.importance, attribution.importance)
    one_batch = attribute(pipeline, WHOLE, 56.6, 11.3, latents, batch=500)
    assert one_batch.importance == pytest.approx(attribution.importance, abs=1e-5)


def test_the_picture_and_the_place_matter(pipeline, latents, attribution):
    other_picture = attribute(pipeline, WHOLE, 56.6, 11.3, -latents)
    other_place = attribute(pipeline, WHOLE, -80, 11.3, latents)
    for other in (other_picture, other_place):
        assert abs(other.importance - attribution.importance).max() > 1e-4


def test_codons_that_were_unknown_have_no_importance(pipeline, latents):
    missing = Barcode(BARCODE[:1] + "N" * 60 + BARCODE[61:])
    attribution = attribute(pipeline, missing, 56.6, 11.3, latents)
    assert not attribution.importance[:20].any()
    assert not attribution.tokens[:20].any()
    assert np.count_nonzero(attribution.importance[20:]) > 180


def test_a_conditioner_that_hears_of_one_k_mer_finds_it_where_it_lies(latents):
    """Return every token has the embedding of the unknown k-mer but one, and no position is told from
    another."""
    parts = tiny_components()
    tokenizer, bert = parts["tokenizer"], parts["conditioner"].bert
    ids = tokenizer.ids([BARCODE])[0].tolist()
    alone = next(token for token in ids if ids.count(token) == 1)
    place = ids.index(alone)
    with torch.no_grad():
        words = bert.embeddings.word_embeddings.weight
        signal = words[alone].clone()
        words[:] = words[tokenizer.unk_token_id].clone()
        words[alone] = signal
        bert.embeddings.position_embeddings.weight.zero_()
    importance = attribute(tiny_pipeline(**parts), WHOLE, 0, 0, latents).importance
    letters = {*range(4 * place, 4 * place + 4)}
    covering = [index for index in range(CODONS) if letters & {*range(658)[codon_sites(index)]}]
    others = np.delete(importance, covering)
    assert abs(others).max() < 1e-5 < 1e-4 < abs(importance[covering]).min()
    assert importance[covering] == pytest.approx(importance[covering[0]], abs=1e-5)


def test_rows_name_codons_sites_letters_and_amino_acids(attribution):
    rows = list(attribution.rows())
    assert len(rows) == 219
    first, last = rows[0], rows[-1]
    assert (first.codon, first.first_site, first.letters, first.amino_acid) == (1, 2, "ACT", "T")
    assert (last.codon, last.first_site, last.letters) == (219, 656, BARCODE[-3:])
    assert "".join(row.amino_acid for row in rows) == WHOLE.amino_acids
    assert [row.importance for row in rows] == attribution.importance.tolist()
    # k-mers of 4: a codon starts one letter after a k-mer does, then 0, 3 and 2, and so on.
    assert [row.tokens for row in rows[:8]] == [1, 1, 2, 2, 1, 1, 2, 2]


def test_without_an_aligner_it_says_so(latents):
    with pytest.raises(InputError, match="no aligner") as caught:
        attribute(tiny_pipeline(aligner=None), WHOLE, 0, 0, latents)
    assert caught.value.field == "checkpoint"


def test_a_place_off_the_map_is_refused(pipeline, latents):
    with pytest.raises(InputError) as caught:
        attribute(pipeline, WHOLE, 95, 0, latents)
    assert caught.value.field == "latitude"
