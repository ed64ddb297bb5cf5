"""The charts of the Mutations tab: what was measured, against the mutation rate."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from g2pdiff.ui.widgets.live_chart import TRUTH, mark_threshold

if TYPE_CHECKING:
    from g2pdiff.experiments.mutations import MutationRow

BANDS = {"prediction": "var(--prediction-band)", "truth": "var(--truth-band)"}

MEASUREMENTS = {
    "clibd_score": ("CLIBDScore against the wild type", 1),
    "body_length": ("body length, % of the picture", 100),
    "drift": ("appearance drift", 1),
}
"""What is measured: the title of its chart, and the factor that makes its values those of the title."""


def curve_chart(
    name: str,
    curves: Sequence[dict],
    rows: Sequence[MutationRow],
    rates: Sequence[float],
    threshold: float | None,
) -> dict:
    """Draw one measurement against the mutation rate as a Plotly figure: means, intervals, pictures, truth.

    Args:
        name: of `MEASUREMENTS`.
        curves: of `g2pdiff.experiments.mutations.mutation_curves`.
        rows: the pictures behind them.
        rates: of the whole series, which the axis spans.
        threshold: the success threshold; None without a CLIBD model.
    """
    title, factor = MEASUREMENTS[name]
    highest = 100 * max(rates, default=0.5)
    figure = {
        "data": [],
        "layout": {
            "margin": {"l": 44, "r": 10, "t": 30, "b": 38},
            "title": {"text": title, "font": {"size": 13}, "x": 0.02, "y": 0.97, "yanchor": "top"},
            "xaxis": {
                "title": {"text": "mutation rate, %"},
                "range": [-0.04 * highest, 1.04 * highest],
                "nticks": 7,
            },
            "yaxis": {"rangemode": "tozero"},
            "annotations": [],
            "shapes": [],
        },
    }
    if curves and f"true_{name}" in curves[0]:
        line = {"color": TRUTH, "width": 2, "dash": "dash"}
        marker = {"symbol": "diamond-open", "size": 7}
        figure["data"] += curve_traces(curves, f"true_{name}", factor, line, marker, BANDS["truth"])
    values = []
    if curves and name in curves[0]:
        values = [factor * getattr(row, name) for row in rows]
        figure["data"] += curve_traces(curves, name, factor, {"width": 2.5}, {"size": 6}, BANDS["prediction"])
        figure["data"].append(dots([100 * row.rate for row in rows], values))
    if name == "clibd_score":
        figure["layout"]["yaxis"] = {"range": [min([-0.05, *values]), 1], "dtick": 0.25}
        if threshold is not None:
            mark_threshold(figure["layout"], threshold, "bottom")
    return figure


def curve_traces(
    curves: Sequence[dict], name: str, factor: float, line: dict, marker: dict, band: str
) -> list[dict]:
    """Return the band of intervals, which at a single picture is as narrow as its value, and the line of
    means."""
    rates = [100 * curve["rate"] for curve in curves]
    estimates = [curve[name] for curve in curves]
    lows = [factor * (e.value if isnan(e.low) else e.low) for e in estimates]
    highs = [factor * (e.value if isnan(e.high) else e.high) for e in estimates]
    return [
        {
            "x": rates + rates[::-1],
            "y": highs + lows[::-1],
            "mode": "none",
            "fill": "toself",
            "fillcolor": band,
            "hoverinfo": "skip",
        },
        {
            "x": rates,
            "y": [factor * e.value for e in estimates],
            "mode": "lines+markers",
            "line": line,
            "marker": marker,
            "hovertemplate": "%{x:g} %: %{y:.3g}<extra></extra>",
        },
    ]


def dots(rates: list[float], values: list[float]) -> dict:
    """Draw a faint dot for every picture."""
    marker = {"size": 4, "opacity": 0.4}
    return {"x": rates, "y": values, "mode": "markers", "marker": marker, "hoverinfo": "skip"}
