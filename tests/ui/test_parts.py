"""What the app says and draws, without a browser."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.errors import InputError
from g2pdiff.genotype import Barcode
from g2pdiff.ui import link, messages
from g2pdiff.ui.examples import choices, examples
from g2pdiff.ui.form import understand, validate
from g2pdiff.ui.live_chart import score_chart
from g2pdiff.ui.map import land, page
from g2pdiff.ui.readout import mutation_readout, readout
from g2pdiff.ui.run import Run, download_link
from tests.tiny import BARCODE

FIELDS = (BARCODE, 56.6, 11.3, 10, 0, 4, 2, 1)  # as in the form: the mutation rate is in per cent


def tags(html: str) -> set[str]:
    found = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.add(tag)
    parser.feed(html)
    return found


def a_run(**changes) -> Run:
    values = dict(
        barcode=BARCODE,
        latitude=56.6,
        longitude=11.3,
        mutation_rate=0,
        seed=0,
        steps=None,
        guidance_scale=None,
        alignment_scale=None,
    )
    return Run.check(**(values | changes))


def test_every_example_is_a_sound_barcode_at_a_place():
    assert len(choices()) == len(examples()) >= 12
    for example in examples().values():
        assert Barcode.parse(example.dna_barcode).warnings == ()
        assert example.order in example.label
        assert -90 <= example.latitude <= 90
        assert -180 <= example.longitude <= 180


def test_readout_draws_every_known_site_and_says_what_was_understood():
    html = readout(">moth 1\n" + BARCODE[30:].lower(), 0, 0)
    assert len(re.findall(r"M\d+\.5 3v", html)) == 628
    assert "<b>628</b> letters" in html and "starts at site 31 of 658" in html and "moth 1" in html
    assert "upper case" in html


def test_readout_marks_what_a_mutation_changes():
    barcode = Barcode.parse(BARCODE)
    changed = barcode.differences(barcode.mutate(0.1, 3))
    assert len(changed) == 66
    html = readout(BARCODE, 0.1, 3)
    assert all(f"M{site}.5 0v" in html for site in changed)
    assert "66 of 658 known bases" in mutation_readout(BARCODE, 0.1, 3)


@given(st.text(), st.floats(0, 0.5))
@settings(max_examples=60, deadline=None)
def test_nothing_typed_becomes_html(text, rate):
    html = readout(f">{text}\n{BARCODE}", rate, 0) + readout(text, rate, 0) + mutation_readout(text, rate, 0)
    assert tags(html) <= {"svg", "path", "ul", "ol", "li", "b", "span", "p"}


def test_names_and_links_are_escaped():
    html = readout(f'><img src=x onerror="alert(1)">\n{BARCODE}', 0, 0)
    assert "img" not in tags(html) and "&lt;img" in html
    _, ignored = link.read({"seed": "<script>alert(1)</script>"})
    assert tags(messages.notes(ignored, "warning")) == {"p"}


def test_understand_complains_beside_the_field_that_is_wrong():
    name, read, place, mutation, settings_note = understand(*FIELDS)
    assert (
        name is None
        and "svg" in tags(read)
        and place == ""
        and settings_note == ""
        and "66 of 658" in mutation
    )
    _, _, place, _, settings_note = understand(BARCODE, 91, None, 10, 1.5, 0, -1, None)
    assert "Latitude" in place
    assert all(word in settings_note for word in ("Seed", "Steps", "Guidance"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [({0: ""}, 0), ({1: None}, 1), ({2: 181}, 2), ({4: -1}, 4), ({5: 0}, 5), ({6: -1}, 6), ({7: 1e9}, 7)],
)
def test_validate_points_at_the_field(changes, field):
    verdicts = validate(*(changes.get(index, value) for index, value in enumerate(FIELDS)))
    assert [index for index, verdict in enumerate(verdicts) if not verdict["is_valid"]] == [field]
    assert verdicts[field]["message"]
    assert all(verdict["is_valid"] for verdict in validate(*FIELDS))


def test_a_link_gives_back_what_is_usable_and_says_what_is_not():
    query = {"barcode": BARCODE, "latitude": "56.6", "mutation_rate": "0.1", "seed": "7", "steps": "30"}
    assert link.read(query) == (
        {"barcode": BARCODE, "latitude": 56.6, "mutation_rate": 0.1, "seed": 7, "steps": 30},
        [],
    )
    values, ignored = link.read({"barcode": "MKV", "longitude": "200", "mutation_rate": "0.6", "other": "1"})
    assert values == {}
    assert [sentence.split(" was ")[0] for sentence in ignored] == [
        "The link's barcode",
        "The link's longitude",
        "The link's mutation rate",
    ]


@given(st.dictionaries(st.sampled_from(list(link.READ)), st.text(max_size=40)))
@settings(max_examples=60, deadline=None)
def test_any_query_string_is_read_or_ignored(query):
    values, ignored = link.read(query)
    assert len(values) + len(ignored) == len(query)


def test_a_run_is_checked_and_mutated():
    run = a_run(mutation_rate=0.2, seed=5)
    assert len(run.given.differences(run.barcode)) == 132
    with pytest.raises(InputError, match="Longitude"):
        a_run(longitude="east")


def test_the_file_name_is_ours():
    first = next(iter(examples().values()))
    named = a_run(barcode=first.dna_barcode, mutation_rate=0.1, seed=3).file_name
    assert named == f"{first.name.replace(' ', '-')}_56.60_11.30_mutated10_seed3.png"
    assert a_run(barcode=f'>../../x"><b>é\n{BARCODE}').file_name == "x-b_56.60_11.30_seed0.png"
    assert a_run().file_name == "barcode_56.60_11.30_seed0.png"


def test_the_download_holds_the_picture_and_how_to_make_it_again():
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    data = re.search(r"base64,([^\"]+)", download_link(a_run(seed=9), picture)).group(1)
    read = Image.open(io.BytesIO(base64.b64decode(data)))
    assert read.tobytes() == picture.tobytes()
    assert json.loads(read.text["Comment"])["seed"] == 9
    assert "not a photograph" in read.text["Title"]


def test_the_chart_draws_scores_and_threshold():
    figure = score_chart([-0.2, 0.5], 4, 0.42)
    assert figure["data"][0]["x"] == [1, 2]
    assert figure["layout"]["yaxis"]["range"] == [-0.2, 1]
    assert figure["layout"]["shapes"][0]["y0"] == 0.42
    assert "success threshold 0.42" in [note["text"] for note in figure["layout"]["annotations"]]
    assert score_chart([], 4, None)["layout"]["shapes"] == []


def test_the_outcome_is_said_in_words():
    assert "above" in messages.finished(25, 0.6, 0.4, 12)
    assert "below" in messages.finished(25, 0.3, 0.4, 12)
    assert "no CLIBD model" in messages.finished(25, None, None, 12)
    assert "about 3 min left" in messages.progress(2, 25, 0.1, 180)
    assert "Stopped at step 3 of 25" in messages.stopped(3, 25)
    assert "before the first step" in messages.stopped(0, 0)


def test_the_map_needs_no_other_server():
    html, map_name, pin_name = page()
    assert re.findall(r"(?:src|href)=\"(?!gradio_api/file=)([^\"]*)\"", html) == []
    assert f"var {map_name} " in html and f"var {pin_name} " in html
    assert len(html) < 250_000
    assert len(land()["geometry"]["coordinates"]) > 200
