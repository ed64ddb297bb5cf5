"""The endpoints for scripts and agents: typed, documented arguments, one clear sentence for bad input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing

import gradio as gr

from g2pdiff.errors import InputError
from g2pdiff.ui.model import threshold
from g2pdiff.ui.run import Run


def generate_endpoint(model: Future, **queue) -> None:
    """Add `/generate` to the Blocks being built.

    Args:
        model: the pipeline, loading or loaded.
        queue: concurrency settings shared with the page's own runs.
    """

    def generate(
        barcode: str,
        latitude: float,
        longitude: float,
        mutation_rate: float = 0,
        seed: int = 0,
        steps: int | None = None,
        guidance_scale: float | None = None,
        alignment_scale: float | None = None,
    ) -> Iterator[tuple]:
        """Draw a specimen from a COI barcode and a place, step by step; the last picture is the result.

        Args:
            barcode: COI sequence, 200 to 2,000 letters, raw or FASTA.
            latitude: degrees north, -90 to 90.
            longitude: degrees east, -180 to 180.
            mutation_rate: share of the known sites to substitute first, 0 to 1.
            seed: chooses the noise and the mutated sites; equal seeds give equal pictures.
            steps: number of denoising steps; the checkpoint's default where empty.
            guidance_scale: classifier-free guidance scale, 1 is off; the checkpoint's default where empty.
            alignment_scale: alignment scale, 0 is off; the checkpoint's default where empty.
        """
        try:
            run = Run.check(
                barcode, latitude, longitude, mutation_rate, seed, steps, guidance_scale, alignment_scale
            )
            pipe, start = model.result(), time.monotonic()
            with closing(run.stream(pipe)) as stream:
                for step in stream:
                    report = {
                        "clibd_score": step.clibd_score,
                        "success_threshold": threshold(pipe),
                        "step": step.index,
                        "steps": step.total,
                        "seconds": round(time.monotonic() - start, 3),
                        "changed_bases": len(run.given.differences(run.barcode)),
                        "notes": [*run.given.notes, *run.given.warnings],
                        "settings": run.settings,
                    }
                    yield step.image, report
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None

    # No part of the page: what Gradio makes an endpoint's types and descriptions from.
    gr.Button(visible=False).click(
        generate,
        [
            gr.Textbox(label="COI barcode, raw or FASTA", visible=False),
            gr.Number(label="latitude, degrees north", visible=False),
            gr.Number(label="longitude, degrees east", visible=False),
            gr.Number(0, label="share of known sites to substitute, 0 to 1", visible=False),
            gr.Number(0, label="seed of the noise and the mutations", visible=False),
            gr.Number(label="denoising steps", visible=False),
            gr.Number(label="classifier-free guidance scale, 1 is off", visible=False),
            gr.Number(label="alignment scale, 0 is off", visible=False),
        ],
        [
            gr.Image(label="picture", format="png", visible=False),
            gr.JSON(label="report", visible=False),
        ],
        api_name="generate",
        show_progress="hidden",
        **queue,
    )
