"""A chart of body length along a walk, with the measured and the planted slope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from g2pdiff.experiments.latitude import cline, relative_lengths, tens_of_degrees
from g2pdiff.ui.messages import compass
from g2pdiff.ui.widgets.live_chart import TRUTH

if TYPE_CHECKING:
    from g2pdiff.experiments.latitude import SweepRow

SOUTH, BAND = "var(--south)", "var(--prediction-band)"
MARGIN = 0.06  # share of the chart left free at both ends


def cline_chart(rows: Sequence[SweepRow], along: str, degrees: Sequence[float], has_truth: bool) -> dict:
    """Draw body length against the distance walked, in per cent of the mean of the row's own replicate.

    Along latitude both hemispheres lie on one axis. Where three places or more are drawn come the regression
    line with the fan of its 95 % interval and, if the truth is known, the planted slope dashed.

    Args:
        rows: what is drawn already.
        along: `latitude` or `longitude`.
        degrees: the whole walk, which the axis spans.
        has_truth: whether the rows hold a simulated truth.
    """
    equatorial = along == "latitude"
    distances = list(degrees)
    if equatorial:  # a walk across the equator begins there
        crosses = min(degrees) < 0 < max(degrees)
        distances = [abs(degree) for degree in degrees] + [0] * crosses
    first, last = min(distances), max(distances)
    margin = MARGIN * (last - first)
    figure = {
        "data": [],
        "layout": {
            "margin": {"l": 58, "r": 72, "t": 12, "b": 40},
            "xaxis": {
                "title": {"text": "distance from the equator" if equatorial else "longitude"},
                "range": [first - margin, last + margin],
                "nticks": 10,
                "ticksuffix": "°",
            },
            "yaxis": {"title": {"text": "body length, % of mean"}, "range": [80, 120]},
            "annotations": [],
        },
    }
    if rows:
        _draw_points(figure, rows, equatorial, has_truth)
        _draw_lines(figure, rows, has_truth)
        shown = [length for trace in figure["data"] for length in trace["y"]]
        figure["layout"]["yaxis"]["range"] = [min(80, min(shown) - 5), max(120, max(shown) + 5)]
    return figure


def _draw_points(figure: dict, rows: Sequence[SweepRow], equatorial: bool, has_truth: bool) -> None:
    lengths = 100 * relative_lengths(rows)
    if has_truth:
        places = {row.degrees: row.true_body_length for row in rows if row.true_body_length is not None}
        measured = np.array(list(places.values()))
        true = 100 * measured / measured.mean()
        drawn = zip(places, true.tolist(), strict=True)
        _draw_group(figure, list(drawn), rows[0].along, {"symbol": "diamond-open", "color": TRUTH, "size": 8})
    points = list(zip((row.degrees for row in rows), lengths.tolist(), strict=True))
    north = {"symbol": "circle", "size": 8}
    if equatorial:
        south = {"symbol": "triangle-down", "size": 9, "color": SOUTH}
        _draw_group(figure, [point for point in points if point[0] < 0], "latitude", south)
        points = [point for point in points if point[0] >= 0]
    _draw_group(figure, points, rows[0].along, north)


def _draw_group(figure: dict, points: list[tuple[float, float]], along: str, marker: dict) -> None:
    """Draw points (degrees, per cent) with one kind of marker."""
    figure["data"].append(
        {
            "x": [abs(degrees) if along == "latitude" else degrees for degrees, _ in points],
            "y": [length for _, length in points],
            "text": [compass(along, degrees) for degrees, _ in points],
            "mode": "markers",
            "marker": marker,
            "hovertemplate": "%{text}: %{y:.0f} %<extra></extra>",
        }
    )


def _draw_lines(figure: dict, rows: Sequence[SweepRow], has_truth: bool) -> None:
    found = cline(rows, has_truth)
    if found is None:
        return
    tens = tens_of_degrees(found.along, [row.degrees for row in rows])
    distances = [abs(row.degrees) if found.along == "latitude" else row.degrees for row in rows]
    x = [min(distances), max(distances)]
    ends = tens_of_degrees(found.along, x)

    def line(slope: float) -> list[float]:
        """Return the length at both ends, in per cent of the mean."""
        return (100 * (1 + slope / 100 * ends) / (1 + slope / 100 * tens.mean())).tolist()

    value, low, high = found.slope
    # A bow tie: both edges run through the mean.
    fan = {"x": x + x[::-1], "y": line(low) + line(high)[::-1], "fill": "toself", "fillcolor": BAND}
    figure["data"] = [
        fan | {"mode": "none", "hoverinfo": "skip"},
        *figure["data"],
        {"x": x, "y": line(value), "mode": "lines", "line": {"width": 2.5}, "hoverinfo": "skip"},
    ]
    labels: list[tuple[str, float, str | None]] = [
        (f"<b>measured<br>{value:+.1f} %</b>", line(value)[1], None)
    ]
    if has_truth and found.planted is not None:
        dashed = {"width": 2, "dash": "dash", "color": TRUTH}
        figure["data"].append(
            {"x": x, "y": line(found.planted), "mode": "lines", "line": dashed, "hoverinfo": "skip"}
        )
        labels.append((f"planted<br>{found.planted:+g} %", line(found.planted)[1], TRUTH))
    # Right of the plot: the label of the higher line stands above its end, the other one's below.
    labels.sort(key=lambda label: label[1])
    for (text, y, colour), anchor in zip(labels, ("top", "bottom")[-len(labels) :], strict=True):
        label = {"text": text, "x": 1, "xref": "paper", "xanchor": "left", "y": y, "yanchor": anchor}
        label |= {"align": "left", "showarrow": False}
        figure["layout"]["annotations"].append(label | ({"font": {"color": colour}} if colour else {}))
