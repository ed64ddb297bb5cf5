"""A checkpoint that learned from photographs by species beside one of simulated specimens, in one app."""

import csv
import io
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import torch
from gradio_client import Client
from PIL import Image

from g2pdiff import arrival, cli
from g2pdiff.about import About
from g2pdiff.analysis.references import FOLDER, PICTURES, Reference, References
from g2pdiff.built_in import EXAMPLES
from g2pdiff.dna.barcode import Barcode
from g2pdiff.models.checkpoint_names import default_checkpoint
from g2pdiff.ui.app import footer, title
from g2pdiff.ui.server.model import Models
from g2pdiff.ui.tabs.batch import sample
from g2pdiff.ui.widgets.examples import choices, examples
from tests.tiny import BARCODE, tiny_pipeline
from tests.ui.test_selector import wait

ABOUT = About(
    "Butterflies",
    description="It learned from photographs of butterflies.",
    limits="A look-up would do that too.",
    credit="Photographs: A. Person <a@b.c>.",
    licence="Apache 2.0.",
    barcodes="Barcodes: CC BY-SA.",
)
PEACOCK = examples()["Aglais io"]
STRANGER = examples()["Pheidole pugnax"]


@pytest.fixture(scope="module")
def butterflies(tmp_path_factory):
    """Return a checkpoint of two species, whose reference pictures are one red and one blue."""
    folder = tmp_path_factory.mktemp("butterflies")
    tiny_pipeline(truth=None, whole_frames=False, default_steps=3).save_pretrained(folder)
    ABOUT.save(folder)
    known = [PEACOCK, examples()["Papilio machaon"]]
    rows = [
        Reference(row.name, row.name.split()[0], row.family, row.order, row.dna_barcode, 50.0, 10.0)
        for row in known
    ]
    vectors = torch.nn.functional.normalize(torch.randn(2, 8), dim=1)
    References(rows, vectors, vectors, 0.94, 0.04, drawn=True, missed=0.001, mistaken=0.0).save(folder)
    (folder / FOLDER / PICTURES).mkdir()
    for row, colour in enumerate(("red", "blue")):
        Image.new("RGB", (128, 128), colour).save(folder / FOLDER / PICTURES / f"{row}.jpg")
    with EXAMPLES.open(newline="") as table, (folder / EXAMPLES.name).open("w", newline="") as own:
        lines = [line for line in csv.DictReader(table) if line["name"] in {row.name for row in known}]
        writer = csv.DictWriter(own, list(lines[0]))
        writer.writeheader()
        writer.writerows(sorted(lines, key=lambda line: line["name"]))
    arrival.main([str(folder)])
    return str(folder)


@pytest.fixture(scope="module")
def insects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("insects")
    tiny_pipeline().save_pretrained(folder)
    About("Insects", description="It learned from simulated specimens.").save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def both(serve, butterflies, insects) -> str:
    return serve(f"{butterflies},{insects}")


def run(page, tab="explore"):
    page.click(f"#{tab}-run")
    wait(page, f"#{tab}-status", "Done")


