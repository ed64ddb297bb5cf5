"""The endpoints for scripts, over HTTP, on a tiny real pipeline."""

import json
import re
import time
from pathlib import Path
from urllib.request import Request, urlopen
from zipfile import ZipFile

import pytest
from gradio_client import Client
from PIL import Image

from g2pdiff.experiments.specification import specifications
from tests.tiny import BARCODE

NAMES = ("generate", "mutations", "compare", "latitude", "batch")


@pytest.fixture(scope="module")
def client(app, tmp_path_factory):
    return Client(app, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def generate(client, **values):
    return client.predict(
        **({"barcode": BARCODE, "latitude": 56.6, "longitude": 11.3} | values), api_name="/generate"
    )


def experiment(client, name, **values):
    """Return the contact sheet and the report of a short experiment."""
    given = {"barcode": BARCODE, "latitude": 10, "longitude": 20, "steps": 1}
    return client.predict(**(given | values), api_name=f"/{name}")


def test_the_named_endpoints_are_documented_and_the_pages_own_events_are_not(client):
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert not endpoints["unnamed_endpoints"]
    assert list(endpoints["named_endpoints"]) == [f"/{name}" for name in NAMES]
    for name in NAMES:
        found, kind = endpoints["named_endpoints"][f"/{name}"], specifications()[name]
        assert found["description"] == kind.about
        for (argument, field), parameter in zip(kind.arguments().items(), found["parameters"], strict=True):
            assert (parameter["parameter_name"], parameter["label"]) == (argument, field.description)
            assert parameter["parameter_has_default"] == (not field.is_required())
            if not field.is_required():
                assert parameter["parameter_default"] == kind.schema_of(argument)["default"]


def test_arguments_have_their_types(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    types = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/latitude"]["parameters"]}
    assert types["barcode"] == "str" and types["seed"] == "int" and types["no_new_stops"] == "bool"
    assert types["degrees"] == "list[float] | None"
    assert types["along"] == "Literal['latitude', 'longitude']"


def test_defaults_are_the_checkpoints_and_settings_come_back(client):
    picture, report = generate(client)
    assert Image.open(picture).size == (32, 32)
    assert report["step"] == report["steps"] == 4
    assert -1 <= report["clibd_score"] <= 1
    assert report["settings"]["barcode"] == BARCODE
    assert report["changed_bases"] == 0
    _, report = generate(client, mutation_rate=0.1, steps=2, guidance_scale=1, alignment_scale=0)
    assert report["steps"] == 2
    assert report["changed_bases"] == 66


def test_a_seed_decides_the_picture(client):
    def pixels(seed):
        return Image.open(generate(client, seed=seed)[0]).tobytes()

    first, other = pixels(1), pixels(2)
    assert pixels(1) == first
    assert other != first


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"barcode": ""}, "barcode is empty"),
        ({"barcode": "MKVLAAGIVGLCYWF" * 20}, "protein"),
        ({"barcode": None}, "barcode"),
        ({"latitude": 90.5}, "Latitude"),
        ({"latitude": None}, "Latitude is missing"),
        ({"longitude": "east"}, "Longitude"),
        ({"mutation_rate": 1.5}, "Mutation rate"),
        ({"seed": -1}, "Seed"),
        ({"steps": 2.5}, "Steps"),
        ({"steps": 10**6}, "Steps"),
        ({"guidance_scale": "nan"}, "Guidance scale"),
        ({"alignment_scale": -1}, "Alignment scale"),
    ],
)
def test_bad_input_gives_one_sentence(client, values, sentence):
    with pytest.raises(Exception, match=sentence) as raised:
        generate(client, **values)
    assert "Traceback" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mutations_stream_to_rows_a_summary_and_a_contact_sheet(client):
    job = client.submit(BARCODE, 10, 20, [0.1], 2, 5, 2, edits="T12G", region="1-300", api_name="/mutations")
    sheet, report = job.result(timeout=120)
    told = [found["done"] for _, found in job.outputs()]
    assert told == sorted(told) and told[0] < told[-1] == report["done"] == report["total"] == 6
    assert [(row["rate"], row["replicate"]) for row in report["rows"]] == [(0, 0), (0.1, 0), (0.1, 1)]
    assert report["rows"][0]["bases"] == [] and report["rows"][0]["drift"] == 0
    assert len(report["rows"][1]["bases"]) == report["rows"][1]["changed_bases"] == 30
    assert all(int(base[1:-1]) <= 300 for base in report["rows"][2]["bases"])
    wild_type, mutants = report["summary"]["rows"]
    assert wild_type["clibd_score"]["low"] is None
    assert mutants["pictures"] == 2 and mutants["drift"]["low"] < mutants["drift"]["value"]
    assert Image.open(sheet).width > 4 * 32


def test_an_experiments_settings_ask_for_the_same_again(client):
    _, first = experiment(
        client, "mutations", rates=[0.2], replicates=1, kind="synonymous", no_new_stops=True
    )
    again = client.predict(**first["settings"], api_name="/mutations")[1]
    assert again["rows"] == first["rows"] and again["settings"] == first["settings"]


def test_latitude_and_its_null_control(client):
    _, report = experiment(client, "latitude", latitude=None, degrees=[-60, 0, 30], replicates=1)
    assert [row["latitude"] for row in report["rows"]] == [-60, 0, 30]
    assert report["summary"]["planted"] == 5
    assert len(report["summary"]["interval"]) == 2
    assert "Bergmann's rule" in report["summary"]["verdict"]
    _, control = experiment(
        client, "latitude", longitude=None, along="longitude", degrees=[-60, 0, 30], replicates=1
    )
    assert {row["latitude"] for row in control["rows"]} == {10}
    assert control["summary"]["planted"] == 0 and "Null control" in control["summary"]["verdict"]


