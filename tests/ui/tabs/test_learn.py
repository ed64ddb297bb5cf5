"""The Learn tab: its links open what they promise, and the answers are what the code itself computes."""

import re
from urllib.parse import parse_qsl

import pytest

from g2pdiff.dna.barcode import CODON_START, Barcode
from g2pdiff.dna.mutation import KINDS, MutationModel, changes, edit, largest_rate
from g2pdiff.experiments.generate import Generate
from g2pdiff.simulation.traits import PLANTED_SLOPE
from g2pdiff.ui import link
from g2pdiff.ui.app import TABS
from g2pdiff.ui.tabs.learn import Activity, activities, lesson
from g2pdiff.ui.widgets.examples import examples
from g2pdiff.ui.widgets.readout import facts, mutation_readout, readout
from tests.ui.test_browser import overflow, wait

ACTIVITIES = activities()
READ, WATCH, BREAK, WALK, DOUBT = ACTIVITIES
TABS_BY_NAME = {tab.name: tab for tab in TABS}
VISITS = [visit for activity in ACTIVITIES for visit in activity.visits]
BUTTERFLY = Barcode.parse(examples()["Vanessa cardui"].dna_barcode)


def words(text: str) -> str:
    """Return a text without its tags, in one line."""
    return " ".join(re.sub("<.*?>", "", text).split())


def codon(barcode: Barcode, number: int) -> str:
    """Return the letters of a codon, counted from 1."""
    start = CODON_START + 3 * (number - 1)
    return barcode.sequence[start : start + 3]


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.label)
def test_every_link_opens_a_tab_with_all_its_values(visit):
    query = dict(parse_qsl(visit.query))
    tab = TABS_BY_NAME[query.pop("tab")]
    checks = link.FORM | tab.checks
    assert set(query) <= set(checks)
    values, ignored = link.read(query, checks)
    assert ignored == [] and set(values) == set(query)
    first = next(iter(examples().values()))
    place = {"latitude": first.latitude, "longitude": first.longitude}
    Generate(**place | {name: value for name, value in values.items() if name in link.FORM})


def test_every_activity_has_what_a_student_needs():
    assert len(ACTIVITIES) == 5
    html = lesson()
    assert html.count("<details>") == html.count("</details>") == 5
    assert html.count('class="visit"') == len(VISITS) == html.count('rel="noopener"')
    for activity in ACTIVITIES:
        assert activity.visits and activity.steps.count("<li>") >= 3
        assert activity.question.count("?") >= 1 and "?" not in activity.answer
        sentences = re.findall(r"[.?!](?=\s|$)", words(activity.introduction))
        assert 2 <= len(sentences) <= 4


