"""K-mer tokenizer for framed COI barcodes, saved and loaded like any other `transformers` tokenizer.

A framed barcode (658 letters of ACGTN) is cut into k-mers every `stride` letters. The vocabulary is
`[PAD] [MASK] [UNK]` followed by the 4**k k-mers in lexicographic ACGT order; a k-mer with an unknown base
is `[UNK]`, so a missing stretch stays visible to the model as such. With k = stride = 4, as in BarcodeBERT
(Arias et al. 2023), 658 sites become 165 tokens; the last k-mer is filled up with N.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizer

VOCABULARY_FILE = "vocab.json"
SPECIAL_TOKENS = ("[PAD]", "[MASK]", "[UNK]")

_DIGITS = np.full(256, -1)  # byte -> 0..3 for ACGT, -1 for everything else
_DIGITS[np.frombuffer(b"ACGT", np.uint8)] = np.arange(4)


def kmer_vocabulary(k: int) -> dict[str, int]:
    """Return token -> id for the special tokens and all 4**k k-mers."""
    kmers = ("".join(letters) for letters in product("ACGT", repeat=k))
    return {token: index for index, token in enumerate((*SPECIAL_TOKENS, *kmers))}


class KmerTokenizer(PreTrainedTokenizer):
    """Cut a barcode into k-mers.

    Args:
        k: letters in a token.
        stride: letters between the starts of two tokens; `stride == k` means that they do not overlap.
        vocab_file: a saved vocabulary; by default it is built from `k`.
    """

    vocab_files_names = {"vocab_file": VOCABULARY_FILE}
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(self, k: int = 4, stride: int = 4, vocab_file: str | None = None, **kwargs):
        self.k, self.stride = k, stride
        self._token_to_id = json.loads(Path(vocab_file).read_text()) if vocab_file else kmer_vocabulary(k)
        self._id_to_token = {index: token for token, index in self._token_to_id.items()}
        for name, token in zip(("pad_token", "mask_token", "unk_token"), SPECIAL_TOKENS, strict=True):
            kwargs.setdefault(name, token)
        super().__init__(k=k, stride=stride, **kwargs)

    @property
    def vocab_size(self) -> int:
        return len(self._token_to_id)

    def get_vocab(self) -> dict[str, int]:
        return dict(self._token_to_id)

    def token_count(self, letters: int) -> int:
        """Return the number of tokens a sequence of `letters` letters becomes."""
        return max(1, -(-(letters - self.k) // self.stride) + 1)

    def ids(self, sequences: Sequence[str]) -> torch.Tensor:
        """Tokenize sequences of one length at once: the ids of `__call__`, hundreds of times faster.

        >>> KmerTokenizer(k=2, stride=2).ids(["AAACAN", "TTTTTT"])
        tensor([[ 3,  4,  2],
                [18, 18, 18]])

        Args:
            sequences: B strings of the same length.

        Returns:
            Token ids (B, L), int64.
        """
        letters = np.frombuffer("".join(sequences).encode(), np.uint8).reshape(len(sequences), -1)
        count = self.token_count(letters.shape[1])
        padding = (count - 1) * self.stride + self.k - letters.shape[1]
        digits = np.pad(_DIGITS[letters], ((0, 0), (0, max(padding, 0))), constant_values=-1)
        windows = np.lib.stride_tricks.sliding_window_view(digits, self.k, 1)[:, :: self.stride][:, :count]
        ids = windows @ (4 ** np.arange(self.k)[::-1]) + len(SPECIAL_TOKENS)
        ids[(windows < 0).any(-1)] = self.unknown_id
        return torch.from_numpy(ids)

    @property
    def unknown_id(self) -> int:
        """Id of the token that stands for a missing k-mer."""
        return self._token_to_id["[UNK]"]

    def _tokenize(self, text: str) -> list[str]:
        count = self.token_count(len(text))
        text = text.ljust((count - 1) * self.stride + self.k, "N")
        return [text[start : start + self.k] for start in range(0, count * self.stride, self.stride)]

    def _convert_token_to_id(self, token: str) -> int:
        return self._token_to_id.get(token, self.unknown_id)

    def _convert_id_to_token(self, index: int) -> str:
        return self._id_to_token[index]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        name = f"{filename_prefix}-{VOCABULARY_FILE}" if filename_prefix else VOCABULARY_FILE
        path = Path(save_directory) / name
        path.write_text(json.dumps(self._token_to_id))
        return (str(path),)
