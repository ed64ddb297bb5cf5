"""The line of visitors who wait for the one model: bounded, fair, and each can be told how long it takes.

One run at a time has the model, so that two never share the cores. A run has it to its end, an experiment
for a batch of pictures; whoever wants it again goes to the end of the line. Turns go round the visitors, not
round their runs: who asks for much keeps nobody else waiting for longer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from g2pdiff.errors import InputError
from g2pdiff.ui.messages import seconds

PLACES = 32  # runs that wait or draw: a class, each of whom presses Run
REMEMBERED = 20  # turns whose mean length foretells the next ones'


class Line:
    """Who waits for the model, and whose turn it is. Nothing here blocks: who waits asks again.

    Args:
        places: how many runs may wait or draw at once.
    """

    def __init__(self, places: int):
        self.places = places
        self._changing = threading.Lock()
        self._held: Counter[str] = Counter()  # places by visitor
        self._waiting: dict[str, deque[Place]] = {}  # by visitor, in the order of their next turns
        self._drawing: Place | None = None
        self._since = 0.0
        self._lengths: deque[float] = deque(maxlen=REMEMBERED)  # of the last turns, in seconds

    @property
    def taken(self) -> int:
        """How many runs wait or draw."""
        return self._held.total()

    @contextmanager
    def join(self, visitor: str) -> Iterator[Place]:
        """A place in the line, until the context is left. A visitor has half of all places at most.

        Raises:
            InputError: if every place is taken, or every one that the visitor may have; the sentence says
                when to come back.
        """
        with self._changing:
            if self.taken == self.places:
                raise InputError("line", self._refusal())
            if self._held[visitor] >= self.places / 2:
                raise InputError(
                    "line",
                    f"{self._held[visitor]} of your runs have places in the line for the model: please let "
                    "one of them end first.",
                )
            self._held[visitor] += 1
        place = Place(self, visitor)
        try:
            yield place
        finally:
            with self._changing:
                self._held -= Counter({visitor: 1})  # which forgets who holds none
                self._leave(place)

    def _refusal(self) -> str:
        wait = self._seconds_before(sum(map(len, self._waiting.values())))
        when = "in a minute" if wait is None else f"in about {seconds(wait)}"
        return f"All {self.places} places in the line for the model are taken: please try again {when}."

    def _has_to_wait(self, place: Place) -> bool:
        with self._changing:
            return place in self._waiting.get(place.visitor, ()) and not self._is_next(place)

    def _take(self, place: Place) -> bool:
        with self._changing:
            if self._drawing is place:
                return True
            own = self._waiting.setdefault(place.visitor, deque())
            if place not in own:
                own.append(place)
            if not self._is_next(place):
                return False
            own.popleft()
            del self._waiting[place.visitor]
            if own:  # what else the visitor wants comes after everybody else's next
                self._waiting[place.visitor] = own
            self._drawing, self._since = place, time.monotonic()
            return True

    def _give_back(self, place: Place) -> None:
        with self._changing:
            self._lengths.append(time.monotonic() - self._since)
            self._leave(place)

    def _leave(self, place: Place) -> None:
        if self._drawing is place:
            self._drawing = None
        elif place in (own := self._waiting.get(place.visitor, ())):
            own.remove(place)
            if not own:
                del self._waiting[place.visitor]

    def _is_next(self, place: Place) -> bool:
        return self._drawing is None and next(iter(self._waiting.values()))[0] is place

    def _outlook(self, place: Place) -> tuple[int, float | None]:
        with self._changing:
            order = sorted(
                (own.index(other), number, other is place)
                for number, own in enumerate(self._waiting.values())
                for other in own
            )
            before = [mine for _, _, mine in order].index(True)
            return before + 1, self._seconds_before(before)

    def _seconds_before(self, turns: int) -> float | None:
        """Seconds until the present turn and so many more are over; None before any turn has ended."""
        if not self._lengths:
            return None
        mean = sum(self._lengths) / len(self._lengths)
        present = max(0.0, mean - (time.monotonic() - self._since)) if self._drawing else 0.0
        return present + turns * mean


class Place:
    """A run's place in a line. As a context manager it is the run's turn, once that has come."""

    def __init__(self, line: Line, visitor: str):
        self.visitor = visitor
        self._line = line

    def wait(self) -> bool:
        """Whether the turn has come; it then has to be given back. Who asks for the first time stands behind
        those who wait already."""
        return self._line._take(self)

    @property
    def has_to_wait(self) -> bool:
        """Whether the turn was asked for, and to ask again would be in vain."""
        return self._line._has_to_wait(self)

    @property
    def outlook(self) -> tuple[int, float | None]:
        """While waiting: the number in the line, from 1, and the seconds to the turn, if they can be told."""
        return self._line._outlook(self)

    def __enter__(self) -> None:
        if not self.wait():
            raise RuntimeError("This is somebody else's turn: ask `wait` first.")

    def __exit__(self, *_) -> None:
        self._line._give_back(self)


LINE = Line(PLACES)
