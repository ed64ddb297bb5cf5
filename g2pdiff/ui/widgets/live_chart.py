"""A Plotly chart that updates in place: `gr.Plot` starts anew at every step, `Plotly.react` does not."""

from html import escape
from pathlib import Path

import gradio as gr
import plotly

from g2pdiff.ui import static

PLOTLY = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").as_posix()
gr.set_static_paths([PLOTLY])

MARKED_STEPS = 100  # of longer runs, markers would run into each other, and each costs the browser time

TRUTH = "var(--truth)"  # of truth and threshold; css/colours.css has the colours


def live_chart(figure: dict, description: str, height: int, **options) -> gr.HTML:
    """Build a chart whose value is a Plotly figure as a dict, `{"data": [...], "layout": {...}}`.

    Args:
        figure: the first figure; its colours may be the page's, such as `var(--truth)`.
        description: what the chart shows, for those who cannot see it.
        height: in pixels.
        options: further arguments of `gr.HTML`.
    """
    return gr.HTML(
        figure,
        html_template=f'<div class="live-chart" role="img" aria-label="{escape(description)}" '
        f'style="height:{height}px"></div>',
        js_on_load=static.text("js/live_chart.js"),
        head=f'<script src="gradio_api/file={PLOTLY}"></script>',
        apply_default_css=False,
        **options,
    )


def score_chart(scores: list[float], total: int, threshold: float | None) -> dict:
    """Draw CLIBDScore against the denoising step, the last score in figures, the success threshold dashed."""
    figure = {
        "data": [
            {
                "x": list(range(1, len(scores) + 1)),
                "y": scores,
                "mode": "lines+markers" if total <= MARKED_STEPS else "lines",
                "line": {"width": 2.5},
                "marker": {"size": 5},
                "hovertemplate": "step %{x}: %{y:.3f}<extra></extra>",
            }
        ],
        "layout": {
            "margin": {"l": 56, "r": 14, "t": 8, "b": 38},
            "xaxis": {"title": {"text": "denoising step"}, "range": [0.5, total + 0.5]},
            "yaxis": {"title": {"text": "CLIBDScore"}, "range": [min([-0.05, *scores]), 1], "dtick": 0.25},
            "annotations": [],
            "shapes": [],
        },
    }
    layout = figure["layout"]
    if threshold is not None:
        mark_threshold(layout, threshold, "top")
    if scores:
        layout["annotations"].append(
            {
                "text": f"<b>{scores[-1]:.2f}</b>",
                "x": len(scores),
                "y": scores[-1],
                "yshift": 14,
                "showarrow": False,
            }
        )
    return figure


def mark_threshold(layout: dict, threshold: float, anchor: str) -> None:
    """Draw the success threshold across a chart of CLIBDScores.

    Args:
        layout: of the figure, with lists of `shapes` and `annotations`.
        threshold: CLIBDScore.
        anchor: the end of the label that lies on the line, `top` or `bottom`.
    """
    line = {"dash": "dash", "width": 1.5, "color": TRUTH}
    ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold}
    layout["shapes"].append({"type": "line", "line": line} | ends)
    layout["annotations"].append(
        {
            "text": f"success threshold {threshold:.2f}",
            "xref": "paper",
            "x": 0.99,
            "xanchor": "right",
            "y": threshold,
            "yanchor": anchor,
            "showarrow": False,
        }
    )
