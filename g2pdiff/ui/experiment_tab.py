"""What the tabs share that draw many pictures: how a run goes on, ends, and is stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from g2pdiff.ui import messages
from g2pdiff.ui.server.queue import Place
from g2pdiff.ui.tab import Clock, RunTab

if TYPE_CHECKING:
    from g2pdiff.experiments.drawing import Update


class Asked(ABC):
    """An experiment as a visitor asked for it, and what has been drawn of it."""

    rows: list  # of what is finished

    @property
    @abstractmethod
    def wanted(self) -> int:
        """Pictures asked for."""

    @property
    def drawn(self) -> int:
        """Pictures finished."""
        return len(self.rows)

    @abstractmethod
    def add(self, rows: Sequence) -> None:
        """Keep rows that have just been finished."""


class ExperimentTab(RunTab):
    """A tab that runs an experiment, which `check` returns as an `Asked`; built where it is made."""

    @abstractmethod
    def begin(self, asked: Asked, pipe) -> dict:
        """Make an experiment ready for a checkpoint; updates for its start.

        Raises:
            InputError: if it cannot be done with the checkpoint.
        """

    @abstractmethod
    def start(self, asked: Asked, pipe, turn: Place) -> Iterator[Update]:
        """The experiment, see `g2pdiff.experiments.drawing`."""

    @abstractmethod
    def show(self, asked: Asked) -> dict:
        """Updates that show what has been drawn so far."""

    @abstractmethod
    def conclude(self, asked: Asked) -> dict:
        """Updates that say what the rows say, of which there is one at least, and offer them."""

    def follow(self, asked: Asked, share: float) -> dict:
        """Updates on the way, when a share of the work, 0 to 1, is done."""
        return {}

    def verdict(self, asked: Asked) -> str:
        """What the status line says at the end, beside that it is done."""
        return ""

    def stream(self, asked: Asked, pipe, turn: Place) -> Iterator[dict]:
        clock, begun, before = Clock(), self.begin(asked, pipe), 0
        with closing(self.start(asked, pipe, turn)) as updates:
            yield {self.kept: asked} | begun
            for update in updates:
                asked.add(update.rows)
                waits, before = update.done == before, update.done  # waits for its turn
                if not (update.rows or waits or clock.due()):
                    continue
                share, left = update.done / update.total, clock.left(update.done, update.total)
                said = messages.drawing(asked.drawn, asked.wanted, share, left)
                shown = self.show(asked) if update.rows else {}
                yield shown | self.follow(asked, share) | {self.status: said}
        done = messages.drawn(asked.drawn, clock.elapsed, self.verdict(asked))
        yield self.conclude(asked) | self.ended(done)

    def stopped(self, kept: Asked) -> dict:
        # What was drawn last may not have reached the page when the run was cut off.
        said = self.show(kept) | self.conclude(kept) if kept.rows else {}
        return said | self.ended(messages.halted(kept.drawn, kept.wanted))
