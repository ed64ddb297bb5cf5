"""What the app says, as HTML. Everything that may hold a visitor's own text is escaped here."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from g2pdiff.errors import InputError
from g2pdiff.ui.widgets.glossary import term


@contextmanager
def errors_as_toast() -> Iterator[None]:
    """Show an `InputError` as Gradio's error toast, which reads HTML; no traceback goes to the log."""
    try:
        yield
    except InputError as error:
        raise gr.Error(escape(str(error)), title="Please check", print_exception=False) from None


def html(value: str = "", **options) -> gr.HTML:
    """Build a piece of the page, dressed by the project's own stylesheet alone."""
    return gr.HTML(value, apply_default_css=False, **options)


def note(text: str, kind: str = "info") -> str:
    """Return a note of one sentence; kind is `info`, `warning` or `error`."""
    return f'<p class="note {kind}">{escape(text)}</p>'


def notes(texts: Iterable[str], kind: str = "info") -> str:
    """Return a note for each sentence; kind as for `note`."""
    return "".join(note(text, kind) for text in texts)


def complaint(check: Callable, *values: Any) -> str:
    """Return the error note of a check that the values fail; empty where they pass."""
    try:
        check(*values)
    except InputError as error:
        return note(str(error), "error")
    return ""


def plural(count: int, thing: str) -> str:
    """Return a number and its noun, such as `1 record` or `3 records`."""
    return f"{count} {thing}{'s' * (count != 1)}"


LETTERS = {"latitude": "SN", "longitude": "WE"}


def compass(along: str, degrees: float) -> str:
    """Return degrees of `latitude` or `longitude` as people write them, such as `40°N`."""
    letter = "" if degrees == 0 else LETTERS[along][degrees > 0]
    return f"{abs(degrees):g}°{letter}"


def place_name(latitude: float, longitude: float) -> str:
    """Return a locality as people write it, such as `46.91°N 11.39°E`."""
    return f"{compass('latitude', round(latitude, 2))} {compass('longitude', round(longitude, 2))}"


def seconds(duration: float) -> str:
    """Return a duration as people say it."""
    if duration < 90:
        return f"{max(1, round(duration))} s"
    return f"{round(duration / 60)} min"


def bar(percent: float, kind: str = "") -> str:
    """Return a progress bar; kind is empty, `busy` or `halted`."""
    return f'<div class="progress {kind}"><i style="width:{percent:.1f}%"></i></div>'


def waiting(text: str) -> str:
    """Return the state of a run that goes on for a time nobody knows."""
    return bar(30, "busy") + f'<p class="status">{escape(text)}</p>'


def queued(number: int, left: float | None) -> str:
    """Return the state of a run that waits: its number in the queue, and the seconds to go."""
    parts = ["<b>Waiting in the queue</b>", f"number {number}"]
    # What changes every second is not spoken.
    if left is not None:
        parts.append(f'<span aria-live="off">starts in about {seconds(left)}</span>')
    return bar(30, "busy") + f'<p class="status">{" · ".join(parts)}</p>'


def progress(index: int, total: int, score: float | None, left: float) -> str:
    """Return the state of a run after step `index` of `total`; `left` is the time to its end in seconds."""
    parts = [f"<b>Step {index} of {total}</b>"]
    if score is not None:
        parts.append(f"CLIBDScore {score:.3f}")
    if index < total:
        parts.append(f"about {seconds(left)} left")
    # Spoken only when the run ends: a screen reader need not read out every step.
    return bar(100 * index / total) + f'<p class="status" aria-live="off">{" · ".join(parts)}</p>'


def finished(
    total: int, score: float | None, threshold: float | None, duration: float, is_doubtful: bool = False
) -> str:
    """Return the outcome of a run, with what its score says.

    Args:
        total: steps.
        score: CLIBDScore of the picture and the barcode that it was drawn from; None without a CLIBD model.
        threshold: of the score; None without one.
        duration: seconds.
        is_doubtful: whether a warning stands that the barcode is none that judge and model know. Then the
            judge's verdict means nothing, and none is given.
    """
    if score is None:
        verdict = "This checkpoint has no CLIBD model, so there is no CLIBDScore."
    else:
        verdict = f"{term('CLIBDScore')} {score:.3f}. "
        if is_doubtful:
            verdict += "It says nothing here: neither the model nor its judge knows such barcodes."
        elif threshold is not None:
            side = "above" if score >= threshold else "below"
            verdict += (
                f"The judge scores this pair of picture and barcode {side} its {term('threshold')} of "
                f"{threshold:.2f}."
            )
    return (
        bar(100)
        + f'<p class="status"><b>Done:</b> {plural(total, "step")} in {seconds(duration)}. {verdict}</p>'
    )


def stopped_before() -> str:
    """Return what to say of a run that was stopped while it waited."""
    return bar(0, "halted") + '<p class="status"><b>Stopped</b> before the first step.</p>'


def stopped(index: int, total: int) -> str:
    """Return what to say of a stopped run."""
    if not index:
        return stopped_before()
    kept = f"<b>Stopped at step {index} of {total}.</b> The picture and the scores up to there are kept."
    return bar(100 * index / total, "halted") + f'<p class="status">{kept}</p>'


def hiding(share: float) -> str:
    """Return the state of an attribution, given the share of it that is done, 0 to 1."""
    text = f"<b>Hiding the 219 codons</b>, one at a time · {share:.0%}"
    return bar(100 * share) + f'<p class="status" aria-live="off">{text}</p>'


def drawing(pictures: int, wanted: int, share: float, left: float | None) -> str:
    """Return the state of an experiment: pictures finished, and the time to its end in seconds.

    Args:
        pictures, wanted: finished and asked for.
        share: of the work that is done, 0 to 1.
        left: seconds to the end; None before any of it can be told.
    """
    text = f"<b>{pictures} of {wanted} pictures</b>"
    if left is not None:
        text += f" · about {seconds(left)} left"
    return bar(100 * share) + f'<p class="status" aria-live="off">{text}</p>'


def drawn(pictures: int, duration: float, verdict: str = "") -> str:
    """Return the end of an experiment, with what it says."""
    done = f"<b>Done:</b> {pictures} pictures in {seconds(duration)}."
    return bar(100) + f'<p class="status">{done} {escape(verdict)}</p>'


def halted(pictures: int, wanted: int) -> str:
    """Return what to say of a stopped experiment."""
    if not pictures:
        return bar(0, "halted") + '<p class="status"><b>Stopped</b> before the first picture.</p>'
    kept = f"<b>Stopped after {pictures} of {wanted} pictures.</b> They are kept, and so is what they say."
    return bar(100 * pictures / wanted, "halted") + f'<p class="status">{kept}</p>'
