"""The command line `python -m g2pdiff`."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tqdm
from PIL import Image

from g2pdiff import __version__
from g2pdiff.cli import main, read_sequence
from g2pdiff.dna.barcode import Barcode
from tests.tiny import tiny_pipeline

ROOT = Path(__file__).parents[1]
with (ROOT / "assets" / "examples.csv").open(newline="") as file:
    CARDUI = next(csv.DictReader(file))["dna_barcode"]


def generate(*options: str, barcode: str = CARDUI) -> int:
    return main(["generate", f"--barcode={barcode}", "--latitude=56.6", "--longitude=11.3", *options])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """Return the folder of a saved tiny checkpoint."""
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


def test_generate_takes_edits_and_a_mutation_model(folder, checkpoint, capfd):
    assert CARDUI[1] == "A"
    options = ["--edits=A2G", "--mutation-rate=0.1", "--region=100-199", "--ts-tv-ratio=2", "--no-new-stops"]
    assert generate(*options, "--steps=1", f"--checkpoint={checkpoint}") == 0
    assert json.loads(capfd.readouterr().out)["changed_bases"] == 11


def read_results(capfd, folder: str) -> tuple[dict, dict, list[dict]]:
    """Return the printed line, result.json and rows.csv of an experiment, whose pictures must all be
    there."""
    printed = capfd.readouterr().out
    assert printed.count("\n") == 1
    saved = json.loads(Path(folder, "result.json").read_text())
    with Path(folder, "rows.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    files = {name for row in rows for name in row.values() if name.endswith(".png")}
    assert files | {"sheet.png", "rows.csv", "result.json"} == {path.name for path in Path(folder).iterdir()}
    assert all(Image.open(Path(folder, name)).size == (32, 32) for name in files)
    return json.loads(printed), saved, rows


def test_mutations_write_pictures_rows_and_one_line(folder, checkpoint, capfd):
    options = ["--latitude=56.6", "--longitude=11.3", "--rates", "0.1,0.3", "--replicates=2", "--seed=4"]
    options += ["--steps=1", "--kind=nonsynonymous", f"--checkpoint={checkpoint}", "--out=deep/series"]
    assert main(["mutations", f"--barcode={CARDUI}", *options]) == 0
    printed, saved, rows = read_results(capfd, "deep/series")
    assert [(row["rate"], row["pictures"]) for row in printed["rows"]] == [(0, 1), (0.1, 2), (0.3, 2)]
    for name in ("clibd_score", "body_length", "drift", "true_body_length", "true_drift"):
        assert set(printed["rows"][1][name]) == {"value", "low", "high"}
    assert printed["rows"][0]["drift"] == {"value": 0, "low": None, "high": None}
    assert [row["changed_bases"] for row in rows] == ["0", "66", "66", "197", "197"]
    assert len(rows[1]["bases"].split()) == 66
    assert rows[4]["truth"] == "mutated30_replicate1_truth.png"
    settings = saved.pop("settings")
    assert saved == printed
    assert settings["rates"] == [0, 0.1, 0.3] and settings["kind"] == "nonsynonymous"
    (expected,) = tiny_pipeline()(CARDUI, 56.6, 11.3, seed=4, num_inference_steps=1).images
    assert Image.open("deep/series/mutated0_replicate0_prediction.png").tobytes() == expected.tobytes()


def test_latitude_prints_the_slope(folder, checkpoint, capfd):
    options = ["--longitude=11.3", "--degrees", "-60", "0", "30", "--replicates=1", "--steps=1"]
    assert main(["latitude", f"--barcode={CARDUI}", *options, f"--checkpoint={checkpoint}"]) == 0
    printed, _, rows = read_results(capfd, "latitude")
    low, high = printed["interval"]
    assert low <= printed["slope_percent_per_10_degrees"] <= high
    assert printed["planted"] == 5 and "Bergmann's rule" in printed["verdict"]
    assert [row["latitude"] for row in rows] == ["-60.0", "0.0", "30.0"]


def test_two_places_have_no_slope(folder, checkpoint, capfd):
    options = ["--longitude=11.3", "--degrees=-60,60", "--replicates=1", "--steps=1"]
    assert main(["latitude", f"--barcode={CARDUI}", *options, f"--checkpoint={checkpoint}"]) == 0
    printed, _, _ = read_results(capfd, "latitude")
    assert printed["slope_percent_per_10_degrees"] is printed["interval"] is printed["planted"] is None
    assert printed["verdict"] == "Too few localities for a slope along latitude."


def test_compare_prints_differences(folder, checkpoint, capfd):
    options = ["--latitude=0", "--longitude=11.3", "--other-latitude=-60", "--pairs=1", "--steps=1"]
    assert main(["compare", f"--barcode={CARDUI}", *options, f"--checkpoint={checkpoint}"]) == 0
    printed, saved, rows = read_results(capfd, "compare")
    assert printed["pictures"] == 2 * len(rows)
    assert set(printed["differences"]) == {"body_length", "clibd_score"}
    assert rows[0]["first"] == "seed0_first.png"
    assert (saved["settings"]["latitude"], saved["settings"]["other_latitude"]) == (0, -60)


def test_batch_writes_a_picture_for_each_record(folder, checkpoint, capfd):
    Path("many.fasta").write_text(f">one\n{CARDUI}\n>bad\nACGT\n>two lat=0 lon=0\n{CARDUI}\n")
    options = ["--latitude=1", "--longitude=2", "--steps=1", f"--checkpoint={checkpoint}"]
    assert main(["batch", "--fasta=many.fasta", *options]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert (printed["records"], printed["drawn"], printed["unreadable"]) == (3, 2, 1)
    names = {path.name for path in Path("batch").iterdir()}
    assert names == {"001_one.png", "003_two.png", "results.csv", "result.json"}


@pytest.mark.parametrize(("steps_done", "code", "kept"), [(8, 0, 8), (1, 130, None)])
def test_an_interrupted_run_keeps_what_was_finished(
    folder, checkpoint, capfd, monkeypatch, steps_done, code, kept
):
    class Bar(tqdm.tqdm):
        def update(self, steps):
            super().update(steps)
            if self.n >= steps_done:
                raise KeyboardInterrupt

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    records = "".join(f">{n}\n{CARDUI}\n" for n in range(9))  # one more than are drawn together
    steps = f"--steps={2 - bool(kept)}"  # two steps have finished nothing after the first
    place = ["--latitude=1", "--longitude=2"]
    assert main(["batch", f"--fasta={records}", *place, steps, f"--checkpoint={checkpoint}"]) == code
    printed = capfd.readouterr().out
    assert (json.loads(printed)["drawn"] if printed else None) == kept


def test_help_needs_no_torch():
    code = "import sys, g2pdiff.cli as cli; cli.build_parser(); sys.exit('torch' in sys.modules)"
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


@pytest.mark.parametrize(
    ("verb", "options", "sentence"),
    [
        ("mutations", ["--latitude=91"], "Latitude must be"),
        ("mutations", ["--rates", "0", "2"], "Rates must be a number between 0 and 1"),
        ("mutations", ["--replicates=0"], "Replicates must be"),
        ("mutations", ["--region=x"], "The region must be"),
        ("mutations", ["--ts-tv-ratio=-1"], "Transition transversion ratio must be"),
        ("mutations", ["--edits=A1"], "is not an edit"),
        ("mutations", ["--rates=0.9", "--kind=synonymous"], "choose a mutation rate of at most"),
        ("mutations", ["--out=a_file"], 'Out cannot be written to "a_file" (File exists)'),
        ("latitude", ["--along=up"], 'Along "up" is unknown: choose latitude or longitude'),
        ("latitude", ["--along=longitude", "--degrees=181"], "Degrees must be a number between -180 and 180"),
        ("compare", [], "Both sides are the same"),
        ("compare", ["--other-barcode=missing.fasta"], 'The barcode file "missing.fasta" cannot be read'),
        ("compare", ["--pairs=1000", "--mutation-rate=0.1"], "Pairs must be"),
    ],
)
def test_bad_input_to_an_experiment_is_one_sentence(folder, checkpoint, capfd, verb, options, sentence):
    (folder / "a_file").touch()
    place = ["--latitude=1", "--longitude=2", f"--checkpoint={checkpoint}"]
    assert main([verb, f"--barcode={CARDUI}", *place, *options]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and sentence in captured.err and captured.err.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["a_file"]


@pytest.mark.parametrize("verb", ["generate", "mutations", "latitude", "compare", "batch"])
def test_every_verb_has_help(verb, capfd):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert "--seed" in capfd.readouterr().out


def test_the_app_is_a_verb_and_the_version_is_told(capfd):
    for option, told in ((["app", "--help"], "--mcp"), (["--version"], f"g2pdiffusion {__version__}\n")):
        with pytest.raises(SystemExit, match="0"):
            main(option)
        assert told in capfd.readouterr().out


def test_usage_errors_exit_with_2():
    with pytest.raises(SystemExit, match="2"):
        main(["paint"])


def test_a_refused_run_leaves_no_picture(folder):
    assert generate("--out=new.png", f"--checkpoint={folder}") == 2
    assert not (folder / "new.png").exists()


def test_the_module_runs_as_a_program(folder, checkpoint):
    """Return the in a process of its own, where nothing has imported the checkpoint's parts before."""
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


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--latitude", "-3.39e1"], (-33.9, 11.3)),
        (["--latitude", "-33\u00b054'", "--longitude", "18,4"], (-33.9, 18.4)),
        (["--latitude", "33.9 S", "--longitude", "\u221218.4"], (-33.9, -18.4)),
        (["--latitude", "-33.9, 18.4", "--longitude", ""], (-33.9, 18.4)),
        (["--longitude", "200"], (56.6, -160)),
    ],
)
def test_places_are_read_as_people_write_them(checkpoint, folder, capfd, options, found):
    place = ["--latitude", "56.6", "--longitude", "11.3"]
    main(["generate", "--barcode", CARDUI, *place, *options, "--steps=1", f"--checkpoint={checkpoint}"])
    result = json.loads(capfd.readouterr().out)
    assert (result["latitude"], result["longitude"]) == found
    is_told = found[1] in (-160, 18.4)
    assert any("ongitude" in note for note in result["notes"]) == is_told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate", "--latitude=120", "--longitude=30"], "are latitude and longitude swapped?"),
        (["generate", "--latitude=5 6", "--longitude=3"], "may be degrees and minutes or two numbers"),
        (["generate", "--latitude"], "expected one argument"),
        (["generate", "--colour", "red"], "--colour red"),
        (["mutations", "--latitude=1", "--longitude=2", "--rates", "0,1"], "may be 0.1 or two numbers"),
        (["latitude", "--longitude=2", "--degrees", "10,5", "20,5"], "may be 10.5 or two numbers"),
        (["latitude", "--longitude=2", "--degrees", "-60,-30,95"], 'not "95'),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_what_has_two_meanings_or_none_is_one_sentence(capfd, arguments, sentence):
    if arguments[0] != "frobnicate":
        arguments = [arguments[0], "--barcode", CARDUI, *arguments[1:]]
    try:
        code = main(arguments)
    except SystemExit as left:
        code = left.code
    said = capfd.readouterr()
    assert code == 2 and sentence in said.err and said.err.count("\n") == 1 and not said.out


def test_records_come_out_of_packed_files_and_tables(folder):
    table = f"processid\tnuc\tcoord\nA1\t{CARDUI}\t[1.5, 2.5]\n"
    for name, content in (("a.tsv", table.encode()), ("b.gz", gzip.compress(table.encode("utf-16")))):
        Path(name).write_bytes(content)
        assert read_sequence("fasta", name, "FASTA") == table
