"""The endpoint for scripts, over HTTP, on a tiny real pipeline."""

import time

import pytest
from gradio_client import Client
from PIL import Image

from tests.tiny import BARCODE


@pytest.fixture(scope="module")
def client(app, tmp_path_factory):
    return Client(app, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def generate(client, **values):
    return client.predict(
        **({"barcode": BARCODE, "latitude": 56.6, "longitude": 11.3} | values), api_name="/generate"
    )


def test_generate_is_the_only_endpoint_and_is_documented(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/generate"]
    assert "COI barcode" in endpoints["/generate"]["description"]
    assert [parameter["parameter_name"] for parameter in endpoints["/generate"]["parameters"]] == [
        "barcode",
        "latitude",
        "longitude",
        "mutation_rate",
        "seed",
        "steps",
        "guidance_scale",
        "alignment_scale",
    ]


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


def test_a_cancelled_run_makes_room_for_the_next(client):
    job = client.submit(BARCODE, 0, 0, steps=1000, api_name="/generate")
    while not job.outputs():
        time.sleep(0.05)
    job.cancel()
    generate(client)
    assert len(job.outputs()) < 1000


def test_two_visitors_take_turns(app, client):
    other = Client(app, verbose=False)
    jobs = [who.submit(BARCODE, 0, 0, seed=n, api_name="/generate") for n, who in enumerate((client, other))]
    assert all(job.result(timeout=120)[1]["step"] == 4 for job in jobs)


def test_a_missing_checkpoint_is_said_in_one_sentence(serve, tmp_path):
    with pytest.raises(Exception, match="model_index.json"):
        generate(Client(serve(tmp_path), verbose=False))