def test_the_page_opens_with_photographs_and_the_nearest_known_species_stands_beside(
    both, visit, butterflies
):
    page = visit(both)
    wait(page, "#title", ABOUT.description)
    assert page.input_value("#checkpoint input") == "Butterflies"
    page.wait_for_selector("#prediction img")  # drawn before anybody came
    caption = page.inner_text("#caption")
    assert "Drawn before you came" in caption and "Aglais io" in caption
    assert page.input_value("#picker input").startswith("Aglais io, peacock butterfly")
    assert "A. Person <a@b.c>" in page.inner_text("#credit") and "CC BY-SA" in page.inner_text("#credit")
    page.click("#title summary")
    assert "A look-up would do that too" in page.inner_text("#title")
    page.wait_for_selector("#known-column", state="visible")
    run(page)
    said = page.inner_text("#known-note")
    assert "Aglais io (Nymphalidae), 100.0% identical over 658 sites" in said and "not a photograph" in said
    assert not page.is_visible("#truth-column") and page.inner_text("#explore-warning").strip() == ""
    page.wait_for_function(
        "[...document.querySelectorAll('#known img, #prediction img')].every(img => img.naturalWidth)"
    )
    shown = Image.open(io.BytesIO(page.locator("#known img").screenshot())).convert("RGB")
    red, green, blue = shown.getpixel((shown.width // 2, shown.height // 2))
    assert red > 200 and green < 60 and blue < 60
    assert parse_qs(urlsplit(page.url).query)["checkpoint"] == [butterflies]


def test_a_strangers_barcode_is_drawn_under_a_warning(both, visit, butterflies):
    page = visit(f"{both}?{urlencode({'checkpoint': butterflies, 'barcode': STRANGER.dna_barcode})}")
    wait(page, "#title", ABOUT.description)
    run(page)
    warning = page.inner_text("#explore-warning")
    assert "Unlike all 2 reference species" in warning and "shows no such animal" in warning
    assert "says nothing here" in page.inner_text("#explore-status")  # no verdict under a warning
    above = page.locator("#explore-warning").bounding_box()["y"]
    assert above < page.locator("#prediction").bounding_box()["y"]
    assert page.is_visible("#prediction img")
    page.get_by_role("tab", name="Mutations").click()
    page.fill("#mutations-rates textarea, #mutations-rates input", "5")
    page.fill("#mutations-replicates input", "1")
    run(page, "mutations")
    assert "Unlike all 2" in page.inner_text("#mutations-warning")
    assert "Simulated truth" not in page.inner_text("#mutations-grid")
    page.wait_for_selector("#mutations-drift", state="visible")
    assert not page.is_visible("#mutations-body-length")
    page.get_by_role("tab", name="Batch").click()
    page.fill("#batch-fasta textarea", f">a\n{PEACOCK.dna_barcode}\n>b\n{STRANGER.dna_barcode}\n")
    run(page, "batch")
    first, second = page.locator("#batch-grid li").all_inner_texts()
    assert "Unlike" not in first and "Unlike" in second and "Body length" not in first + second


def test_a_tab_that_needs_size_says_so_and_switches_with_the_barcode_kept(both, visit, insects):
    page = visit(both)
    wait(page, "#title", ABOUT.description)
    barcode = Barcode.parse(BARCODE).mutate(0.01, 1).sequence
    page.fill("#barcode textarea", barcode)
    page.get_by_role("tab", name="Latitude").click()
    page.wait_for_selector("#latitude-need", state="visible")
    assert "Body size needs the simulated insects" in page.inner_text("#latitude-need")
    page.click("#latitude-run")
    wait(page, "#latitude-status", "choose one that keeps size")
    page.click("#latitude-switch")
    wait(page, "#title", "simulated specimens")
    page.wait_for_selector("#latitude-need", state="hidden")
    assert page.input_value("#checkpoint input") == "Insects"
    assert page.input_value("#barcode textarea") == barcode
    run(page, "latitude")
    query = parse_qs(urlsplit(page.url).query)
    assert (query["checkpoint"], query["barcode"]) == ([insects], [barcode])


def test_a_link_from_before_there_were_two_opens_the_simulated_specimens(both, visit):
    page = visit(f"{both}?{urlencode({'barcode': STRANGER.dna_barcode, 'seed': 3})}")
    wait(page, "#title", "simulated specimens")
    assert page.input_value("#checkpoint input") == "Insects"
    assert page.input_value("#picker input").startswith("Pheidole pugnax, big-headed ant")
    wait(visit(f"{both}?tab=learn"), "#title", ABOUT.description)


def test_endpoints_name_the_nearest_species_and_choose_what_keeps_size(both, butterflies, insects):
    client = Client(both, verbose=False)
    asked = {"latitude": 1, "longitude": 2, "steps": 1, "api_name": "/generate"}
    report = client.predict(barcode=PEACOCK.dna_barcode, **asked)[1]
    assert (report["nearest_species"]["species"], report["nearest_species"]["identity"]) == ("Aglais io", 1.0)
    assert not any("Unlike" in said for said in report["notes"])
    report = client.predict(barcode=STRANGER.dna_barcode, **asked)[1]
    assert report["nearest_species"]["kind"] == "unlike" and "Unlike all 2" in report["notes"][-1]
    swept = client.predict(
        barcode=BARCODE, longitude=1, degrees=[-60, 0, 60], steps=1, replicates=1, api_name="/latitude"
    )[1]
    assert all(row["true_body_length"] for row in swept["rows"])  # which the simulated insects alone know
    assert (
        client.predict(barcode=STRANGER.dna_barcode, checkpoint=insects, **asked)[1]["nearest_species"]
        is None
    )


def test_the_command_line_warns_and_chooses_what_keeps_size(
    butterflies, insects, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("G2PDIFF_CHECKPOINT", f"{butterflies},{insects}")
    place = ["--latitude=1", "--longitude=2", "--steps=1"]
    picture = f"--out={tmp_path / 'picture.png'}"
    assert cli.main(["generate", f"--barcode={STRANGER.dna_barcode}", *place, picture]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["checkpoint"] == butterflies and "Unlike all 2" in result["warnings"][-1]
    swept = ["latitude", f"--barcode={BARCODE}", "--longitude=1", "--steps=1", "--degrees", "0", "30", "60"]
    assert cli.main([*swept, f"--out={tmp_path / 'sweep'}"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["checkpoint"] == insects
    assert cli.main([*swept, f"--out={tmp_path / 'other'}", f"--checkpoint={butterflies}"]) == 2
    assert "choose one that keeps size" in capsys.readouterr().err


def test_each_checkpoint_has_its_own_name_examples_and_credit(butterflies, insects):
    models = Models((butterflies, insects))
    assert (models.about().name, models.simulated, models.default(True)) == ("Butterflies", insects, insects)
    assert list(examples(butterflies)) == ["Aglais io", "Papilio machaon"]
    assert examples(insects) == examples() and len(choices(butterflies)) == 2
    assert sample(butterflies).count(">") == 2 and sample().count(">") == 4
    html = footer(models)
    assert "A. Person &lt;a@b.c&gt;" in html and "Insects" not in html
    assert "learned from photographs" in title(About("x"), simulated=False)
    assert default_checkpoint((butterflies,), needs_size=True) == butterflies


@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_said_of_a_checkpoint_stays_within_the_page(both, visit, butterflies, width):
    page = visit(f"{both}?{urlencode({'tab': 'latitude', 'checkpoint': butterflies})}", width=width)
    wait(page, "#title", ABOUT.description)
    page.wait_for_selector("#latitude-need", state="visible")
    for part in ("#credit", "#latitude-need"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
