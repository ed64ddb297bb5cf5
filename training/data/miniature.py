"""Small files with the layout, names and types of what a paper-scale run reads.

They stand for BIOSCAN-5M (Gharaee et al. 2024), Stable Diffusion 1.5 in diffusers' layout, the official CLIBD
(`bioscan-ml/clibd`) and BarcodeBERT. A rehearsal and the tests run on them; they hold nothing that was
published. Their weights are random.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import BertConfig, BertModel

from g2pdiff.outputs import to_pil
from g2pdiff.simulation import Simulator
from g2pdiff.simulation.barcodes import simulate_barcodes

WIDTH, LAYERS, EMBED, RANK = 128, 2, 96, 4
"""The sizes of the small CLIBD: channels, layers per tower, embedding and adapter."""

CONDITION = 32
"""Width of the small base's conditions, which `diffusion.conditioner.hidden_size` must equal."""

HEADER = [
    *(
        "processid",
        "sampleid",
        "taxon",
        "phylum",
        "class",
        "order",
        "family",
        "subfamily",
        "genus",
        "species",
    ),
    *("dna_bin", "dna_barcode", "country", "province_state", "coord-lat", "coord-lon"),
    *("image_measurement_value", "area_fraction", "scale_factor", "inferred_ranks", "split"),
    *("index_bioscan_1M_insect", "chunk"),
]
"""The columns of BIOSCAN-5M's CSV, in its order."""

CHUNK_LETTERS = {"pretrain": 2, "train": 1, "other_heldout": 1}
"""Letters of the folders that large splits are divided into."""


def csv_rows(split: str, records: Sequence[dict]) -> Iterator[dict]:
    """Yield rows of a split as the official CSV has them. Rows of `pretrain` have no species.

    Args:
        split: one of BIOSCAN-5M's.
        records: of `g2pdiff.simulation.barcodes.simulate_barcodes`.
    """
    for number, record in enumerate(records):
        processid = f"{split.upper()}{number}-22"
        named = split != "pretrain"
        yield dict.fromkeys(HEADER, "") | {
            "processid": processid,
            "sampleid": f"BIOUG{number}",
            "taxon": record["family"],
            "phylum": "Arthropoda",
            "class": "Insecta",
            "order": record["order"],
            "family": record["family"],
            "genus": record["genus"] if named else "",
            "species": f"{record['species']} {split}" if named else "",
            "dna_bin": f"BOLD:{split[:2]}{number // 2}",
            "dna_barcode": record["dna_barcode"].rstrip("N"),
            "country": "Costa Rica",
            "coord-lat": f"{record['coord-lat']:.3f}",
            "coord-lon": f"{record['coord-lon']:.3f}",
            "image_measurement_value": "4000",
            "area_fraction": "0.125",
            "scale_factor": "1.5",
            "inferred_ranks": "0",
            "split": split,
            "chunk": hashlib.md5(processid.encode()).hexdigest()[: CHUNK_LETTERS.get(split, 0)],
        }


def write_metadata(path: Path, rows: Sequence[dict]) -> Path:
    """Write rows of `csv_rows` as the official CSV, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pd.DataFrame(rows, columns=HEADER).to_csv(index=False))  # as published, unmarked
    return path


def stored_path(row: dict) -> str:
    """Return the path of a row's picture inside its package."""
    return "/".join(filter(None, (row["split"], row["chunk"], row["processid"] + ".jpg")))


def write_bioscan(folder: Path, species: int = 8, size: int = 64) -> Path:
    """Write a small BIOSCAN-5M of simulated specimens: the CSV, and a zip of `cropped_256` pictures.

    Args:
        folder: folder that `data.pictures` names.
        species: number of species of the closed world. Each has four specimens in `train`, and one each in
            `val` and `test`. The open world, `test_unseen`, has half as many, with two specimens each.
        size: height and width of the pictures in pixels.

    Returns:
        The CSV, for `data.metadata`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    closed = simulate_barcodes(species, 6, seed=5)
    parts = {
        "train": [record for number, record in enumerate(closed) if number % 6 < 4],
        "val": closed[4::6],
        "test": closed[5::6],
        "test_unseen": simulate_barcodes(species // 2, 2, seed=6),
    }
    rows = []
    for split, records in parts.items():
        for row, record in zip(csv_rows(split, records), records, strict=True):
            rows.append(row | {"species": record["species"]})
    simulator = Simulator.default()
    with ZipFile(folder / "BIOSCAN_5M_cropped_256.zip", "w") as archive:
        for start in range(0, len(rows), 16):
            some = rows[start : start + 16]
            images = simulator.specimens(
                [row["dna_barcode"] for row in some],
                torch.tensor([float(row["coord-lat"]) for row in some]).numpy(),
                size,
                list(range(start, start + len(some))),
            )
            for row, image in zip(some, to_pil(images), strict=True):
                archive.writestr(f"bioscan5m/images/cropped_256/{stored_path(row)}", _jpeg(image))
    return write_metadata(
        folder / "bioscan5m" / "metadata" / "csv" / "BIOSCAN_5M_Insect_Dataset_metadata.csv", rows
    )


def _jpeg(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()


def write_stable_diffusion(folder: Path) -> Path:
    """Write Stable Diffusion 1.5's parts in a few thousandths of their size, and return the folder."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
        cross_attention_dim=CONDITION,
    ).save_pretrained(folder / "unet")
    autoencoder: Any = AutoencoderKL  # its types say tuples of one
    autoencoder(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=512,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    PNDMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        skip_prk_steps=True,
        steps_offset=1,
        prediction_type="epsilon",
        timestep_spacing="leading",
    ).save_pretrained(folder / "scheduler")
    return folder


