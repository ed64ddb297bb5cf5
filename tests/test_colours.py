"""What stands together can be told apart: distances in CIE Lab with four kinds of colour vision; contrast."""

import re
from itertools import combinations

import numpy as np
import pytest

from g2pdiff.ui import static
from training.evaluation import figures

APART = 30  # CIE 1976 colour difference; a just noticeable one is about 2.3, for large areas side by side

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
VISION = {
    "trichromacy": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ.sum(axis=1)  # D65


def linear(colour: str) -> np.ndarray:
    """Return the linear RGB (3,) of an sRGB colour such as `#0f766e`."""
    values = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> np.ndarray:
    """Return the CIE Lab values (3,) of a colour as a kind of colour vision sees it."""
    relative = XYZ @ np.clip(VISION[vision] @ linear(colour), 0, 1) / WHITE
    x, y, z = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(first: str, second: str, vision: str) -> float:
    return float(np.linalg.norm(lab(first, vision) - lab(second, vision)))


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2, 1 to 21."""
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in static.text("css/colours.css").split("\n.dark ")
)
LOOKS = {"light": LIGHT, "dark": LIGHT | DARK}
GROUNDS = {"light": ("#ffffff", "#f1f5f9"), "dark": ("#0b0f19", "#1e293b")}  # Gradio's slate
BASES = [f"base-{base}" for base in "ACGT"]
TOGETHER = [BASES, ["prediction", "truth", "south"], ["changed", "error"], ["warning", "error"]]
PALETTES = {
    f"{look}: {', '.join(names)}": [colours[name] for name in names]
    for look, colours in LOOKS.items()
    for names in TOGETHER
} | {"figures": [figures.TRUTH, figures.MODEL, figures.RANDOM, figures.THRESHOLD]}


def test_the_measure_knows_what_is_hard_to_tell_apart():
    assert lab("#ffffff", "trichromacy") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#ff0000", "trichromacy") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    green, red = "#2f9e5f", "#cf3d5c"
    assert distance(green, red, "deuteranopia") < 4 < 100 < distance(green, red, "trichromacy")
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", PALETTES)
def test_what_stands_together_can_be_told_apart(palette, vision):
    near = {
        pair: round(found)
        for pair in combinations(PALETTES[palette], 2)
        if (found := distance(*pair, vision)) < APART
    }
    assert near == {}


@pytest.mark.parametrize("look", LOOKS)
def test_text_in_every_colour_can_be_read(look):
    colours = LOOKS[look]
    for ground in GROUNDS[look]:
        for name in (*BASES, "changed", "prediction", "truth", "south"):
            assert contrast(colours[name], ground) >= 4.5, name
    for name in ("warning", "error"):
        assert contrast(colours[name], colours[f"{name}-fill"]) >= 4.5, name


def test_no_other_file_has_data_colours_of_its_own():
    for sheet in ("page", "mutations", "latitude", "batch", "compare", "bases", "learn"):
        assert re.findall(r"#[0-9a-f]{6}\b", static.text(f"css/{sheet}.css")) == [], sheet
