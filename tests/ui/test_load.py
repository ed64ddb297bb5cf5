"""Many visitors and one model: the queue, what who waits in it is told, and a crowd for twenty seconds."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, nullcontext

import pytest
from gradio_client import Client

from g2pdiff.errors import InputError
from g2pdiff.experiments.drawing import Update
from g2pdiff.ui.server.model_thread import drawing
from g2pdiff.ui.server.queue import QUEUE, Queue, in_batches
from tests.benchmarks.load import SPECIMEN, measure
from tests.benchmarks.watched import live_runs
from tests.ui.test_browser import wait


def order_of(queue: Queue, asked: list[str]) -> list[str]:
    """Return the in which order runs of these visitors have the model, that all wait while another one
    draws."""
    order = []
    with ExitStack() as everybody:
        first = everybody.enter_context(queue.join("first"))
        with first:
            waiting = [everybody.enter_context(queue.join(visitor)) for visitor in asked]
            assert not any([ticket.is_called() for ticket in waiting])
        while waiting:
            ready = [ticket for ticket in waiting if not ticket.is_waiting]
            assert [ticket for ticket in waiting if ticket.is_called()] == ready and len(ready) == 1
            with ready[0]:
                order.append(ready[0].visitor)
            waiting.remove(ready[0])
    return order


def test_visitors_are_called_in_order():
    assert order_of(Queue(9), list("abc")) == list("abc")


def test_who_asks_for_much_keeps_nobody_waiting_for_longer():
    assert order_of(Queue(9), list("aaaabc")) == list("abcaaa")


def test_a_run_that_gives_its_ticket_back_goes_to_the_end():
    queue = Queue(3)
    with queue.join("a") as experiment, queue.join("b") as run:
        assert experiment.is_called() and not run.is_called()
        assert run.outlook == (1, None)
        with experiment:
            time.sleep(0.05)
        assert not experiment.is_called()
        number, left = experiment.outlook
        assert number == 2 and 0.04 < left < 1
        assert run.is_called()


def test_who_leaves_the_line_holds_nobody_up():
    queue = Queue(3)
    with queue.join("a") as ticket, queue.join("b") as last:
        with queue.join("c") as gone:
            assert ticket.is_called() and not gone.is_called() and not last.is_called()
            assert last.outlook[0] == 2
        assert last.outlook[0] == 1
        with ticket:
            pass
        assert last.is_called()
    assert queue.taken == 0


def test_nobody_draws_in_somebody_elses_time():
    queue = Queue(2)
    refused = pytest.raises(RuntimeError, match="Another ticket has the model")
    with queue.join("a") as ticket, queue.join("b") as other, ticket, refused, other:
        pass


def test_a_full_line_says_when_to_come_back():
    queue = Queue(1)
    with queue.join("a") as ticket:
        with ticket:
            time.sleep(0.01)
        with pytest.raises(InputError, match="is full with 1 runs.* again in about 1 s"), queue.join("b"):
            pass
    with queue.join("b"):
        pass


def test_one_visitor_alone_does_not_fill_the_queue():
    queue = Queue(4)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(queue.join("eager"))
        with pytest.raises(InputError, match="2 of your runs are in the queue"), queue.join("eager"):
            pass
        with queue.join("another"):
            assert queue.taken == 3
    with queue.join("eager"):
        assert queue.taken == 1


def batches(told):
    """Return two batches of an experiment, which notes what it does."""
    try:
        for done in (0, 1):
            yield Update(done, 2, pauses=True)
            told.append("draw")
            yield Update(done + 1, 2, [done])
    finally:
        told.append("closed")


def test_an_experiment_gives_its_ticket_back_between_batches():
    queue, told = Queue(2), []
    with queue.join("experiment") as ticket, queue.join("run") as other:
        updates = in_batches(batches(told), ticket)
        assert next(updates).rows == [0] and not other.is_called()
        waiting = next(updates)
        assert waiting.pauses and waiting.done == 1 and other.is_called()
        with other:
            assert next(updates) is waiting and told == ["draw"]
        assert [update.rows for update in updates] == [[1]]
        assert told == ["draw", "draw", "closed"] and other.is_called()


@pytest.mark.parametrize("waits", [False, True])
def test_an_experiment_that_is_closed_ends_and_leaves_the_queue(waits):
    queue, told = Queue(2), []
    with queue.join("run") as other, queue.join("experiment") as ticket:
        assert other.is_called() is True
        if not waits:
            with other:
                pass
        updates = in_batches(batches(told), ticket)
        assert next(updates).pauses == waits
        updates.close()
        assert told == ["draw"] * (not waits) + ["closed"]
    assert queue.taken == 0


def steps(ticket, seen, ended=None):
    """Return a run of endless steps, which notes the threads that it is made on, and its end."""
    try:
        while not ticket.is_called():
            yield "waiting"
        with ticket:
            while True:
                seen.add(threading.current_thread().name)
                yield "step"
    finally:
        if ended:
            ended.set()


def on_a_loop(coroutine):
    """Return what a coroutine returns, on an event loop of its own: Playwright has this thread's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def first(updates, count: int) -> list:
    """Return the first updates of a run, which goes on."""
    return [await anext(updates) for _ in range(count)]


