"""Many visitors and one model: the line, what who waits in it is told, and a crowd for twenty seconds."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, nullcontext

import pytest
from gradio_client import Client

from g2pdiff.errors import InputError
from g2pdiff.ui.server.model_thread import drawing
from g2pdiff.ui.server.queue import LINE, Line
from tests.benchmarks.load import SPECIMEN, measure
from tests.benchmarks.watched import live_runs
from tests.ui.test_browser import wait


def take_turns(line: Line, asked: list[str]) -> list[str]:
    """In which order runs of these visitors have the model, that all wait while another one draws."""
    order = []
    with ExitStack() as everybody:
        first = everybody.enter_context(line.join("first"))
        with first:
            waiting = [everybody.enter_context(line.join(visitor)) for visitor in asked]
            assert not any([place.wait() for place in waiting])
        while waiting:
            ready = [place for place in waiting if not place.has_to_wait]
            assert [place for place in waiting if place.wait()] == ready and len(ready) == 1
            with ready[0]:
                order.append(ready[0].visitor)
            waiting.remove(ready[0])
    return order


def test_visitors_have_their_turns_in_order():
    assert take_turns(Line(9), list("abc")) == list("abc")


def test_who_asks_for_much_keeps_nobody_waiting_for_longer():
    assert take_turns(Line(9), list("aaaabc")) == list("abcaaa")


def test_a_run_that_gives_its_turn_back_goes_to_the_end():
    line = Line(3)
    with line.join("a") as experiment, line.join("b") as run:
        assert experiment.wait() and not run.wait()
        assert run.outlook == (1, None)
        with experiment:
            time.sleep(0.05)
        assert not experiment.wait()
        number, left = experiment.outlook
        assert number == 2 and 0.04 < left < 1
        assert run.wait()


def test_who_leaves_the_line_holds_nobody_up():
    line = Line(3)
    with line.join("a") as turn, line.join("b") as last:
        with line.join("c") as gone:
            assert turn.wait() and not gone.wait() and not last.wait()
            assert last.outlook[0] == 2
        assert last.outlook[0] == 1
        with turn:
            pass
        assert last.wait()
    assert line.taken == 0


def test_nobody_draws_in_somebody_elses_turn():
    line = Line(2)
    refused = pytest.raises(RuntimeError, match="somebody else's turn")
    with line.join("a") as turn, line.join("b") as other, turn, refused, other:
        pass


def test_a_full_line_says_when_to_come_back():
    line = Line(1)
    with line.join("a") as place:
        with place:
            time.sleep(0.01)
        with pytest.raises(InputError, match="All 1 places .* again in about 1 s"), line.join("b"):
            pass
    with line.join("b"):
        pass


def test_one_visitor_alone_does_not_fill_the_line():
    line = Line(4)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(line.join("eager"))
        with pytest.raises(InputError, match="2 of your runs have places in the line"), line.join("eager"):
            pass
        with line.join("another"):
            assert line.taken == 3
    with line.join("eager"):
        assert line.taken == 1


def steps(place, seen, ended=None):
    """A run of endless steps, which notes the threads that it is made on, and its end."""
    try:
        while not place.wait():
            yield "waiting"
        with place:
            while True:
                seen.add(threading.current_thread().name)
                yield "step"
    finally:
        if ended:
            ended.set()


def on_a_loop(coroutine):
    """What a coroutine returns, on an event loop of its own: Playwright has this thread's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def first(updates, count: int) -> list:
    """The first updates of a run, which goes on."""
    return [await anext(updates) for _ in range(count)]


def test_every_run_is_made_on_one_thread_and_waits_on_its_own():
    seen = set()

    async def run(visitor):
        async with aclosing(drawing(lambda place: steps(place, seen), visitor)) as updates:
            return Counter(await first(updates, 6))

    async def all_runs():
        return await asyncio.gather(*map(run, "abc"))

    ends = on_a_loop(all_runs())
    assert len(seen) == 1
    assert all(end["step"] >= 3 for end in ends)
    assert LINE.taken == 0


@pytest.mark.parametrize("waits", [False, True])
def test_a_run_that_is_cancelled_in_its_first_step_ends_before_its_task_does(waits):
    ended = threading.Event()

    async def cancel():
        with LINE.join("somebody else") as turn, turn if waits else nullcontext():
            task = asyncio.create_task(first(drawing(lambda place: slow(place, ended), "a"), 1))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set() and LINE.taken == 1

    def slow(place, ended):
        time.sleep(0.3)
        yield from steps(place, set(), ended)

    on_a_loop(cancel())


def test_a_run_that_nobody_asks_for_is_given_up(monkeypatch):
    monkeypatch.setattr("g2pdiff.ui.server.model_thread.ABANDONED_SECONDS", 0.5)

    async def forget():
        forgotten = drawing(lambda place: steps(place, set()), "a")
        waiting = drawing(lambda place: steps(place, set()), "b")
        async with aclosing(forgotten), aclosing(waiting):
            assert await anext(forgotten) == "step"
            assert await first(waiting, 2) == ["waiting", "step"]
            with pytest.raises(InputError, match="given up"):
                await anext(forgotten)

    on_a_loop(forget())


def test_what_goes_wrong_in_a_run_comes_to_who_asked():
    def fail(place):
        yield "begun"
        raise InputError("barcode", "A sentence.")

    async def follow():
        run = drawing(fail, "a")
        assert await anext(run) == "begun"
        with pytest.raises(InputError, match="A sentence"):
            await anext(run)
        with pytest.raises(StopAsyncIteration):
            await anext(run)

    on_a_loop(follow())
    assert LINE.taken == 0


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


def test_a_script_is_told_its_place_in_the_line(app):
    client = Client(app, verbose=False)
    with LINE.join("somebody else") as turn, turn:
        jobs = [
            client.submit(**SPECIMEN, steps=2, api_name="/generate"),
            client.submit(**SPECIMEN, steps=2, degrees=[0, 10], replicates=1, api_name="/latitude"),
        ]
        deadline = time.monotonic() + 20
        while not all(job.outputs() for job in jobs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    told = [job.outputs()[0] for job in jobs]
    assert {report["number_in_line"] for _, report in told} <= {1, 2}
    assert all("seconds_to_turn" in report and not picture for picture, report in told)
    reports = [job.result(timeout=60)[1] for job in jobs]
    assert reports[0]["step"] == 2 and reports[1]["done"] == 4
    assert not any("number_in_line" in report for report in reports)


def test_a_script_that_stops_its_run_while_it_waits_leaves_nothing_behind(app):
    client = Client(app, verbose=False)
    with LINE.join("somebody else") as turn, turn:
        job = client.submit(**SPECIMEN, api_name="/generate")
        deadline = time.monotonic() + 10
        while LINE.taken < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.cancel()
        assert LINE.taken == 1
    assert live_runs() == []


def test_a_crowd_loses_no_request_and_leaves_nothing_behind(checkpoint):
    result = measure(seconds=20, visitors=10, checkpoint=checkpoint)
    assert result["lost"] == []
    assert {"result", "message", "stopped", "closed"} <= set(result["ends"])
    assert result["live_generators"] == []
    assert result["growth_mb"] < 50
    assert result["temporary_mb"] < 20
    assert result["fresh_seconds"] < 60
