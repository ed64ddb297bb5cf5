"""The look of the app: a Gradio theme whose fonts Gradio itself serves, and the project's own stylesheets."""

import gradio as gr

from g2pdiff.ui import static

STYLESHEETS = ("colours", "page", "mutations", "latitude", "batch", "compare", "bases", "learn", "checkpoint")


def css() -> str:
    """Return the page's stylesheets as one."""
    return "\n".join(static.text(f"css/{name}.css") for name in STYLESHEETS)


# Of the IBM Plex files that Gradio carries, these two weights are whole; the others lack most letters.
SANS = gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700))
MONO = gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700))


def theme() -> gr.themes.Base:
    """Build the theme: teal on slate, in light and dark."""
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="md",
        font=(SANS, "system-ui", "sans-serif"),
        font_mono=(MONO, "ui-monospace", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_border_width="1px",
        block_label_text_color="*neutral_700",
        color_accent="*primary_700",
        input_border_width="1px",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )
