"""What the Compare tab measures of a pair of pictures, and its charts of the differences."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from g2pdiff.analysis.statistics import Estimate
    from g2pdiff.experiments.compare import PairRow


class Measurement(NamedTuple):
    """What is measured of a picture, and how it is written."""

    name: str
    unit: str
    factor: float  # that brings values to the unit
    digits: int

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def value(self, number: float) -> str:
        return f"{self.factor * number:.{self.digits}f}"

    def change(self, number: float) -> str:
        return f"{self.factor * number:+.{self.digits}f}"


MEASUREMENTS = {
    "clibd_score": Measurement("CLIBDScore", "", 1, 3),
    "body_length": Measurement("body length", "% of the picture", 100, 1),
}


def measured(row: PairRow, name: str) -> tuple[float, float] | None:
    """Return both sides of a measurement; None without a CLIBD model."""
    return {"clibd_score": row.clibd_scores, "body_length": row.body_lengths}[name]


def changed(rows: Sequence[PairRow], name: str) -> list[float]:
    """Return differences of the pairs, second minus first; empty without a CLIBD model."""
    sides = [measured(row, name) for row in rows]
    return [second - first for first, second in filter(None, sides)]


def difference_chart(name: str, values: Sequence[float], found: Estimate | None, pairs: int) -> dict:
    """Draw differences pair by pair as a Plotly figure, with their mean and its interval.

    Args:
        name: of `MEASUREMENTS`.
        values: of the pairs drawn so far, second minus first.
        found: the mean of them; None where there are none.
        pairs: asked for, which the axis spans.
    """
    what = MEASUREMENTS[name]
    ends = [0.5, pairs + 0.5]
    figure = {
        "data": [],
        "layout": {
            "margin": {"l": 52, "r": 10, "t": 30, "b": 38},
            "title": {"font": {"size": 13}, "x": 0.02, "y": 0.97, "yanchor": "top"},
            "xaxis": {
                "title": {"text": "pair"},
                "range": ends,
                "nticks": min(pairs + 1, 9),
            },
            "yaxis": {"range": [-0.1, 0.1]},
            "shapes": [
                {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
                | {"line": {"dash": "dash", "width": 1.5, "color": "var(--body-text-color-subdued)"}}
            ],
        },
    }
    title = f"difference of {what.title}"
    figure["layout"]["title"]["text"] = title
    if found is None:
        return figure
    figure["layout"]["title"]["text"] = f"{title}: <b>mean {what.change(found.value)}</b>"
    mean, low, high = (what.factor * number for number in found)
    shown = [0.0, *(what.factor * value for value in values)]
    if not isnan(low):
        shown += [low, high]
        band = {"x": ends + ends[::-1], "y": [high, high, low, low], "mode": "none", "hoverinfo": "skip"}
        figure["data"].append(band | {"fill": "toself", "fillcolor": "var(--prediction-band)"})
    figure["data"] += [
        {"x": ends, "y": [mean, mean], "mode": "lines", "line": {"width": 2}, "hoverinfo": "skip"},
        {
            "x": list(range(1, len(values) + 1)),
            "y": shown[1 : len(values) + 1],
            "mode": "markers",
            "marker": {"size": 8},
            "hovertemplate": "pair %{x}: %{y:+.3g}<extra></extra>",
        },
    ]
    room = 0.15 * (max(shown) - min(shown)) or 0.1
    figure["layout"]["yaxis"]["range"] = [min(shown) - room, max(shown) + room]
    return figure