def write_barcodebert(folder: Path) -> Path:
    """Write a BarcodeBERT of one layer for 4-mers, as `transformers` saves it, and return the folder."""
    bert = BertConfig(
        vocab_size=258,
        hidden_size=CONDITION,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=4 * CONDITION,
    )
    BertModel(bert, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_clibd(file: Path) -> Path:
    """Write a small official CLIBD, and return its file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(clibd_weights(), file)
    return file


def small_settings(folder: Path) -> list[str]:
    """Write all the parts of a paper-scale run into a folder; return the overrides that name them.

    Returns:
        Overrides of `training/configs/paper.yaml`: the parts, small models beside them, the folders.
    """
    metadata = write_bioscan(folder / "bioscan")
    conditioner = (
        f"{{hidden_size: {CONDITION}, num_layers: 1, num_heads: 2, max_tokens: 1023, context: pooled}}"
    )
    return [
        f"run={folder / 'run'}",
        f"assemble.checkpoint={folder / 'checkpoint'}",
        f"data.metadata={metadata}",
        f"data.pictures={folder / 'bioscan'}",
        f"data.cache={folder / 'cache'}",
        "data.image_size=64",
        "data.held_out=16",
        f"clibd.settings.official={write_clibd(folder / 'weights' / 'best.pth')}",
        f"diffusion.base={write_stable_diffusion(folder / 'weights' / 'sd15')}",
        f"diffusion.conditioner={conditioner}",
        f"diffusion.conditioner_init={write_barcodebert(folder / 'weights' / 'barcodebert')}",
        "diffusion.training.batch_size=4",
        "diffusion.training.warmup_steps=0",
        "aligner.model={hidden_size: 32, num_layers: 1, num_heads: 2, embed_size: 16}",
        "aligner.training.batch_size=8",
        "aligner.training.warmup_steps=0",
    ]


def clibd_weights(older: bool = False, lora: bool = True) -> dict[str, torch.Tensor]:
    """Return random weights with the names and types of the published CLIBD, `best.pth`, in fewer layers.

    Args:
        older: take the names of the first published file.
        lora: keep the adapters beside the weights that they change.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * shape[-1] ** -0.5

    def linear(name: str, outputs: int, inputs: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": random(outputs, inputs), f"{name}.bias": random(outputs)}

    def norm(name: str) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": 1 + random(WIDTH), f"{name}.bias": random(WIDTH)}

    image = {"cls_token": random(1, 1, WIDTH), "pos_embed": random(1, 197, WIDTH)}
    image |= {"patch_embed.proj.weight": random(WIDTH, 3, 16, 16), "patch_embed.proj.bias": random(WIDTH)}
    for block in range(LAYERS):
        stem = f"blocks.{block}"
        image |= norm(f"{stem}.norm1") | norm(f"{stem}.norm2") | linear(f"{stem}.attn.proj", WIDTH, WIDTH)
        image |= linear(f"{stem}.mlp.fc1", 4 * WIDTH, WIDTH) | linear(f"{stem}.mlp.fc2", WIDTH, 4 * WIDTH)
        image |= linear(f"{stem}.attn.qkv.qkv" if lora else f"{stem}.attn.qkv", 3 * WIDTH, WIDTH)
        for part in "qv" if lora else "":
            image[f"{stem}.attn.qkv.linear_a_{part}.weight"] = random(RANK, WIDTH)
            image[f"{stem}.attn.qkv.linear_b_{part}.weight"] = random(WIDTH, RANK)
    image |= norm("norm") | linear("head", EMBED, WIDTH)

    tables = {"word": 1027, "position": 512, "token_type": 2}
    barcode = {f"bert.embeddings.{name}_embeddings.weight": random(n, WIDTH) for name, n in tables.items()}
    barcode |= norm("bert.embeddings.LayerNorm") | {"bert.embeddings.position_ids": torch.arange(512)[None]}
    for layer in range(LAYERS):
        stem = f"bert.encoder.layer.{layer}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            barcode |= linear(f"{stem}.attention.{name}", WIDTH, WIDTH)
        barcode |= norm(f"{stem}.attention.output.LayerNorm") | norm(f"{stem}.output.LayerNorm")
        barcode |= linear(f"{stem}.intermediate.dense", 4 * WIDTH, WIDTH)
        barcode |= linear(f"{stem}.output.dense", WIDTH, 4 * WIDTH)
    head = "cls.predictions"
    barcode |= {f"{head}.bias": random(1027)} | linear(f"{head}.transform.dense", WIDTH, WIDTH)
    barcode |= norm(f"{head}.transform.LayerNorm") | linear(f"{head}.decoder", EMBED, WIDTH)

    names = ("lora_vit", "lora_barcode_bert", "lora_bert")
    if not older:
        names = ("base_image_encoder", "base_dna_encoder", "base_language_encoder")
    text = {"embeddings.word_embeddings.weight": random(30, 8), "embeddings.position_ids": torch.arange(4)}
    towers = zip(("image", "dna", "language"), names, (image, barcode, text), strict=True)
    weights = {f"{tower}_encoder.{name}.{key}": w for tower, name, part in towers for key, w in part.items()}
    return weights | {"language_encoder.proj.weight": random(8, 8), "logit_scale": torch.tensor(3.0)}
