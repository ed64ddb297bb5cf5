"""BarcodeBERT's weights as the start of the conditioner, in both generations of its files."""

import argparse
from itertools import product

import pytest
import torch
from torch.testing import assert_close
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification, BertModel

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.errors import InputError
from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.models.pretrained import start_from_barcodebert
from tests.tiny import BARCODE

SEQUENCE = BARCODE[:100] + "NNNNNN" + BARCODE[106:]
SPECIALS = {"new": ["[MASK]", "[UNK]"], "old": ["<MASK>", "<CLS>", "<UNK>"]}


def bert_config(generation: str, heads: int, **changes) -> BertConfig:
    sizes = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=heads, intermediate_size=96)
    return BertConfig(vocab_size=4**4 + len(SPECIALS[generation]), **(sizes | changes))


def official_hidden(model, generation: str) -> torch.Tensor:
    """Return barcodeBERT's last hidden states of a barcode by its own ids: (1, 165, 24)."""
    unknown = len(SPECIALS[generation]) - 1
    words = [*SPECIALS[generation], *("".join(letters) for letters in product("ACGT", repeat=4))]
    ids = {word: index for index, word in enumerate(words)}
    padded = SEQUENCE + "N" * (660 - len(SEQUENCE))
    tokens = torch.tensor([[ids.get(padded[start : start + 4], unknown) for start in range(0, 660, 4)]])
    return model(tokens).last_hidden_state


@pytest.fixture(params=["folder", "pickle", "old"])
def published(request, tmp_path):
    """Return the three ways in which BarcodeBERT is published: (source, encoder, generation)."""
    torch.manual_seed(0)
    if request.param == "folder":  # the Hub's
        model = BertModel(bert_config("new", 3), add_pooling_layer=False).eval()
        model.save_pretrained(tmp_path)
        return tmp_path, model, "new", 3
    path = tmp_path / "model.pt"
    if request.param == "pickle":  # its training's, which keeps the command line beside the weights
        settings = bert_config("new", 2)
        model = BertForTokenClassification(settings).eval()
        weights = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
        command = argparse.Namespace(k_mer=4)
        torch.save({"model": weights, "bert_config": settings.to_dict(), "config": command}, path)
        return path, model.bert, "new", 2
    model = BertForMaskedLM(bert_config("old", 12)).eval()  # the first paper's, bert-base's 12 heads
    weights = model.state_dict() | {"bert.embeddings.position_ids": torch.arange(512)[None]}
    torch.save(weights, path)
    return path, model.bert, "old", 12


def conditioner(num_heads: int = 3, **changes) -> BarcodeConditioner:
    settings = dict(hidden_size=24, num_layers=2, num_heads=num_heads, max_tokens=600, context="tokens")
    return BarcodeConditioner(**(settings | changes)).eval()


@torch.no_grad()
def test_the_conditioner_starts_where_barcodebert_ended(published):
    source, model, generation, heads = published
    started = conditioner(heads, environment=False)
    start_from_barcodebert(started, source)
    hidden = started(KmerTokenizer().ids([SEQUENCE]), torch.zeros(1, 3)).context
    assert_close(hidden, official_hidden(model, generation), atol=1e-5, rtol=0)


@torch.no_grad()
def test_beside_an_environment_token_places_move_along(published):
    source, model, _, heads = published
    started = conditioner(heads)
    fresh = started.bert.embeddings.position_embeddings.weight.clone()
    start_from_barcodebert(started, source)
    positions = started.bert.embeddings.position_embeddings.weight
    assert_close(positions[1:513], model.embeddings.position_embeddings.weight)
    assert_close(positions[[0, *range(513, 601)]], fresh[[0, *range(513, 601)]])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(num_layers=1), "BarcodeBERT with 1 layers, 24 wide"),
        (dict(num_layers=3), "lacks 16"),
        (dict(hidden_size=48), "of another shape"),
        (dict(num_heads=4), "set diffusion.conditioner.num_heads=3"),
        (dict(k=5, vocab_size=1027), "not BarcodeBERT's for k=5"),
    ],
)
def test_another_size_is_refused_in_one_sentence(changes, sentence, tmp_path):
    BertModel(bert_config("new", 3), add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=sentence) as caught:
        start_from_barcodebert(conditioner(**changes), tmp_path)
    assert caught.value.field == "conditioner_init"
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    for source in (tmp_path, tmp_path / "nowhere.pt"):
        with pytest.raises(InputError, match="download it from huggingface.co/bioscan-ml/BarcodeBERT"):
            start_from_barcodebert(conditioner(), source)
