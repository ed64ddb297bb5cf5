"""What the app says and draws, without a browser."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.generate import Generate
from g2pdiff.ui import link, messages
from g2pdiff.ui.form import specify, understand
from g2pdiff.ui.tab import Clock
from g2pdiff.ui.widgets.downloads import file_stem, gif, png, settings_link, table_link
from g2pdiff.ui.widgets.examples import choices, examples
from g2pdiff.ui.widgets.live_chart import score_chart
from g2pdiff.ui.widgets.map import land, page
from g2pdiff.ui.widgets.readout import legend, mutation_readout, readout
from tests.tiny import BARCODE

# As in the form: the mutation rate is in per cent.
FIELDS = {
    "barcode": BARCODE,
    "latitude": 56.6,
    "longitude": 11.3,
    "mutation_rate": 10,
    "kind": "uniform",
    "transition_transversion_ratio": None,
    "no_new_stops": False,
    "region": "",
    "edits": "",
    "seed": 0,
    "steps": 4,
    "guidance_scale": 2,
    "alignment_scale": 1,
}
WILD_TYPE = Barcode.parse(BARCODE)


def tags(html: str) -> set[str]:
    found = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.add(tag)
    parser.feed(html)
    return found


def a_run(**changes) -> Generate:
    return Generate(**({"barcode": BARCODE, "latitude": 56.6, "longitude": 11.3} | changes))


def understood(**changes) -> tuple:
    return understand(**FIELDS | changes)


def test_every_example_is_a_sound_barcode_at_a_place():
    assert len(choices()) == len(examples()) >= 12
    for example in examples().values():
        assert Barcode.parse(example.dna_barcode).warnings == ()
        assert example.order in example.label
        assert -90 <= example.latitude <= 90
        assert -180 <= example.longitude <= 180


def test_readout_draws_every_known_site_and_says_what_was_understood():
    given = Barcode.parse(">moth 1\n" + BARCODE[30:].lower())
    html = readout(given, given)
    assert len(re.findall(r"M\d+\.5 3v", html)) == 628
    assert "<b>628</b> letters" in html and "starts at site 31 of 658" in html and "moth 1" in html
    assert "upper case" in html
    marks = re.findall(r'<span class="(\w+)">', legend(given, changed=(3,)))
    assert marks == ["A", "C", "G", "T", "N", "changed"]


def test_readouts_mark_and_name_what_a_mutation_changes():
    mutated = WILD_TYPE.mutate(0.1, 3)
    changed = WILD_TYPE.differences(mutated)
    assert len(changed) == 66
    html = readout(WILD_TYPE, mutated)
    assert all(f"M{site}.5 0v" in html for site in changed)
    html = mutation_readout(WILD_TYPE, mutated)
    first = changed[0]
    assert "66 of 658 known bases" in html and "and 42 more" in html
    assert f"{BARCODE[first]}{first + 1}{mutated.sequence[first]}" in html
    assert "No base changed" in mutation_readout(WILD_TYPE, WILD_TYPE)


@given(st.text(), st.text(max_size=30), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_nothing_typed_becomes_html(text, edits, rate):
    for barcode in (text, f">{text}\n{BARCODE}"):
        html = understood(barcode=barcode, edits=edits, region=edits, mutation_rate=rate)
        allowed = {"svg", "path", "ul", "ol", "li", "b", "span", "p", "details", "summary", "code"}
        assert tags("".join(html)) <= allowed


def test_names_and_links_are_escaped():
    html, *_ = understood(barcode=f'><img src=x onerror="alert(1)">\n{BARCODE}')
    assert "img" not in tags(html) and "&lt;img" in html
    _, ignored = link.read({"seed": "<script>alert(1)</script>"})
    assert tags(messages.notes(ignored, "warning")) == {"p"}


def test_understand_complains_beside_the_field_that_is_wrong():
    read, mutation, place, settings_note = understood()
    assert "svg" in tags(read)
    assert "66 of 658" in mutation
    assert place == settings_note == ""
    _, mutation, place, settings_note = understood(
        latitude=91, longitude=None, seed=1.5, steps=0, guidance_scale=-1, alignment_scale=None
    )
    assert mutation == "" and "Latitude" in place
    assert all(word in settings_note for word in ("Seed", "Steps", "Guidance"))
    for wrong in ({"region": "9-1"}, {"edits": "A1"}, {"transition_transversion_ratio": -1}):
        read, mutation, *_ = understood(**wrong)
        assert "svg" in tags(read) and 'class="note error"' in mutation
    # Half of all sites cannot change without a change of the protein.
    _, mutation, *_ = understood(kind="synonymous", mutation_rate=50)
    assert 'class="note error"' in mutation


@pytest.mark.parametrize(
    "changes",
    [
        {"barcode": ""},
        {"latitude": None},
        {"longitude": 361},
        {"kind": "gene duplication"},
        {"transition_transversion_ratio": -1},
        {"region": "9-1"},
        {"edits": "A1"},
        {"seed": -1},
        {"steps": 0},
        {"guidance_scale": -1},
        {"alignment_scale": 1e9},
    ],
)
def test_bad_input_names_the_forms_field(changes):
    with pytest.raises(InputError) as refused:
        specify(Generate, FIELDS | changes)
    assert [refused.value.field] == list(changes)
    assert specify(Generate, FIELDS).mutation_rate == 0.1


def test_a_link_gives_back_what_is_usable_and_says_what_is_not():
    query = {"barcode": BARCODE, "latitude": "56.6", "mutation_rate": "0.1", "seed": "7", "steps": "30"}
    assert link.read(query) == (
        {"barcode": BARCODE, "latitude": 56.6, "mutation_rate": 0.1, "seed": 7, "steps": 30},
        [],
    )
    query = {"kind": "synonymous", "no_new_stops": "true", "region": "100-200", "edits": "A1G"}
    assert link.read(query) == (query | {"no_new_stops": True}, [])
    values, ignored = link.read({"barcode": "MKV", "longitude": "400", "mutation_rate": "0.6", "other": "1"})
    assert values == {}
    assert [sentence.split(" was ")[0] for sentence in ignored] == [
        "The link's barcode",
        "The link's longitude",
        "The link's mutation rate",
    ]


@given(st.dictionaries(st.sampled_from(list(link.FORM)), st.text(max_size=40)))
@settings(max_examples=60, deadline=None)
def test_any_query_string_is_read_or_ignored(query):
    values, ignored = link.read(query)
    assert len(values) + len(ignored) == len(query)


def test_a_run_is_checked_and_mutated():
    run = a_run(mutation_rate=0.2, seed=5)
    assert len(run.barcode.differences(run.mutated)) == 132
    with pytest.raises(InputError, match="Longitude"):
        a_run(longitude="east")


def test_edits_come_before_mutations():
    old = BARCODE[99]
    new = "A" if old != "A" else "G"
    run = a_run(edits=f"{old}100{new}", mutation_rate=0.02, region="200-658")
    assert WILD_TYPE.differences(run.edited) == (99,)
    mutated = set(run.edited.differences(run.mutated))
    assert len(mutated) == round(0.02 * 459) and min(mutated) >= 199


def test_the_settings_of_a_run_make_it_again():
    run = a_run(mutation_rate=0.2, kind="synonymous", region="100-300", edits="A1T", seed=5, steps=3)
    assert Generate(**run.settings).mutated.sequence == run.mutated.sequence
    assert Generate(**run.settings).settings == run.settings


def test_the_file_name_is_ours():
    first = next(iter(examples().values()))
    named = file_stem(a_run(barcode=first.dna_barcode, mutation_rate=0.1, seed=3))
    assert named == f"{first.name.replace(' ', '-')}_56.60_11.30_mutated10_seed3"
    assert file_stem(a_run(barcode=f'>../../x"><b>é\n{BARCODE}')) == "x-b_56.60_11.30_seed0"
    assert file_stem(a_run(edits="A1T")) == "barcode_56.60_11.30_edited_seed0"


def test_a_saved_picture_holds_how_to_make_it_again():
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    read = Image.open(io.BytesIO(png(picture, a_run(seed=9).settings)))
    assert read.tobytes() == picture.tobytes()
    assert json.loads(read.text["Comment"])["seed"] == 9
    assert "not a photograph" in read.text["Title"]


def test_an_animation_has_every_frame_and_plays_again():
    frames = [Image.new("RGB", (8, 8), (40 * index, 0, 0)) for index in range(4)]
    read = Image.open(io.BytesIO(gif(frames)))
    assert (read.n_frames, read.info["loop"]) == (4, 0)


def test_rows_are_saved_as_a_table_and_settings_as_json():
    def saved(link: str) -> bytes:
        return base64.b64decode(re.search(r"base64,([^\"]+)", link).group(1))

    rows = saved(table_link([{"rate": 0.1, "score": None}], "series")).decode("utf-8-sig")
    assert rows.splitlines() == ["rate,score", "0.1,"]
    html = settings_link({"seed": 9}, "it's")
    assert json.loads(saved(html)) == {"seed": 9}
    assert 'download="it&#x27;s.json"' in html


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
    doubtful = messages.finished(25, 0.6, 0.4, 12, is_doubtful=True)
    assert "0.600" in doubtful and "says nothing here" in doubtful and "above" not in doubtful
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


def test_a_long_run_is_shown_more_seldom_so_that_a_slow_page_keeps_up(monkeypatch):
    now = 0.0
    monkeypatch.setattr("g2pdiff.ui.tab.time.monotonic", lambda: now)
    clock, shown = Clock(), []
    for step in range(3000):  # 30 ms each
        now = 0.03 * step
        if clock.due():
            shown.append(now)
    assert shown[0] == 0 and shown[1] <= 0.25
    assert sum(at < 30 for at in shown) < 80  # of 1,000 steps
    pauses = [later - earlier for earlier, later in pairwise(shown)]
    assert max(pauses) < 1.1 and pauses[-1] > 0.9


def test_a_chart_of_many_steps_has_no_markers():
    assert score_chart([0.1], 25, None)["data"][0]["mode"] == "lines+markers"
    assert score_chart([0.1], 1000, None)["data"][0]["mode"] == "lines"