def test_every_run_is_made_on_one_thread_and_waits_on_its_own():
    seen = set()

    async def run(visitor):
        async with aclosing(drawing(lambda ticket: steps(ticket, seen), visitor)) as updates:
            return Counter(await first(updates, 6))

    async def all_runs():
        return await asyncio.gather(*map(run, "abc"))

    ends = on_a_loop(all_runs())
    assert len(seen) == 1
    assert all(end["step"] >= 3 for end in ends)
    assert QUEUE.taken == 0


@pytest.mark.parametrize("waits", [False, True])
def test_a_run_that_is_cancelled_in_its_first_step_ends_before_its_task_does(waits):
    ended = threading.Event()

    async def cancel():
        with QUEUE.join("somebody else") as ticket, ticket if waits else nullcontext():
            task = asyncio.create_task(first(drawing(lambda ticket: slow(ticket, ended), "a"), 1))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set() and QUEUE.taken == 1

    def slow(ticket, ended):
        time.sleep(0.3)
        yield from steps(ticket, set(), ended)

    on_a_loop(cancel())


def test_a_run_that_nobody_asks_for_is_given_up(monkeypatch):
    monkeypatch.setattr("g2pdiff.ui.server.model_thread.ABANDONED_SECONDS", 0.5)

    async def forget():
        forgotten = drawing(lambda ticket: steps(ticket, set()), "a")
        waiting = drawing(lambda ticket: steps(ticket, set()), "b")
        async with aclosing(forgotten), aclosing(waiting):
            assert await anext(forgotten) == "step"
            assert await first(waiting, 2) == ["waiting", "step"]
            with pytest.raises(InputError, match="given up"):
                await anext(forgotten)

    on_a_loop(forget())


def test_what_goes_wrong_in_a_run_comes_to_who_asked():
    def fail(ticket):
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
    assert QUEUE.taken == 0


def test_who_waits_is_told_for_how_long_and_who_finds_the_queue_full_is_sent_away(app, visit):
    page = visit(app)
    with QUEUE.join("somebody else") as ticket, ticket:
        page.click("#explore-run")
        wait(page, "#explore-status", "Waiting in the queue · number 1")
        page.click("#explore-stop")
        wait(page, "#explore-status", "Stopped before the first step")
    with ExitStack() as others:
        for number in range(QUEUE.size):
            others.enter_context(QUEUE.join(f"visitor {number}"))
        page.click("#explore-run")
        wait(page, "#explore-status", "The queue for the model is full with 32 runs: please try again in")
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
    assert QUEUE.taken == 0


def test_a_script_is_told_its_number_in_the_queue(app):
    client = Client(app, verbose=False)
    with QUEUE.join("somebody else") as ticket, ticket:
        jobs = [
            client.submit(**SPECIMEN, steps=2, api_name="/generate"),
            client.submit(**SPECIMEN, steps=2, degrees=[0, 10], replicates=1, api_name="/latitude"),
        ]
        deadline = time.monotonic() + 20
        while not all(job.outputs() for job in jobs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    told = [job.outputs()[0] for job in jobs]
    assert {report["number_in_queue"] for _, report in told} <= {1, 2}
    assert all("seconds_to_start" in report and not picture for picture, report in told)
    reports = [job.result(timeout=60)[1] for job in jobs]
    assert reports[0]["step"] == 2 and reports[1]["done"] == 4
    assert not any("number_in_queue" in report for report in reports)


def test_a_script_that_stops_its_run_while_it_waits_leaves_nothing_behind(app):
    client = Client(app, verbose=False)
    with QUEUE.join("somebody else") as ticket, ticket:
        job = client.submit(**SPECIMEN, api_name="/generate")
        deadline = time.monotonic() + 10
        while QUEUE.taken < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.cancel()
        assert QUEUE.taken == 1
    assert live_runs() == []


def test_a_crowd_loses_no_request_and_leaves_nothing_behind(checkpoint):
    result = measure(seconds=20, visitors=10, checkpoint=checkpoint)
    assert result["lost"] == []
    assert {"result", "message", "stopped", "closed"} <= set(result["ends"])
    assert result["live_generators"] == []
    assert result["growth_mb"] < 50
    assert result["temporary_mb"] < 20
    assert result["fresh_seconds"] < 60
