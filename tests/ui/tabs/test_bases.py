"""The Bases tab: the strip of codons, a click that mutates a site, the neighbours."""

import base64
import csv
import json
import re
from io import StringIO

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.analysis.attribution import Attribution
from g2pdiff.analysis.references import Reference, References
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import edit
from g2pdiff.errors import InputError
from g2pdiff.experiments.bases import Bases
from g2pdiff.ui.tabs.bases import Findings, consequence, downloads, lookalikes, next_edit, relatives
from g2pdiff.ui.widgets.codon_strip import strip
from g2pdiff.ui.widgets.pictures import pil
from tests.tiny import BARCODE, tiny_pipeline
from tests.ui.test_browser import overflow, wait

WHOLE = Barcode.parse(BARCODE)
SPECIES = {"Musca una": 0.0, "Musca <b>altera</b>": 0.06, "Apis quarta": 0.3}


@pytest.fixture(scope="module")
def bank():
    rows = [
        Reference(
            name, name.split()[0], "Muscidae", "Diptera", WHOLE.mutate(rate, seed=1).sequence, 10.0, 20.0
        )
        for name, rate in SPECIES.items()
    ]
    embeddings = F.normalize(torch.randn(2, len(rows), 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    return References(rows, *embeddings, unlike_identity=0.8, alike_elsewhere=0.12, truth="simulated")


@pytest.fixture(scope="module")
def attribution():
    importance = np.zeros(219)
    importance[[0, 92, 218]] = 0.4, 0.8, -0.2
    return Attribution(WHOLE, -3.5, importance, np.ones(219, np.int64))


@given(
    st.lists(st.tuples(st.integers(1, 658), st.sampled_from("ACGT")), max_size=6, unique_by=lambda e: e[0]),
    st.integers(1, 658),
)
@settings(deadline=None)
def test_four_clicks_take_a_site_round_all_bases_and_leave_the_others(others, site):
    others = [f"{BARCODE[s - 1]}{s}{new}" for s, new in others if s != site and new != BARCODE[s - 1]]
    text, seen = ", ".join(others), []
    for _ in range(4):
        text = next_edit(WHOLE, text, site)
        edited = edit(WHOLE, text)
        seen.append(edited.sequence[site - 1])
        expected = {int(re.search(r"\d+", token)[0]) - 1 for token in others}
        assert set(WHOLE.differences(edited)) - {site - 1} == expected
    assert sorted(seen) == list("ACGT")
    assert seen[0] + seen[3] in ("AG", "GA", "CT", "TC")
    assert seen[3] == BARCODE[site - 1] and text == ", ".join(others)


def test_edits_are_understood_as_they_may_be_typed():
    assert next_edit(WHOLE, "1g;  a2C", 2) == "1g, A2T"
    assert next_edit(WHOLE, "A0002t", 2) == ""
    assert next_edit(WHOLE, None, 1) == "A1G"
    with pytest.raises(InputError, match=r"Site 3 is unknown \(N\)") as refused:
        next_edit(Barcode("AANN" + BARCODE[4:]), "", 3)
    assert refused.value.field == "edits"


@pytest.mark.parametrize(
    ("edits", "site", "words"),
    [
        ("A2G", 2, "A2G is now among the form's point edits: codon 1 now means Ala instead of Thr"),
        ("T4C", 4, "codon 1 still means Thr"),
        ("A1G", 1, "before the first whole codon"),
        ("A1G", 2, "Site 2 is A again, as given."),
        ("T10A", 10, "codon 3 now means stop codon instead of Tyr"),
    ],
)
def test_what_an_edit_does_to_its_codon_is_said(edits, site, words):
    assert words in consequence(WHOLE, edit(WHOLE, edits), site)


@given(st.integers(0, 218))
def test_the_middle_base_of_a_codon_always_changes_the_amino_acid(codon):
    text = ""
    for _ in range(3):
        text = next_edit(WHOLE, text, 3 * codon + 3)
        assert edit(WHOLE, text).amino_acids[codon] != WHOLE.amino_acids[codon]


def test_the_strip_shows_every_codon_with_its_sites(attribution):
    html = strip(attribution, WHOLE)
    assert html.count("<li ") == 219
    assert re.findall(r'data-site="(\d+)">', html) == [str(site) for site in range(2, 659)]
    assert "".join(re.findall(r'data-site="\d+">([ACGTN])<', html)) == BARCODE[1:]
    assert "".join(re.findall(r"<b>(.)</b>", html)) == WHOLE.amino_acids
    (most,) = re.findall(r'<li class="most" aria-label="([^"]*)"', html)
    assert most.startswith("Codon 93 (sites 278 to 280,") and "2.23 times less probable" in most
    assert "(importance -0.200, number 219 of 219)" in html and "1.22 times more probable" in html
    assert "hiding it changes nothing" in html


def test_bars_stand_on_one_zero_line(attribution):
    html = strip(attribution, WHOLE)
    up, down = (re.search(rf'<path class="{kind}" d="([^"]*)"', html)[1] for kind in ("for", "against"))
    # Of the scale from 0.8 to -0.2 zero lies at 80 %: the tallest bar reaches the top, the lowest the bottom.
    assert "M277 80.00h2.5v-80.00h-2.5z" in up and "M1 80.00h2.5v-40.00h-2.5z" in up
    assert "M655 80.00h2.5v20.00h-2.5z" in down
    assert ">+0.80<" in html and ">-0.20<" in html
    nothing = Attribution(WHOLE, 0.0, np.zeros(219), np.zeros(219, np.int64))
    assert "nan" not in strip(nothing, WHOLE)


def test_changed_sites_are_marked(attribution):
    html = strip(attribution, edit(WHOLE, "5A, 100C"))
    marked = re.findall(r'<u class="[ACGT] changed" data-site="(\d+)"', html)
    assert marked == ["5", "100"]


def test_neighbours_are_shown_with_what_is_known_of_them(bank):
    html = relatives(bank, bank.nearest_barcodes(WHOLE, 3))
    assert html.count("data:image/jpeg") == html.count("<li>") == 3
    assert "100.0% identical" in html and "distance 0.000" in html and "over 658 sites" in html
    assert html.index("Musca una</em>") < html.index("Apis quarta</em>")
    assert "Musca &lt;b&gt;altera" in html and "<b>altera" not in html
    assert "Probably Musca una" in html and "warning" not in html
    seen = lookalikes(bank, bank.nearest_pictures(bank.picture_embeddings[2], 3))
    assert seen.index("Apis quarta</em>") < seen.index("Musca una</em>") and "cosine 1.000" in seen


def test_a_barcode_unlike_all_references_is_called_so(bank):
    html = relatives(bank, bank.nearest_barcodes(WHOLE.mutate(0.5), 3))
    assert re.search(r'class="note warning">Unlike all 3 reference species', html)


def test_downloads_hold_every_codon_and_neighbour(bank, attribution):
    found = Findings(Bases(barcode=BARCODE, latitude=56.6, longitude=11.3), picture=pil(torch.rand(3, 8, 8)))
    assert "Rows (CSV)" not in downloads(found)
    found.attribution, found.by_barcode = attribution, bank.nearest_barcodes(WHOLE, 2)
    found.by_picture = bank.nearest_pictures(bank.picture_embeddings[0], 2)
    files = {
        name.rsplit(".")[-1]: base64.b64decode(data)
        for name, data in re.findall(r'download="([^"]*)" href="data:[^,]*,([^"]*)"', downloads(found))
    }
    rows = list(csv.DictReader(StringIO(files["csv"].decode("utf-8-sig"))))
    assert len(rows) == 219 and float(rows[92]["importance"]) == 0.8 and rows[0]["first_site"] == "2"
    report = json.loads(files["json"])
    assert report["barcode"] == BARCODE and report["log_prob"] == -3.5 and len(report["codons"]) == 219
    assert report["nearest_barcodes"][0] == {"species": "Musca una", "identity": 1, "compared_sites": 658}
    assert report["nearest_pictures"][0]["cosine"] == pytest.approx(1, abs=1e-5)
    assert files["png"].startswith(b"\x89PNG")
    assert downloads(Findings(found.asked)) == ""


@pytest.fixture(scope="module")
def furnished(bank, serve, tmp_path_factory):
    """Return the app on a checkpoint with references."""
    folder = tmp_path_factory.mktemp("furnished")
    tiny_pipeline().save_pretrained(folder)
    bank.save(folder)
    return serve(folder)


def test_a_click_on_a_base_mutates_it_and_the_next_run_draws_that(furnished, visit):
    page = visit(furnished + "?tab=bases", width=390, height=844, has_touch=True, is_mobile=True)
    page.click("#bases-run")
    wait(page, "#bases-status", "Done: 4 steps")
    assert page.locator(".bases-codons li").count() == 219
    wait(page, "#bases-relatives", "none of the 3 reference species")
    assert page.locator("#bases-lookalikes img").count() == 3
    assert page.locator("#bases-download a").count() == 3
    assert "Codon" in page.inner_text(".bases-said")
    assert overflow(page) <= 0
    page.tap(".bases-codons li.most u:nth-child(2)")
    wait(page, "#bases-picked", "is now among the form's point edits")
    wait(page, "#mutation-note", "1 of 658 known bases")
    edited = re.match(r"([ACGT]\d+[ACGT]) is now", page.inner_text("#bases-picked"))[1]
    page.click("#bases-run")
    wait(page, "#bases-status", "Done: 4 steps")
    page.wait_for_selector(".bases-codons u.changed", state="attached")
    assert page.locator(".bases-codons u.changed").get_attribute("data-site") == edited[1:-1]
    assert page.inner_text("#bases-picked").strip() == ""
    again = visit(page.url)
    assert f"edits={edited}" in page.url and "tab=bases" in page.url
    wait(again, "#mutation-note", "1 of 658 known bases")


def test_the_chart_takes_the_strip_to_a_codon(furnished, visit):
    page = visit(furnished + "?tab=bases")
    page.click("#bases-run")
    wait(page, "#bases-status", "Done")
    box = page.locator(".bases-chart").bounding_box()
    for share, codon in ((0.002, 1), (0.5, 110), (0.998, 219)):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 50)
        wait(page, ".bases-said", f"Codon {codon} ")
        assert page.evaluate(
            """codon => {
              const strip = document.querySelector('.bases-strip').getBoundingClientRect();
              const cell = document.querySelectorAll('.bases-codons li')[codon - 1].getBoundingClientRect();
              return cell.left >= strip.left - 1 && cell.right <= strip.right + 1; }""",
            codon,
        )
    page.hover(".bases-codons li:nth-child(219) u:nth-child(3)")
    wait(page, ".bases-said", "Site 658 is T, the third base of codon 219")


def test_stop_keeps_the_picture(app, visit):
    page = visit(app + "?tab=bases&steps=1000")
    page.click("#bases-run")
    wait(page, "#bases-status", "Step ")
    page.click("#bases-stop")
    wait(page, "#bases-status", "Stopped at step")
    page.wait_for_selector("#bases-picture img")
    page.wait_for_selector("#bases-download a")
    assert page.is_enabled("#bases-run")


def test_a_checkpoint_without_aligner_clibd_and_references_says_so(serve, visit, tmp_path, bank):
    tiny_pipeline(aligner=None, clibd=None).save_pretrained(tmp_path)
    page = visit(serve(tmp_path) + "?tab=bases")
    page.click("#bases-run")
    wait(page, "#bases-status", "Done")
    wait(page, "#bases-strip", "has no aligner")
    wait(page, "#bases-relatives", "has no reference species")
    page.wait_for_selector("#bases-picture img")
