"""From an export of BOLD to a published model, in miniature."""

import csv
import hashlib

import pytest

from g2pdiff.analysis.references import References
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.tiny import BARCODE
from tests.training.data.bold.server import combined_row, jpeg, serving, write_tsv
from training import bold, publish, run
from training.configs.schema import load

QUICK = [f"{stage}.training.steps=2" for stage in ("autoencoder", "clibd", "diffusion", "aligner")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return 160 pictures of 40 species, half of them free of all rights."""
    root = tmp_path_factory.mktemp("bold")
    with pytest.MonkeyPatch.context() as patch, serving() as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        rows = []
        for number, record in enumerate(simulate_barcodes(40, 4, seed=2)):
            server.replies[f"/pics/{number}.jpg"] = jpeg(number)
            row = combined_row(record, number, f"{server.address}/pics/{number}.jpg")
            rows.append(row | ({"copyright_licenses": "No Rights Reserved"} if number % 2 else {}))
        export = write_tsv(root / "export.tsv", rows)
        arguments = ["--export", str(export), "--out", str(root / "fetched"), "--rate", "1000"]
        assert bold.main(arguments) == 0
    return root / "fetched"


def test_a_fetched_folder_ends_in_a_model_that_carries_its_credits(folder, tmp_path):
    config = load(
        "training/configs/test.yaml",
        [f"run={tmp_path}", f"assemble.checkpoint={tmp_path / 'checkpoint'}", f"data.bold={folder}", *QUICK],
    )
    checkpoint = run.run(config)
    pipeline = load_pipeline(checkpoint)
    assert pipeline(BARCODE, 9.9, -84.1, num_inference_steps=2).images[0].size == (64, 64)
    assert pipeline.config.truth is None and not pipeline.config.whole_frames
    assert len(References.load(checkpoint)) > 20
    card = (checkpoint / "README.md").read_text()
    assert "160 photographs" in card and "cc-by-sa 80" in card and "cc0 80" in card
    assert (
        "data.bold=FOLDER" in card and str(folder) not in card and "BIOSCAN" not in card.split("Figures")[0]
    )
    publish.publish(checkpoint, tmp_path / "out", space="owner/demo")
    for published in (tmp_path / "out" / "model", tmp_path / "out" / "space" / "assets" / "checkpoint"):
        with (published / "ATTRIBUTION.csv").open(encoding="utf-8-sig") as file:
            credited = list(csv.DictReader(file))
        assert len(credited) == 160 and {row["holder"] for row in credited} == {"Ana Müller"}
        row = credited[0]
        assert hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest() == row["sha256"]
        with (published / "references" / "photographs.csv").open(encoding="utf-8-sig") as file:
            shown = list(csv.DictReader(file))
        credited = {(row["processid"], row["species"], row["file"]) for row in credited}
        assert {(row["processid"], row["species"], f"pictures/{row['place']}") for row in shown} <= credited
        assert [row["species"] for row in shown] == [row.species for row in References.load(published).rows]
        assert all((published / "references" / row["file"]).is_file() for row in shown)