def test_the_links_and_tags_of_the_page_are_closed():
    html = lesson()
    for tag in ("a", "p", "b", "em", "strong", "code", "ol", "li", "article", "div", "span", "h3"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag
    assert not re.search(r'href="[^"]*&(?!amp;)', html)


def test_an_activity_is_read_from_markdown():
    read = Activity.read(
        '+++\ntitle = "T"\n[[visits]]\nlabel = "L"\ntab = "explore"\nspecies = "Vanessa cardui"\n'
        "values = { seed = 1 }\n+++\n\nA **b** & <i>.\n\n## Steps\n\n1. `c`\n\n"
        "## Question\n\nD?\n\n## Answer\n\nE.\n"
    )
    assert (read.title, read.introduction) == ("T", "<p>A <strong>b</strong> &amp; &lt;i&gt;.</p>\n")
    assert words(read.steps) == "c" and (words(read.question), words(read.answer)) == ("D?", "E.")
    assert read.visits[0].values == {"barcode": BUTTERFLY.sequence, "seed": 1}


def test_the_ladybird_is_where_it_was_collected():
    (visit,) = WATCH.visits
    ladybird = examples()["Coccinella septempunctata"]
    assert (visit.values["latitude"], visit.values["longitude"]) == (ladybird.latitude, ladybird.longitude)
    assert visit.values["barcode"] == ladybird.dna_barcode


def test_the_codons_of_butterfly_and_fly_are_as_answered():
    fly = Barcode.parse(examples()["Drosophila melanogaster"].dna_barcode)
    first_eight = range(1, 9)
    spelled = [n for n in first_eight if codon(BUTTERFLY, n) != codon(fly, n)]
    meaning = [n for n in first_eight if BUTTERFLY.amino_acids[n - 1] != fly.amino_acids[n - 1]]
    answer = words(READ.answer)
    assert answer.startswith("Codons {}, {} and {} are spelled differently.".format(*spelled))
    assert f"Codon {meaning[0]} is the first to mean something else" in answer
    for number in spelled:
        assert codon(BUTTERFLY, number) in answer and codon(fly, number) in answer
    named = {"T": "threonine", "F": "phenylalanine", "I": "isoleucine", "A": "alanine"}
    acids = {barcode.amino_acids[number - 1] for number in spelled for barcode in (BUTTERFLY, fly)}
    assert acids == set(named)
    for letter, name in named.items():
        assert f"{letter} ({name})" in answer
    assert f"{codon(BUTTERFLY, 1)} is T" in words(READ.steps)
    assert "658 letters" in words(READ.introduction) and BUTTERFLY.length == fly.length == 658
    # All eight are on the page, which shows as many codons as fit.
    assert readout(fly, fly).count("<li class=") >= 8


def test_the_edits_do_to_the_gene_what_is_answered():
    silent, broken = (changes(BUTTERFLY, edit(BUTTERFLY, typed)) for typed in ("A4G", "T10A"))
    assert (len(silent.bases), silent.amino_acids, silent.synonymous) == (1, (), 1)
    assert broken.new_stops == ("Y3*",)
    answer = words(BREAK.answer)
    assert "codon 3, TAT for Y (tyrosine), becomes TAA, a stop codon" in answer
    assert (codon(BUTTERFLY, 3), codon(edit(BUTTERFLY, "T10A"), 3)) == ("TAT", "TAA")
    assert "codon 1 from ACA into ACG: 1 base and 0 amino acids have changed" in answer
    assert (codon(BUTTERFLY, 1), codon(edit(BUTTERFLY, "A4G"), 1)) == ("ACA", "ACG")
    shown = mutation_readout(BUTTERFLY, edit(BUTTERFLY, "T10A"))
    assert "1 new stop codon" in shown and "The app counts 1 new stop codon" in answer
    assert 'class="stop"' in readout(BUTTERFLY, edit(BUTTERFLY, "T10A"))


def test_the_series_can_be_run_with_the_kinds_that_are_asked_for():
    (visit,) = BREAK.visits
    rates = [float(rate) / 100 for rate in visit.values["rates"].split()]
    for kind in ("synonymous", "nonsynonymous"):
        label = KINDS[kind].split(":")[0]
        assert label in words(BREAK.steps)
        for replicate in range(visit.values["replicates"]):
            assert largest_rate(BUTTERFLY, MutationModel(kind), replicate) >= max(rates)


def test_what_is_planted_is_as_told():
    assert f"grow by {100 * PLANTED_SLOPE:g} % for every 10 degrees" in words(WALK.introduction)


def test_the_signs_of_the_backwards_barcode_are_as_answered():
    backwards = DOUBT.visits[0].values["barcode"]
    barcode = Barcode.parse(backwards)
    assert sorted(backwards) == sorted(BUTTERFLY.sequence)
    (warning,) = barcode.warnings
    match = re.search(r"unlike insect COI \(match ([\d.]+), of real barcodes ([\d.]+) and more\)", warning)
    answer = words(DOUBT.answer)
    assert f"a match of {match[1]} where real barcodes have {match[2]} and more" in answer
    assert f"the {len(barcode.stop_codons)} stop codons" in answer
    assert f"<b>{len(barcode.stop_codons)}</b> stop codons" in facts(barcode)
    assert BUTTERFLY.stop_codons == ()


# In a browser


def test_the_tab_opens_by_its_link_and_its_links_open_views(app, visit):
    page = visit(app + "?tab=learn", width=390, height=844, has_touch=True, is_mobile=True)
    page.wait_for_selector(".activity")
    assert page.locator(".activity").count() == 5
    assert overflow(page) <= 0
    assert page.is_hidden("#form")
    assert page.is_hidden(".activity details p >> nth=0")
    page.click(".activity summary >> nth=0")
    assert page.is_visible(".activity details p >> nth=0")
    opened = visit(app + page.get_attribute(".visit >> nth=2", "href"))
    wait(opened, "#mutation-note", "1 of 658 known bases and 0 amino acids changed")
    opened.wait_for_selector("#mutations-run")
    assert opened.locator("#notice .note").count() == 0


def test_who_is_new_is_led_to_the_tab_and_keeps_what_was_typed(app, visit):
    page = visit(app)
    page.fill("#barcode textarea", BUTTERFLY.sequence[:300])
    page.click("#title a")
    page.wait_for_selector("#learn .activity", state="visible")
    assert page.input_value("#barcode textarea") == BUTTERFLY.sequence[:300]
    phone = visit(app, width=390, height=844, has_touch=True, is_mobile=True)
    phone.click("#title a")
    phone.wait_for_selector("#learn .activity", state="visible")
    assert overflow(phone) <= 0
