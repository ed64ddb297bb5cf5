"""What the tabs share that draw many pictures: how a run goes on, ends, and is stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from g2pdiff.dna.barcode import Barcode
from g2pdiff.experiments.specification import Experiment, SpecimenSpecification
from g2pdiff.ui import messages
from g2pdiff.ui.server.model import ServedPipeline
from g2pdiff.ui.server.queue import Ticket, in_batches
from g2pdiff.ui.tab import Clock, RunTab


class Progress(ABC):
    """An experiment as a visitor asked for it, and what has been drawn of it."""

    asked: Experiment
    rows: list  # of what is finished

    @property
    def drawn(self) -> int:
        """Pictures finished."""
        return self.asked.pictures_per_row * len(self.rows)

    @abstractmethod
    def add(self, rows: Sequence) -> None:
        """Keep rows that have just been finished."""


class ExperimentTab(RunTab):
    """A tab that runs an experiment, which `check` returns as a `Progress`; built where it is made."""

    def barcode_of(self, asked: Any) -> Barcode | None:
        return asked.asked.edited if isinstance(asked.asked, SpecimenSpecification) else None

    @abstractmethod
    def begin(self, progress: Any, pipe: ServedPipeline) -> dict:
        """Make an experiment ready for a checkpoint; return updates for its start.

        Raises:
            InputError: if it cannot be done with the checkpoint.
        """

    @abstractmethod
    def show(self, progress: Any) -> dict:
        """Return updates that show what has been drawn so far."""

    @abstractmethod
    def conclude(self, progress: Any) -> dict:
        """Return updates that say what the rows say, of which there is one at least, and offer them."""

    def follow(self, progress: Any, share: float) -> dict:
        """Return updates on the way, when a share of the work, 0 to 1, is done."""
        return {}

    def verdict(self, progress: Any) -> str:
        """Return what the status line says at the end, beside that it is done."""
        return ""

    def stream(self, asked: Any, pipe: ServedPipeline, ticket: Ticket) -> Iterator[dict]:
        progress, clock = asked, Clock()
        begun = self.begin(progress, pipe)
        updates = in_batches(progress.asked.start(pipe), ticket)
        with closing(updates):
            yield {self.kept: progress} | begun
            for update in updates:
                progress.add(update.rows)
                if not (update.rows or update.pauses or clock.due()):
                    continue
                share = update.done / update.total
                left = clock.left(update.done, update.total) if update.done else None
                said = messages.drawing(progress.drawn, progress.asked.wanted, share, left)
                shown = self.show(progress) if update.rows else {}
                yield shown | self.follow(progress, share) | {self.status: said}
        done = messages.drawn(progress.drawn, clock.elapsed, self.verdict(progress))
        yield self.conclude(progress) | self.ended(done)

    def stopped(self, kept: Any) -> dict:
        # What was drawn last may not have reached the page when the run was cut off.
        said = self.show(kept) | self.conclude(kept) if kept.rows else {}
        return said | self.ended(messages.halted(kept.drawn, kept.asked.wanted))
