"""The k-mer tokenizer: what it cuts, and that it is saved and loaded like any other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from g2pdiff.dna.tokenizer import KmerTokenizer, kmer_vocabulary
from tests.tiny import BARCODE

letters = st.text("ACGTN", min_size=1, max_size=60)


def test_a_barcode_becomes_165_tokens_and_a_missing_base_is_unknown():
    tokenizer = KmerTokenizer()
    ids = tokenizer(BARCODE)["input_ids"]
    assert len(ids) == 165 == tokenizer.token_count(658)
    assert ids[0] == 3 + 0b00000111  # AACT in base 4 is 0013
    assert ids[-1] == tokenizer.unk_token_id  # 658 is no multiple of 4: the last k-mer holds two N


def test_vocabulary_is_specials_then_kmers_in_order():
    vocabulary = kmer_vocabulary(2)
    assert list(vocabulary)[:5] == ["[PAD]", "[MASK]", "[UNK]", "AA", "AC"]
    assert len(vocabulary) == 3 + 16
    assert KmerTokenizer(k=2, stride=2).vocab_size == 19


@given(text=letters, k=st.integers(1, 5), stride=st.integers(1, 5))
def test_the_fast_path_equals_the_slow_one(text, k, stride):
    tokenizer = KmerTokenizer(k=k, stride=stride)
    slow = tokenizer(text)["input_ids"]
    assert tokenizer.ids([text]).tolist() == [slow]
    assert len(slow) == tokenizer.token_count(len(text))


@pytest.mark.parametrize(("k", "stride"), [(4, 4), (5, 2)])
def test_save_and_load(tmp_path, k, stride):
    tokenizer = KmerTokenizer(k=k, stride=stride)
    tokenizer.save_pretrained(tmp_path)
    loaded = KmerTokenizer.from_pretrained(tmp_path)
    assert (loaded.k, loaded.stride) == (k, stride)
    assert torch.equal(loaded.ids([BARCODE]), tokenizer.ids([BARCODE]))
    assert loaded.get_vocab() == tokenizer.get_vocab()


def test_tokens_read_back_as_letters():
    tokenizer = KmerTokenizer()
    ids = tokenizer.ids([BARCODE])[0, :10].tolist()
    assert "".join(tokenizer.convert_ids_to_tokens(ids)) == BARCODE[:40]
