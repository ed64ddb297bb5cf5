"""The command line `python -m g2pdiff`."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from g2pdiff.__main__ import main
from g2pdiff.genotype import Barcode
from tests.tiny import tiny_pipeline

ROOT = Path(__file__).parents[1]
with (ROOT / "assets" / "examples.csv").open(newline="") as file:
    CARDUI = next(csv.DictReader(file))["dna_barcode"]


def generate(*options: str, barcode: str = CARDUI) -> int:
    return main(["generate", f"--barcode={barcode}", "--latitude=56.6", "--longitude=11.3", *options])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """Folder of a saved tiny checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(path)
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_generate_writes_the_picture_and_prints_one_line(folder, checkpoint, capfd):
    assert generate("--seed=3", "--steps=2", f"--checkpoint={checkpoint}", "--out=insect.png") == 0
    printed = capfd.readouterr().out
    assert printed.count("\n") == 1
    result = json.loads(printed)
    assert result["steps"] == 2 and result["seed"] == 3 and result["checkpoint"] == checkpoint
    assert result["seconds"] > 0 and -1 <= result["clibd_score"] <= 1
    assert (result["latitude"], result["longitude"]) == (56.6, 11.3)
    assert (result["notes"], result["warnings"]) == ([], [])
    (expected,) = tiny_pipeline()(CARDUI, 56.6, 11.3, seed=3, num_inference_steps=2).images
    assert Image.open("insect.png").tobytes() == expected.tobytes()


def test_generate_takes_a_file_and_mutates_it(folder, checkpoint, capfd):
    Path("barcode.fasta").write_text(f">cardui\n{CARDUI.lower()}\n>other\nACGT\n")
    options = ["--mutation-rate=0.1", "--seed=5", f"--checkpoint={checkpoint}"]
    assert generate(*options, barcode="barcode.fasta") == 0
    result = json.loads(capfd.readouterr().out)
    assert (result["name"], result["mutation_rate"], result["steps"]) == ("cardui", 0.1, 4)
    assert len(result["notes"]) == 3
    (expected,) = tiny_pipeline()(Barcode(CARDUI).mutate(0.1, 5), 56.6, 11.3, seed=5).images
    assert Image.open("picture.png").tobytes() == expected.tobytes()


def test_help_needs_no_torch():
    code = "import sys, g2pdiff.__main__ as cli; cli.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "barcode", "sentence"),
    [
        ([], "", "The barcode is empty"),
        ([], "HELLO", "that DNA does not have"),
        ([], CARDUI[:100], "too short"),
        ([], "missing.fasta", 'The barcode file "missing.fasta" cannot be read (No such file'),
        ([], "./missing", 'The barcode file "./missing" cannot be read (No such file'),
        ([], "a_folder", 'The barcode file "a_folder" cannot be read (Is a directory)'),
        ([], "picture.png", 'The barcode file "picture.png" is not plain text'),
        ([], "empty.fasta", "The barcode is empty"),
        (["--latitude="], CARDUI, "Latitude is missing"),
        (["--latitude", "-91"], CARDUI, "Latitude must be"),
        (["--longitude=east"], CARDUI, "Longitude must be"),
        (["--seed=-1"], CARDUI, "Seed must be"),
        (["--steps=0"], CARDUI, "Steps must be"),
        (["--steps="], CARDUI, "Steps is missing"),
        (["--mutation-rate=1.5"], CARDUI, "Mutation rate must be"),
        (["--guidance-scale=-2"], CARDUI, "Guidance scale must be"),
        (["--alignment-scale=nan"], CARDUI, "Alignment scale must be"),
        (["--out=no/such/folder.png"], CARDUI, 'Out cannot be written to "no/such/folder.png" (No such file'),
        (["--out=a_folder.png"], CARDUI, 'Out cannot be written to "a_folder.png" (Is a directory)'),
        (["--out=picture.doc"], CARDUI, "Out must be a file name that ends in one of .png"),
        (["--checkpoint=a_folder"], CARDUI, "heckpoint"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, capfd, options, barcode, sentence):
    (folder / "a_folder").mkdir()
    (folder / "a_folder.png").mkdir()
    (folder / "empty.fasta").touch()
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    assert generate(*options, barcode=barcode) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert captured.err.count("\n") == 1 and captured.err.endswith(".\n")


def test_usage_errors_exit_with_2():
    with pytest.raises(SystemExit, match="2"):
        main(["paint"])


def test_a_refused_run_leaves_no_picture(folder):
    assert generate("--out=new.png", f"--checkpoint={folder}") == 2
    assert not (folder / "new.png").exists()


def test_the_module_runs_as_a_program(folder, checkpoint):
    """In a process of its own, where nothing has imported the checkpoint's parts before."""
    command = [sys.executable, "-m", "g2pdiff", "generate", f"--checkpoint={checkpoint}", "--longitude=11.3"]
    command += [f"--barcode={CARDUI}", f"--out={folder / 'insect.png'}"]
    good, bad = (
        subprocess.run([*command, latitude], cwd=ROOT, capture_output=True, text=True, check=False)
        for latitude in ("--latitude=-33.9", "--latitude=south")
    )
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["latitude"] == -33.9
    assert Image.open(folder / "insect.png").size == (32, 32)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("Latitude must be a number") and "Traceback" not in bad.stderr
