"""Many visitors and one model: the line, what who waits in it is told, and a crowd for twenty seconds."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import islice

import pytest

from g2pdiff.errors import InputError
from g2pdiff.ui import drawing
from g2pdiff.ui.drawing import Drawing
from g2pdiff.ui.line import LINE, Line
from tests.benchmarks.load import measure
from tests.ui.test_browser import wait


def take_turns(line: Line, asked: list[str]) -> list[str]:
    """In which order runs of these visitors have the model, that all wait while another one draws."""
    order = []

    def run(visitor):
        with line.join(visitor) as place, place:
            order.append(visitor)

    with ThreadPoolExecutor(len(asked)) as pool, line.join("first") as first, first:
        for number, visitor in enumerate(asked, start=2):
            pool.submit(run, visitor)
            while line.taken < number:
                time.sleep(0.001)
            time.sleep(0.02)  # from the place to the wait
    return order


def test_visitors_have_their_turns_in_order():
    assert take_turns(Line(9), list("abc")) == list("abc")


def test_who_asks_for_much_keeps_nobody_waiting_for_longer():
    assert take_turns(Line(9), list("aaaabc")) == list("abcaaa")


def test_a_run_that_gives_its_turn_back_goes_to_the_end():
    line = Line(3)
    with line.join("a") as experiment, line.join("b") as run:
        assert experiment.wait(0) and not run.wait(0)
        assert run.outlook == (1, None)
        with experiment:
            time.sleep(0.05)
        assert not experiment.wait(0)
        number, left = experiment.outlook
        assert number == 2 and 0.04 < left < 1
        assert run.wait(0)


def test_who_leaves_the_line_holds_nobody_up():
    line = Line(3)
    with line.join("a") as drawing, line.join("b") as last:
        with line.join("c") as gone:
            assert drawing.wait(0) and not gone.wait(0) and not last.wait(0)
            assert last.outlook[0] == 2
        assert last.outlook[0] == 1
        with drawing:
            pass
        assert last.wait(0)
    assert line.taken == 0


def test_a_full_line_says_when_to_come_back():
    line = Line(1)
    with line.join("a") as place:
        with place:
            time.sleep(0.01)
        with pytest.raises(InputError, match="All 1 places .* again in about 1 s"), line.join("b"):
            pass
    with line.join("b"):
        pass


def steps(place, seen):
    """A run of endless steps, which notes the threads that it is made on."""
    while not place.wait():
        yield "waiting"
    with place:
        while True:
            seen.add(threading.current_thread().name)
            yield "step"


def test_every_run_is_made_on_one_thread_and_waits_on_its_own():
    seen = set()

    def run(visitor):
        with closing(Drawing(lambda place: steps(place, seen), visitor)) as updates:
            return Counter(islice(updates, 3)) + Counter(islice(updates, 3))

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(run, "abc"))
    assert len(seen) == 1
    assert all(end["step"] >= 3 for end in ends)


def test_a_run_that_nobody_asks_for_is_given_up(monkeypatch):
    monkeypatch.setattr(drawing, "ABANDONED_SECONDS", 0.5)
    forgotten = Drawing(lambda place: steps(place, set()), "a")
    assert next(forgotten) == "step"
    with closing(Drawing(lambda place: steps(place, set()), "b")) as run:
        assert "step" in islice(run, 5)  # each of the others says for a second that it waits
    with pytest.raises(InputError, match="given up"):
        next(forgotten)


def test_what_goes_wrong_in_a_run_comes_to_who_asked():
    def fail(place):
        yield "begun"
        raise InputError("barcode", "A sentence.")

    with closing(Drawing(fail, "a")) as run:
        assert next(run) == "begun"
        with pytest.raises(InputError, match="A sentence"):
            next(run)
        with pytest.raises(StopIteration):
            next(run)


def test_who_waits_is_told_for_how_long_and_who_finds_no_place_is_sent_away(app, visit):
    page = visit(app)
    with LINE.join("somebody else") as turn, turn:
        page.click("#explore-run")
        wait(page, "#explore-status", "Waiting for a free place · number 1 in the line")
        page.click("#explore-stop")
        wait(page, "#explore-status", "Stopped before the first step")
    with ExitStack() as others:
        for number in range(LINE.places):
            others.enter_context(LINE.join(f"visitor {number}"))
        page.click("#explore-run")
        wait(page, "#explore-status", "places in the line for the model are taken: please try again in")
        assert page.is_enabled("#explore-run") and page.is_disabled("#explore-stop")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done")


def test_run_and_stop_in_quick_succession_leave_no_button_stuck(app, visit):
    page = visit(app + "?steps=1000")
    for _ in range(3):
        page.click("#explore-run")
        page.click("#explore-stop")
        wait(page, "#explore-status", "Stopped")
    page.wait_for_timeout(1500)  # for messages on their way
    assert page.is_enabled("#explore-run") and page.is_disabled("#explore-stop")
    assert "Stopped" in page.inner_text("#explore-status")
    assert LINE.taken == 0


def test_a_crowd_loses_no_request_and_leaves_nothing_behind(checkpoint):
    result = measure(seconds=20, visitors=10, checkpoint=checkpoint)
    assert result["lost"] == []
    assert {"result", "message", "stopped", "closed"} <= set(result["ends"])
    assert result["live_generators"] == []
    assert result["growth_mb"] < 50
    assert result["temporary_mb"] < 20
    assert result["fresh_seconds"] < 60
