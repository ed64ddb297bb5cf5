"""Figures of the evaluation."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import gaussian_kde
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from g2pdiff.experiments.latitude import tens_of_degrees
from training.evaluation.worlds import World

# People with any kind of colour vision can tell these apart: tests/test_colours.py measures it.
TRUTH, MODEL, RANDOM, THRESHOLD = "#d97706", "#1d4ed8", "#9ca3af", "#111111"


def _save(figure: Figure, path: Path) -> None:
    """Write a figure to `path`, and beside it as SVG if it is a line drawing.

    The SVG of a figure with pictures would contain their pixels and be larger than the PNG.
    """
    has_pictures = any(axis.images for axis in figure.axes)
    for file in {path} if has_pictures else {path, path.with_suffix(".svg")}:
        figure.savefig(file, dpi=110, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def picture_grid(
    pictures: torch.Tensor, rows: list[str], columns: list[str], path: Path, title: str = ""
) -> None:
    """Draw pictures (R, C, 3, H, W) in a grid with named rows and columns, as Fig. 3, 5 and 6 of the
    paper."""
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.25 * len(columns) + 1, 1.3 * len(rows)), squeeze=False
    )
    for line, some, name in zip(axes, pictures, rows, strict=True):
        for axis, picture in zip(line, some, strict=True):
            axis.imshow(picture.permute(1, 2, 0).numpy())
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(name.replace(" ", "\n", 1), fontsize=7, pad=3)
    figure.suptitle(title, fontsize=9, y=0.98)
    figure.subplots_adjust(wspace=0.03, hspace=0.03)
    _save(figure, path)


def comparison_grid(world: World, images: torch.Tensor, path: Path, columns: int = 8) -> None:
    """Draw named true pictures above predicted ones (N, 3, H, W), of a world's first N specimens."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 3.5 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, true, predicted, row in zip(
        axes.flat, world.truth, images, world.specimens.itertuples(index=False), strict=False
    ):
        pair = torch.cat([true, predicted], dim=1).permute(1, 2, 0).numpy()
        axis.imshow(pair)
        axis.set_title(f"{row.species}\n({row.family})", fontsize=7, pad=2)
    truth = "simulated truth" if world.known_traits else "photograph"
    figure.suptitle(f"above: {truth}; below: prediction from the barcode", fontsize=10, y=1.0)
    figure.tight_layout(pad=0.4)
    _save(figure, path)


def prediction_grid(world: World, images: torch.Tensor, path: Path, columns: int = 8) -> None:
    """Draw named predicted pictures (N, 3, H, W) of a world's first N specimens, without photographs."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 1.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, name in zip(axes.flat, images, world.specimens["species"], strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_title(name, fontsize=7, pad=2)
    figure.suptitle("drawn from held-out barcodes", fontsize=10, y=1.0)
    figure.tight_layout(pad=0.4)
    _save(figure, path)


def density_figure(
    true: np.ndarray, shuffled: np.ndarray, generated: np.ndarray, threshold: float, path: Path
) -> None:
    """Draw the densities of the CLIBDScore of true, shuffled and generated pairs, with the threshold."""
    figure, axis = plt.subplots(figsize=(6, 3.2))
    grid = np.linspace(-0.6, 1, 400)
    for scores, colour, label in (
        (shuffled, RANDOM, "shuffled pairs"),
        (true, TRUTH, "true pairs"),
        (generated, MODEL, "generated"),
    ):
        density = gaussian_kde(scores)(grid)
        axis.fill_between(grid, density, color=colour, alpha=0.25)
        axis.plot(grid, density, color=colour, label=label)
    axis.axvline(threshold, color=THRESHOLD, linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    axis.set(xlabel="CLIBDScore", ylabel="density", xlim=(-0.6, 1), ylim=(0, None))
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def sweep_figure(latitude: dict, longitude: dict, path: Path) -> None:
    """Draw mean relative body length along latitude and longitude, with the planted slope."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for axis, sweep, name in zip(axes, (latitude, longitude), ("latitude", "longitude"), strict=True):
        degrees = np.array(sweep["degrees"])
        axis.plot(
            degrees, sweep["relative_length"], "o-", color=MODEL, label="measured on generated pictures"
        )
        if (percent := sweep["planted_percent_per_10_degrees"]) is not None:
            planted = 1 + percent / 100 * tens_of_degrees(name, degrees)
            axis.plot(degrees, planted / planted.mean(), "--", color=TRUTH, label="planted")
        low, high = sweep["interval"]
        slope = sweep["slope_percent_per_10_degrees"]
        axis.set(xlabel=name, title=f"{slope:.2f} % per 10 degrees ({low:.2f} to {high:.2f})")
    axes[0].set_ylabel("relative body length")
    axes[0].legend(frameon=False, fontsize=8)
    _save(figure, path)


def mutation_figure(mutations: dict, path: Path) -> None:
    """Draw the drift of generated and true pictures over mutation rates."""
    figure, axis = plt.subplots(figsize=(5, 3.2))
    rates = 100 * np.array(mutations["rates"])
    axis.plot(rates, mutations["true"], "o--", color=TRUTH, label="simulated truth")
    axis.plot(rates, mutations["generated"], "o-", color=MODEL, label="generated")
    axis.set(xlabel="mutation rate in %", ylabel="appearance drift")
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def loss_curve(folder: Path) -> tuple[list[int], list[float]]:
    """Read steps and losses of a stage from TensorBoard's files. Later files overwrite repeated steps."""
    curve = {}
    for file in sorted((folder / "tensorboard").iterdir()):
        events = EventAccumulator(str(file)).Reload()
        if "loss" in events.Tags()["scalars"]:  # a file is empty if its run was killed early
            curve |= {event.step: event.value for event in events.Scalars("loss")}
    steps = sorted(curve)
    return steps, [curve[step] for step in steps]


def training_figure(run: Path, path: Path) -> bool:
    """Draw the loss of every stage whose log a run holds; return whether there is one."""
    stages = ("autoencoder", "clibd", "diffusion", "aligner")
    stages = [stage for stage in stages if (run / stage / "tensorboard").is_dir()]
    if not stages:
        return False
    figure, axes = plt.subplots(1, len(stages), figsize=(3 * len(stages), 2.4), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=True):
        axis.plot(*loss_curve(run / stage), color=MODEL, linewidth=1)
        axis.set(title=stage, xlabel="step")
    axes[0][0].set_ylabel("loss")
    figure.tight_layout()
    _save(figure, path)
    return True
