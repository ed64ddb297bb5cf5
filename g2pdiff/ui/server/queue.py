"""The queue for the one model: bounded, fair, and whoever waits in it can be told how long it takes.

A run holds a ticket. One ticket at a time is called, so that two runs never share the cores. A run keeps the
model to its end, an experiment for a batch of pictures; whoever wants it again goes to the end of the queue.
Tickets are called visitor by visitor, not run by run: who asks for much keeps nobody else waiting for longer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from g2pdiff.errors import InputError
from g2pdiff.ui.messages import seconds

if TYPE_CHECKING:
    from g2pdiff.experiments.drawing import Update

MAXIMUM_TICKETS = 32  # runs that wait or draw: a class, each of whom presses Run
REMEMBERED = 20  # times with the model, whose mean length foretells the next ones'


class Queue:
    """Who waits for the model, and who has it. Nothing here blocks: who waits asks again.

    Args:
        size: how many runs may wait or draw at once.
    """

    def __init__(self, size: int):
        self.size = size
        self._changing = threading.Lock()
        self._held: Counter[str] = Counter()  # tickets by visitor
        self._waiting: dict[str, deque[Ticket]] = {}  # by visitor, in the order in which they are called
        self._drawing: Ticket | None = None
        self._since = 0.0
        self._lengths: deque[float] = deque(maxlen=REMEMBERED)  # of the last times with the model, in seconds

    @property
    def taken(self) -> int:
        """How many runs wait or draw."""
        return self._held.total()

    @contextmanager
    def join(self, visitor: str) -> Iterator[Ticket]:
        """Hold a ticket until the context is left. A visitor has half of all tickets at most.

        Raises:
            InputError: if every ticket is taken, or every one that the visitor may have; the sentence says
                when to come back.
        """
        with self._changing:
            if self.taken == self.size:
                raise InputError("queue", self._refusal())
            if self._held[visitor] >= self.size / 2:
                raise InputError(
                    "queue",
                    f"{self._held[visitor]} of your runs are in the queue for the model: please let one of "
                    "them end first.",
                )
            self._held[visitor] += 1
        ticket = Ticket(self, visitor)
        try:
            yield ticket
        finally:
            with self._changing:
                self._held -= Counter({visitor: 1})  # which forgets who holds none
                self._leave(ticket)

    def _refusal(self) -> str:
        wait = self._seconds_before(sum(map(len, self._waiting.values())))
        when = "in a minute" if wait is None else f"in about {seconds(wait)}"
        return f"The queue for the model is full with {self.size} runs: please try again {when}."

    def _is_waiting(self, ticket: Ticket) -> bool:
        with self._changing:
            return ticket in self._waiting.get(ticket.visitor, ()) and not self._is_next(ticket)

    def _call(self, ticket: Ticket) -> bool:
        with self._changing:
            if self._drawing is ticket:
                return True
            own = self._waiting.setdefault(ticket.visitor, deque())
            if ticket not in own:
                own.append(ticket)
            if not self._is_next(ticket):
                return False
            own.popleft()
            del self._waiting[ticket.visitor]
            if own:  # what else the visitor wants comes after everybody else's next ticket
                self._waiting[ticket.visitor] = own
            self._drawing, self._since = ticket, time.monotonic()
            return True

    def _give_back(self, ticket: Ticket) -> None:
        with self._changing:
            self._lengths.append(time.monotonic() - self._since)
            self._leave(ticket)

    def _leave(self, ticket: Ticket) -> None:
        if self._drawing is ticket:
            self._drawing = None
            return
        own = self._waiting.get(ticket.visitor, deque())
        if ticket in own:
            own.remove(ticket)
            if not own:
                del self._waiting[ticket.visitor]

    def _is_next(self, ticket: Ticket) -> bool:
        return self._drawing is None and next(iter(self._waiting.values()))[0] is ticket

    def _outlook(self, ticket: Ticket) -> tuple[int, float | None]:
        with self._changing:
            order = sorted(
                (own.index(other), number, other is ticket)
                for number, own in enumerate(self._waiting.values())
                for other in own
            )
            before = [mine for _, _, mine in order].index(True)
            return before + 1, self._seconds_before(before)

    def _seconds_before(self, tickets: int) -> float | None:
        """Return the seconds until the ticket being served and so many more are done; None before any is."""
        if not self._lengths:
            return None
        mean = sum(self._lengths) / len(self._lengths)
        present = max(0.0, mean - (time.monotonic() - self._since)) if self._drawing else 0.0
        return present + tickets * mean


class Ticket:
    """A run's ticket. As a context manager it is the run's time with the model, once it has been called."""

    def __init__(self, queue: Queue, visitor: str):
        self.visitor = visitor
        self._queue = queue

    def is_called(self) -> bool:
        """Ask for the model; return whether the run has it now, and then has to give it back.

        Who asks for the first time stands behind those who wait already.
        """
        return self._queue._call(self)

    @property
    def is_waiting(self) -> bool:
        """Whether the model was asked for, and to ask again would be in vain."""
        return self._queue._is_waiting(self)

    @property
    def outlook(self) -> tuple[int, float | None]:
        """While waiting: the number in the queue, from 1, and the seconds to go, if they can be told."""
        return self._queue._outlook(self)

    def __enter__(self) -> None:
        if not self.is_called():
            raise RuntimeError("Another ticket has the model: ask `is_called` first.")

    def __exit__(self, *_: object) -> None:
        self._queue._give_back(self)


def in_batches(updates: Generator[Update], ticket: Ticket) -> Generator[Update]:
    """Run an experiment with a ticket, which is given back and asked for again where the experiment pauses.

    Args:
        updates: of `Experiment.start`.
        ticket: of the run.

    Yields:
        The experiment's updates. Those that pause come only while the ticket waits, each time it asks.
    """
    with ExitStack() as held, closing(updates):
        for update in updates:
            if not update.pauses:
                yield update
                continue
            held.close()
            while not ticket.is_called():
                yield update
            held.enter_context(ticket)


QUEUE = Queue(MAXIMUM_TICKETS)
