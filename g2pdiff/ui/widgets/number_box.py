"""Text fields for numbers: a browser's number field drops what it cannot read before any check sees it."""

import gradio as gr

LONGEST = 2_000  # characters: a map's link fits into a field for a place


def number_box(value: float | None, label: str, **options) -> gr.Textbox:
    """Return a text field of one line for a number, which stays as it is typed.

    Args:
        value: at first; None is an empty field.
        label: of the field.
        options: further arguments of `gr.Textbox`.
    """
    return gr.Textbox(as_typed(value), label=label, max_lines=1, max_length=LONGEST, **options)


def as_typed(value: object) -> str:
    """Return a number as it is typed, and text as it is."""
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.10g}"