def test_compare_changes_one_side_alone(client):
    _, report = experiment(client, "compare", pairs=2, mutation_rate=0.5, seed=3)
    assert [row["seed"] for row in report["rows"]] == [3, 4]
    difference = [row["second_body_length"] - row["first_body_length"] for row in report["rows"]]
    assert report["summary"]["differences"]["body_length"]["value"] == pytest.approx(
        sum(difference) / 2, abs=1e-4
    )
    assert all(row["drift"] > 0 for row in report["rows"])


def test_batch_gives_a_row_for_each_record_and_a_zip(client):
    fasta = f">moth one lat=1 lon=2\n{BARCODE}\n>nothing\nACGT\n"
    archive, report = client.predict(fasta, 50, 60, steps=1, api_name="/batch")
    with ZipFile(archive) as folder:
        assert sorted(folder.namelist()) == ["001_moth-one.png", "results.csv"]
    good, bad = report["rows"]
    assert (good["latitude"], good["error"], good["file"]) == (1, "", "001_moth-one.png")
    assert (bad["latitude"], bad["clibd_score"], bad["file"]) == (50, None, None) and "short" in bad["error"]
    assert report["summary"] == {"records": 2, "drawn": 1, "unreadable": 1}


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("mutations", {"barcode": 5}, "barcode is too short"),
        ("mutations", {"rates": 0.1}, "Rates must be a list"),
        ("mutations", {"rates": [0, 1.5]}, "Rates must be a number between 0 and 1"),
        ("mutations", {"replicates": 0}, "Replicates must be"),
        ("mutations", {"replicates": 300}, "choose at most"),
        ("mutations", {"kind": ["odd"]}, "There is no mutation kind"),
        ("mutations", {"region": 7}, "The region must be"),
        ("mutations", {"edits": 7}, "is not an edit"),
        ("mutations", {"rates": [0.9], "kind": "synonymous"}, "choose a mutation rate of at most"),
        ("latitude", {"along": "altitude"}, 'Along "altitude" is unknown'),
        ("latitude", {"longitude": None}, "Longitude is missing"),
        ("latitude", {"degrees": [91]}, "Degrees must be a number between -90 and 90"),
        ("latitude", {"degrees": {"from": 1}}, "Degrees must be a list"),
        ("compare", {}, "Both sides are the same"),
        ("compare", {"other_latitude": 91}, "Other latitude must be"),
        ("compare", {"other_guidance_scale": "x"}, "Other guidance scale must be"),
        ("compare", {"other_barcode": "ACGT"}, "Of the other barcode: The barcode is too short"),
        ("compare", {"mutation_rate": 0.1, "pairs": 1.5}, "Pairs must be"),
    ],
)
def test_bad_input_to_an_experiment_gives_one_sentence(client, name, values, sentence):
    with pytest.raises(Exception, match=sentence) as raised:
        experiment(client, name, **values)
    assert "\n" not in str(raised.value)


def test_a_cancelled_experiment_makes_room_for_the_next(client):
    job = client.submit(BARCODE, 0, 0, [0.1], 1, 0, 1000, api_name="/mutations")
    while not job.outputs():
        time.sleep(0.05)
    job.cancel()
    experiment(client, "compare", pairs=1, other_latitude=50)
    assert len(job.outputs()) < 1000


def test_a_cancelled_run_makes_room_for_the_next(client):
    job = client.submit(BARCODE, 0, 0, steps=1000, api_name="/generate")
    while not job.outputs():
        time.sleep(0.05)
    job.cancel()
    generate(client)
    assert len(job.outputs()) < 1000


def test_two_visitors_draw_one_after_the_other(app, client):
    other = Client(app, verbose=False)
    jobs = [who.submit(BARCODE, 0, 0, seed=n, api_name="/generate") for n, who in enumerate((client, other))]
    assert all(job.result(timeout=120)[1]["step"] == 4 for job in jobs)


def test_a_missing_checkpoint_is_said_in_one_sentence(serve, tmp_path):
    with pytest.raises(Exception, match="model_index.json"):
        generate(Client(serve(tmp_path), verbose=False))


def test_the_readmes_client_runs_as_it_stands(app, tmp_path, monkeypatch, capsys):
    readme = Path("README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(from gradio_client.*?)```", readme, re.DOTALL)
    (tmp_path / "barcode.fasta").write_text(f">moth\n{BARCODE}\n")
    monkeypatch.chdir(tmp_path)
    exec(program.replace("http://127.0.0.1:7860/", app).replace("http://127.0.0.1:7860", app), {})
    printed = capsys.readouterr().out
    assert "per 10 degrees" in printed
    assert ".zip" in printed


@pytest.mark.parametrize("name", ["generate", "batch"])
def test_a_call_with_the_required_values_alone_gets_the_defaults(app, name):
    barcode = BARCODE if name == "generate" else f">one\n{BARCODE}"
    address, given = f"{app}gradio_api/call/{name}", json.dumps({"data": [barcode, "33.9 S", "18,4"]})
    with urlopen(Request(address, given.encode(), {"Content-Type": "application/json"})) as answer:
        event = json.load(answer)["event_id"]
    with urlopen(f"{address}/{event}", timeout=60) as answer:
        *_, last = [line for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    _, report = json.loads(last.removeprefix("data: "))
    assert (report["settings"]["latitude"], report["settings"]["longitude"]) == (-33.9, 18.4)
    defaults = {argument: specifications()[name].default(argument) for argument in ("seed", "steps")}
    assert {argument: report["settings"][argument] for argument in defaults} == defaults
    assert any("18,4" in note for note in report["notes"])
