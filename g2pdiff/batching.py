"""The specimens of one call of the pipeline. Each argument may be one value or many; here they get one
shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.validation import MAXIMUM_SEED, check_locality, check_number, check_seed

MAXIMUM_IMAGES = 1000  # per barcode and call


ONE_VALUE = (str, bytes, Barcode, Seq, SeqRecord, Mapping)
"""Types that can be iterated but count as one value."""


def as_column(value: object) -> list:
    """Return the values of an argument that takes one or many.

    Lists, tuples, ranges, NumPy arrays, tensors and columns of pandas and Arrow hold many values. Text, and
    everything that cannot be iterated, is one value.
    """
    if isinstance(value, ONE_VALUE):
        return [value]
    for name in ("tolist", "to_pylist"):  # of arrays, tensors and columns
        if hasattr(value, name):
            value = getattr(value, name)()
            break
    return list(value) if isinstance(value, Iterable) and not isinstance(value, ONE_VALUE) else [value]


@dataclass(frozen=True)
class DrawingBatch:
    """B barcodes at B localities. Each is drawn `images_per_barcode` times.

    Attributes:
        barcodes: B barcodes.
        localities: latitude and longitude in degrees (B, 2).
        images_per_barcode: pictures per barcode.
        generators: sources of the noise, one per picture, or one for the whole batch.
    """

    barcodes: list[Barcode]
    localities: torch.Tensor
    images_per_barcode: int
    generators: torch.Generator | Sequence[torch.Generator]

    @classmethod
    def check(
        cls,
        barcode: Any,
        latitude: Any,
        longitude: Any,
        seed: Any,
        generator: Any,
        num_images_per_barcode: Any,
    ) -> DrawingBatch:
        """Check the arguments of `G2PDiffusionPipeline.stream` that have these names.

        Raises:
            InputError: for the first wrong argument; the field is its name.
        """
        barcodes = [b if isinstance(b, Barcode) else Barcode.parse(b) for b in as_column(barcode)]
        columns = {"barcode": barcodes}
        for name, value in (("latitude", latitude), ("longitude", longitude), ("seed", seed)):
            columns[name] = as_column(value)
        batch = max(map(len, columns.values()))
        for name, values in columns.items():
            if not values or len(values) not in (1, batch):
                raise InputError(
                    name, f"{name} has {len(values)} values for {batch} pictures; give 1 or {batch}."
                )
            columns[name] = values * (batch // len(values))
        localities = [
            check_locality(*pair) for pair in zip(columns["latitude"], columns["longitude"], strict=True)
        ]
        each = int(
            check_number("num_images_per_barcode", num_images_per_barcode, 1, MAXIMUM_IMAGES, whole=True)
        )
        seeds = [
            (check_seed(value) + picture) % (MAXIMUM_SEED + 1)
            for value in columns["seed"]
            for picture in range(each)
        ]
        if isinstance(generator, (list, tuple)) and len(generator) != len(seeds):
            raise InputError(
                "generator", f"generator has {len(generator)} items for {len(seeds)} pictures; give one each."
            )
        if generator is None:
            generator = [torch.Generator("cpu").manual_seed(value) for value in seeds]
        return cls(columns["barcode"], torch.tensor(localities, dtype=torch.float32), each, generator)
