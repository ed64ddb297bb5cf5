"""Whatever a visitor sends: a result or one sentence, at once, and nothing of it becomes markup or a path.

A thousand seeded payloads reach every way in: barcodes, FASTA texts, places, links and the arguments of the
endpoints. Half of them are pieces that have broken such programs before, put together at random.
"""

import json
import random
import re
import time
from html.parser import HTMLParser
from io import BytesIO
from urllib.parse import parse_qsl, urlencode
from zipfile import ZipFile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.dna.barcode import LONGEST_NAME, Barcode
from g2pdiff.errors import InputError, printable, quoted
from g2pdiff.experiments.arguments import LONGEST_LIST, as_list
from g2pdiff.experiments.batch import BatchRow, archive, read_records
from g2pdiff.experiments.specification import specifications
from g2pdiff.ui import link, messages
from g2pdiff.ui.app import TABS
from g2pdiff.ui.form import understand
from g2pdiff.ui.tabs.batch import card, check_fasta, fasta, read_out
from g2pdiff.validation import check_locality
from tests.tiny import BARCODE

EXPERIMENTS = specifications()
CASES = 200  # of each of five ways in
SECONDS = 5

PIECES = [
    *("", " ", "\n", "\r", "\t", "\0", "\x1b[31m", ">", ">a\n", ">\n>", ";", ",", "//", "ORIGIN", "-", "N"),
    *("\ud800", "\u202e", "\u200b", "\ufeff", "\u2028", "é", "🦋", "٣", "\U0010ffff"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onload="x', "'", "&lt;", "</p>"),
    *("[a](javascript:alert(1))", "![](x)", "{0}", "{x.__class__}", "%s", "%n", "${7*7}", "{{7*7}}", "#{1}"),
    *("../", "/etc/passwd", "C:\\x", "file:///etc/passwd", "|id", "$(id)", "=1+1", "@SUM(A)", "lat=", "lon="),
    *("nan", "inf", "-inf", "1e400", "-0", "0x10", "1_0", "1,5", "9" * 400, "A1C", "1-2", "9-1", "true"),
    *(BARCODE, BARCODE[:200], f">moth lat=1 lon=2\n{BARCODE}\n", "A" * 1999, "*" * 50),
]  # fmt: skip
VALUES = [
    *(None, True, False, 0, -1, 1, 1.5, 10**30, 1e308, float("nan"), float("-inf")),
    *([], [[]], [None], {}, {"path": "/etc/passwd"}, [0.1] * 5000, list(range(5000)), ["a", 1]),
]
LARGE = [
    *("N" * 10**6, ">" * 10**6, ">a\n" * 333_333, "ORIGIN\n" * 140_000, "\u200b" * 10**6, "A" * 10**7),
    *(f">{'<b>' * 300_000}\n{BARCODE}", f">{'lat=1,' * 160_000}\n{BARCODE}"),
]


def texts(seed: int) -> list[str]:
    """Return texts of one to six pieces."""
    rng = random.Random(seed)
    return ["".join(rng.choices(PIECES, k=rng.randint(1, 6))) for _ in range(CASES)]


def attempt(action, /, *arguments, **values):
    """Return what an action gives, or None where it refuses, in a sentence and in time."""
    start = time.monotonic()
    try:
        return action(*arguments, **values)
    except InputError as error:
        message = str(error)
        assert message.endswith(".") and len(message) < 500
        assert message == printable(message), "it can break its line or its direction"
    finally:
        assert time.monotonic() - start < SECONDS


def tags(html: str) -> set[str]:
    """Return the elements and the attributes of a piece of HTML."""
    found = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.update([tag, *dict(attributes)])
    parser.feed(html)
    return found


OWN_TAGS = {
    *("svg", "path", "ul", "ol", "li", "b", "i", "span", "p", "br", "div", "img"),
    *("details", "summary", "code"),
    *("class", "d", "viewbox", "preserveaspectratio", "role", "aria-label", "title", "alt", "src"),
}


def assert_ours(html: str) -> None:
    assert tags(html) <= OWN_TAGS
    html.encode()


def form(**changes) -> dict:
    """Return the form's values by name, as Gradio hands them over."""
    empty = dict.fromkeys(link.FORM) | {"kind": "uniform", "no_new_stops": False, "region": "", "edits": ""}
    given = {"barcode": BARCODE, "latitude": 1, "longitude": 2, "mutation_rate": 10, "seed": 0}
    return empty | given | changes


def test_barcodes():
    for text in texts(1):
        barcode = attempt(Barcode.parse, text)
        if barcode:
            assert len(barcode.sequence) == 658 and set(barcode.sequence) <= set("ACGTN")
            assert len(barcode.name) <= LONGEST_NAME and barcode.name == printable(barcode.name)
        _, *html = attempt(understand, **form(barcode=text, edits=text[:50], region=text[:20]))
        assert_ours("".join(html))


def test_fasta_texts():
    for text in texts(2):
        records = attempt(read_records, f"{text}\n>{text}\n{BARCODE}\n>x{text}\n{text}", 1, 2)
        assert_ours(attempt(read_out, text))
        for record in records or []:
            assert len(record.name) <= LONGEST_NAME and record.name == printable(record.name)
            image = torch.zeros(3, 4, 4)
            row = BatchRow(record.index, record, image, 0.5, 0.5) if record.barcode else None
            assert_ours(card(record, row))
        rows = [BatchRow(r.index, r, image, 0.5, 0.5) for r in records or [] if r.barcode]
        if rows:
            with ZipFile(BytesIO(archive(rows, records))) as folder:
                *pictures, table = folder.namelist()
            assert table == "results.csv"
            assert all(re.fullmatch(r"\d{3}_[A-Za-z0-9-]+\.png", name) for name in pictures)
            read = [(record.name, 1, 2, record.barcode.sequence) for record in records if record.barcode]
            again = read_records(fasta(read), 1, 2)
            assert [record.barcode.sequence for record in again] == [row[-1] for row in read]


def test_places():
    rng = random.Random(3)
    for text in texts(3):
        place = attempt(check_locality, *rng.sample([text, rng.choice(VALUES), rng.choice(PIECES), 1], 2))
        if place:
            assert abs(place[0]) <= 90 and abs(place[1]) <= 180
        assert_ours("".join(attempt(understand, **form(latitude=rng.choice(VALUES), seed=text))[1:]))


def test_query_strings():
    checks = link.FORM | {name: check for tab in TABS for name, check in tab.checks.items()}
    rng = random.Random(4)
    for text in texts(4):
        names = rng.sample(list(checks), 4)
        query = urlencode({name: rng.choice([text, rng.choice(PIECES)]) for name in names}, errors="replace")
        values, ignored = attempt(link.read, dict(parse_qsl(query)), checks)
        assert set(values) <= set(names) and len(values) + len(ignored) <= len(names)
        assert_ours(messages.notes(ignored, "warning"))
        json.dumps(values, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_arguments_of_the_endpoints(name):
    arguments = EXPERIMENTS[name].arguments()
    rng = random.Random(name)
    good = {"barcode": BARCODE, "fasta": f">a\n{BARCODE}", "latitude": 1, "longitude": 2, "other_latitude": 5}
    for text in texts(5)[: CASES // len(EXPERIMENTS)]:
        values = {one: good.get(one) or field.default for one, field in arguments.items()}
        for chosen in rng.sample(list(values), rng.randint(1, 2)):
            values[chosen] = rng.choice([text, rng.choice(VALUES), rng.choice(PIECES)])
        asked = attempt(EXPERIMENTS[name], **values)
        if asked:  # what it tells of itself can be sent, and asks for the same
            json.dumps(asked.settings, ensure_ascii=False).encode()
            assert EXPERIMENTS[name](**asked.settings).settings == asked.settings


@pytest.mark.parametrize("text", LARGE, ids=lambda text: f"{len(text):,} of {text[:8]!r}")
def test_large_texts_are_read_or_refused_in_time(text):
    attempt(Barcode.parse, text)
    attempt(read_records, f">a\n{text}", 1, 2)
    html = attempt(read_out, text) + "".join(attempt(understand, **form(barcode=text, edits=text))[1:])
    assert_ours(html)
    assert len(html) < 100_000


def test_a_long_list_is_refused():
    assert len(as_list("degrees", ["1"] * LONGEST_LIST)) == LONGEST_LIST
    for long in (["1"] * (LONGEST_LIST + 1), "1 " * (LONGEST_LIST + 1)):
        with pytest.raises(InputError, match="Degrees has 1,001 items"):
            as_list("degrees", long)


@given(st.text(st.characters() | st.sampled_from("\ud800\u202e\u2028\0\n<")))
@settings(deadline=None)
def test_what_was_typed_is_repeated_in_one_line_that_can_be_sent(text):
    for said in (printable(text), quoted(text)):
        said.encode()
        assert len(said.splitlines()) <= 1
        assert printable(said) == said
    if text.isascii() and text.isprintable():
        assert printable(text) == " ".join(text.split())


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_makes_fasta_that_a_link_may_hold(text):
    attempt(check_fasta, text)
