"""Does the app stand up to a crowd? `python -m tests.benchmarks.load`

It starts the app in a process of its own and lets 50 visitors loose on it for five minutes. Half of them are
scripts (gradio_client) that call the endpoints, half behave like the page and press its tabs' Run. At random
they let a run end, stop it, give bad input, or hang up in its middle. Every request has to come to one end:

    result    what was asked for
    message   the sentence that is due to bad input
    refused   the sentence that the queue is full, and when to come back
    stopped   the end of a run that was stopped
    closed    none: the visitor hung up
    lost      anything else, which must not happen

After a warm-up, and again in the end, the server has to come to rest: no run left alive, memory as before,
temporary files no more than they may be; and it has to answer a fresh run. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError

from g2pdiff.built_in import SIMULATED
from g2pdiff.ui.app import SESSIONS
from tests.tiny import BARCODE

END_SECONDS = 600  # a request that has come to no end by then is lost
REST_SECONDS = 60  # for the server to notice who hung up
SPECIMEN = {"barcode": BARCODE, "latitude": 56.6, "longitude": 11.3}
BAD = ({"barcode": "MKVLAAGIVGLCYWF" * 20}, {"barcode": ""}, {"latitude": 91}, {"seed": -1}, {"steps": 0})
ENDPOINTS = {
    "generate": {},
    "mutations": {"rates": [0.1], "replicates": 1},
    "latitude": {"degrees": [-30, 30], "replicates": 1},
    "compare": {"other_alignment_scale": 0, "pairs": 1},
}
TABS = ("explore", "mutations", "latitude", "compare", "bases", "batch")
SMALL = {  # what the page's visitors type, by the ids of the fields
    "steps": 3,
    "mutations-rates": "10",
    "mutations-replicates": 1,
    "latitude-places": 5,
    "latitude-pictures": 1,
    "compare-pairs": 1,
    "batch-fasta": f">one lat=10 lon=20\n{BARCODE}\n>two lat=50 lon=20\n{BARCODE}\n",
}


class Server:
    """The app in a process of its own."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self.url = self._read()["url"]

    def _read(self) -> dict:
        return json.loads(self._process.stdout.readline())

    def report(self) -> dict:
        """Return memory, threads, live generators and temporary files, see `watched.report`."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def at_rest(self) -> dict:
        """Return the report once no run is alive any more, or after `REST_SECONDS`."""
        deadline = time.monotonic() + REST_SECONDS
        while (report := self.report())["generators"] and time.monotonic() < deadline:
            time.sleep(1)
        return report


@contextmanager
def serve(checkpoint: str | None) -> Iterator[Server]:
    """Start the app on a checkpoint, with a folder of its own for temporary files."""
    with TemporaryDirectory() as folder:
        environment = os.environ | {"TMPDIR": folder, "GRADIO_TEMP_DIR": str(Path(folder, "gradio"))}
        if checkpoint:
            environment["G2PDIFF_CHECKPOINT"] = str(checkpoint)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.watched"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Server(process)
        finally:
            process.stdin.close()
            process.terminate()
            process.wait()


@dataclass
class Log:
    """How requests ended."""

    ends: Counter = field(default_factory=Counter)  # by what was asked for and how it ended
    lost: list[str] = field(default_factory=list)  # what is known of the lost ones
    seconds: dict[str, list[float]] = field(  # to the ends of requests with a result, by who asked
        default_factory=lambda: {"script": [], "page": []}
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, asked: str, end: str, seconds: float, detail: str = "") -> None:
        with self._lock:
            self.ends[asked, end] += 1
            if end == "lost":
                self.lost.append(f"{asked}: {detail}")
            if end == "result":
                self.seconds["script" if asked.startswith("/") else "page"].append(seconds)


def is_sentence(text: str) -> bool:
    """Return whether an error says something to a person."""
    return text.endswith(".") and "Traceback" not in text and "\n" not in text


class Script:
    """A visitor who calls the endpoints."""

    def __init__(self, url: str, dice: random.Random, folder: str):
        patience = {"timeout": END_SECONDS}
        self.client = Client(url, verbose=False, download_files=folder, httpx_kwargs=patience)
        self.dice = dice

    def visit(self) -> tuple[str, str, str]:
        """Return one request: what was asked for, how it ended, and what was said."""
        return self.ask(self.dice.choice(list(ENDPOINTS)), self.dice.choice(("end", "end", "stop", "bad")))

    def ask(self, name: str, manner: str = "end") -> tuple[str, str, str]:
        values = SPECIMEN | {"steps": 3, "seed": self.dice.randrange(10**6)} | ENDPOINTS[name]
        if manner == "bad":
            values |= self.dice.choice(BAD)
        asked = f"/{name}, {manner}"
        try:
            job = self.client.submit(**values, api_name=f"/{name}")
            if manner == "stop":
                time.sleep(self.dice.uniform(0, 2))
                job.cancel()
            job.result(timeout=END_SECONDS)
            return asked, "lost" if manner == "bad" else "result", "no complaint"
        except CancelledError:
            return asked, "stopped", ""
        except AppError as error:
            said = str(error)
            if "in the queue for the model" in said or "The queue for the model is full" in said:
                return asked, "refused", said
            return asked, "message" if manner == "bad" and is_sentence(said) else "lost", said
        except (KeyError, ValueError) as error:  # gradio_client, where the end crosses the stop
            return asked, "stopped" if manner == "stop" else "lost", repr(error)


class Browser:
    """A visitor of the page: its private events, as the page itself sends them."""

    def __init__(self, url: str, dice: random.Random):
        self.dice = dice
        self.http = httpx.Client(base_url=url, timeout=END_SECONDS, trust_env=False)
        config = self.http.get("/config").raise_for_status().json()
        components = {component["id"]: component["props"] for component in config["components"]}
        buttons = {props.get("elem_id"): number for number, props in components.items()}
        self.inputs: dict[str, list[tuple[str, object]]] = {}  # by tab: the fields' ids and values
        self.event: dict[str, int] = {}
        for tab in TABS:
            run = next(
                dependency
                for dependency in config["dependencies"]
                if [buttons[f"{tab}-run"], "click"] in dependency["targets"]
            )
            self.event[tab] = run["id"]
            fields = [components[number] for number in run["inputs"]]
            self.inputs[tab] = [(props.get("elem_id"), props.get("value")) for props in fields]

    def visit(self) -> tuple[str, str, str]:
        """Return one request: what was asked for, how it ended, and what was said."""
        tab = self.dice.choice((*TABS, "explore", "explore"))
        return self.ask(tab, self.dice.choice(("end", "end", "stop", "hang up", "bad")))

    def ask(self, tab: str, manner: str = "end") -> tuple[str, str, str]:
        typed = {"seed": self.dice.randrange(10**6)}
        if manner == "bad":
            typed |= {"seed": -1} if tab == "batch" else self.dice.choice(({"latitude": 91}, {"seed": -1}))
        return f"{tab} tab, {manner}", *self.send(tab, typed, manner)

    def send(self, tab: str, typed: dict, manner: str) -> tuple[str, str]:
        """Return the press a tab's Run with values for some fields, by their ids: how it ended, and what was
        said."""
        typed = SMALL | typed
        session, event = f"{self.dice.getrandbits(40):x}", self.event[tab]
        data = [typed.get(name, value) for name, value in self.inputs[tab]]
        reply = self.http.post(
            "/gradio_api/queue/join",
            json={"data": data, "fn_index": event, "session_hash": session},
            headers={"x-gradio-user": "app"},
        )
        run = reply.raise_for_status().json() | {"session_hash": session, "fn_index": event}
        return self._follow(run, manner)

    def _follow(self, run: dict, manner: str) -> tuple[str, str]:
        stop_after = self.dice.randint(1, 4) if manner in ("stop", "hang up") else None
        said, messages = "", 0
        parameters = {"session_hash": run["session_hash"]}
        with self.http.stream("GET", "/gradio_api/queue/data", params=parameters) as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_generating":
                    messages += 1
                    said = json.dumps(message["output"], ensure_ascii=False) + said
                    if messages == stop_after and manner == "hang up":
                        return "closed", ""
                    if messages == stop_after:
                        self.http.post("/gradio_api/cancel", json=run).raise_for_status()
                elif message["msg"] == "process_completed":
                    return self._judge(said, message, manner)
        return "lost", "the stream ended before the run"

    def _judge(self, said: str, last: dict, manner: str) -> tuple[str, str]:
        if not last["success"]:
            return "lost", str(last["output"])
        if "in the queue for the model" in said or "The queue for the model is full" in said:
            return "refused", ""
        if "note error" in said:
            return ("message" if manner == "bad" else "lost"), said[-300:]
        if "<b>Done:</b>" in said:
            return ("lost" if manner == "bad" else "result"), "no complaint"
        return ("stopped" if manner == "stop" else "lost"), said[-300:]


def crowd(make: list[Callable], seconds: float, log: Log) -> None:
    """Let every visitor make one request after the other for so many seconds, and see the last ones to
    their ends."""
    deadline = time.monotonic() + seconds

    def stay(visitor: Script | Browser) -> None:
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                asked, end, said = visitor.visit()
            except Exception as error:
                asked, end, said = type(visitor).__name__, "lost", repr(error)
            log.add(asked, end, time.monotonic() - began, said)
            time.sleep(visitor.dice.uniform(0, 1 if end == "result" else 3))

    with ThreadPoolExecutor(len(make)) as pool:
        list(pool.map(stay, make))


def every_kind(script: Script, browser: Browser) -> None:
    """Ask once for everything there is, so that whatever is loaded when first asked for is in memory, and for
    as many visitors as the server remembers."""
    for name in ENDPOINTS:
        assert script.ask(name)[1] == "result", name
    for tab in TABS:
        assert browser.ask(tab)[1] == "result", tab
    for _ in range(SESSIONS):
        assert browser.ask("explore", "bad")[1] == "message"


def fresh_run(url: str, folder: str) -> float:
    """Return seconds of a run at the defaults, all alone."""
    began = time.monotonic()
    _, report = Client(url, verbose=False, download_files=folder).predict(**SPECIMEN, api_name="/generate")
    assert report["step"] == report["steps"]
    return time.monotonic() - began


def measure(seconds: float, visitors: int, checkpoint: str | None = None, seed: int = 0) -> dict:
    """Load a server of its own and say how it stood it.

    Args:
        seconds: of load, of which the first fifth is the warm-up.
        visitors: at a time.
        checkpoint: folder, hub id or built-in name; by default the app's own.
        seed: of what the visitors do.
    """
    log, warm_up = Log(), seconds / 5
    with serve(checkpoint) as server, TemporaryDirectory() as folder:
        people = []
        for number in range(visitors):
            dice = random.Random(seed + number)
            people.append(Browser(server.url, dice) if number % 2 else Script(server.url, dice, folder))
        every_kind(*people[:2])
        crowd(people, warm_up, log)
        before = server.at_rest()
        crowd(people, seconds - warm_up, log)
        after = server.at_rest()
        fresh_seconds = fresh_run(server.url, folder)
    ends = Counter()
    for (_, end), count in log.ends.items():
        ends[end] += count
    return {
        "visitors": visitors,
        "seconds": seconds,
        "requests": sum(ends.values()),
        "ends": dict(ends),
        "by_request": {f"{asked}: {end}": count for (asked, end), count in sorted(log.ends.items())},
        "lost": log.lost,
        "median_seconds": {who: median(times) for who, times in log.seconds.items() if times},
        "longest_seconds": {who: max(times) for who, times in log.seconds.items() if times},
        "live_generators": after["generators"],
        "threads": after["threads"],
        "rss_mb": after["rss_mb"],
        "growth_mb": after["rss_mb"] - before["rss_mb"],
        "temporary_files": after["files"],
        "temporary_mb": after["files_mb"],
        "fresh_seconds": fresh_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="of load (%(default)s)")
    parser.add_argument("--visitors", type=int, default=50, help="at a time (%(default)s)")
    parser.add_argument(
        "--checkpoint",
        default=SIMULATED,
        help="folder, hub id or built-in name (%(default)s, with which every tab has something to draw)",
    )
    given = parser.parse_args()
    result = measure(given.seconds, given.visitors, given.checkpoint)
    for request, count in result["by_request"].items():
        print(f"{request:<40} {count:6}")
    print()
    for name in ("result", "message", "refused", "stopped", "closed", "lost"):
        print(f"{name:<24} {result['ends'].get(name, 0):6}")
    for said in result["lost"][:10]:
        print(f"  {said}")
    for who, seconds in result["median_seconds"].items():
        print(f"{f'{who} to result, median':<24} {seconds:6.1f} s")
        print(f"{f'{who} to result, longest':<24} {result['longest_seconds'][who]:6.1f} s")
    print(f"generators left          {len(result['live_generators']):6}")
    print(f"threads                  {result['threads']:6}")
    print(f"memory                   {result['rss_mb']:6.0f} MB")
    print(f"memory since the warm-up {result['growth_mb']:+6.0f} MB")
    print(f"temporary files          {result['temporary_mb']:6.1f} MB in {result['temporary_files']}")
    print(f"a fresh run afterwards   {result['fresh_seconds']:6.1f} s")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
