"""What a visitor gives: barcode, place, mutation rate, settings; with live read-outs of all of it."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import KINDS, edit, mutate
from g2pdiff.errors import InputError
from g2pdiff.experiments.request import mutation_model
from g2pdiff.ui import link, static
from g2pdiff.ui.messages import complaint, html, note
from g2pdiff.ui.server.run import Run
from g2pdiff.ui.widgets.examples import choices, examples, name_of
from g2pdiff.ui.widgets.map import locality_map
from g2pdiff.ui.widgets.readout import mutation_readout, readout
from g2pdiff.validation import check_locality, check_number, check_scale, check_seed, check_steps

TEXT_LIMIT = 20_000  # characters in the barcode box, so that the link stays within what servers accept
EDITS_LIMIT = 2_000  # characters of typed edits
MODEL = ("kind", "transition_transversion_ratio", "no_new_stops", "region")
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class Form:
    """The components of the form, built where it is made; `fields` lists them in the order of a link.

    Args:
        checkpoints: names of those to choose from; what is not to be chosen is not shown.
    """

    def __init__(self, checkpoints: Sequence[str] = ()):
        self.checkpoint = gr.Dropdown(
            list(checkpoints),
            value=checkpoints[0] if len(checkpoints) > 1 else None,
            label="Checkpoint",
            visible=len(checkpoints) > 1,
            elem_id="checkpoint",
        )
        first = next(iter(examples().values()))
        self.picker = gr.Dropdown(choices(), value=first.name, label="Example species", elem_id="picker")
        self.barcode = gr.Textbox(
            first.dna_barcode,
            label="DNA barcode (COI), raw or FASTA: pick one above or paste your own",
            lines=3,
            max_lines=3,
            max_length=TEXT_LIMIT,
            elem_id="barcode",
        )
        barcode = Barcode.parse(first.dna_barcode)
        self.readout = html(readout(barcode, barcode), elem_id="readout")
        self.place = locality_map((first.latitude, first.longitude), height=186, elem_id="map")
        with gr.Row(elem_id="locality"):
            self.latitude = gr.Number(first.latitude, label="Latitude, °N", min_width=100, elem_id="latitude")
            self.longitude = gr.Number(
                first.longitude, label="Longitude, °E", min_width=100, elem_id="longitude"
            )
        self.place_note = html(elem_id="place-note")
        self.mutation = gr.Slider(
            0, link.MAX_MUTATION, 0, step=1, label="Mutation rate, %", elem_id="mutation", buttons=["reset"]
        )
        self.mutation_note = html(mutation_readout(barcode, barcode), elem_id="mutation-note")
        self._build_mutation_model()
        self._build_settings()

    def _build_mutation_model(self) -> None:
        with gr.Accordion("Kind of mutation", open=False, elem_id="mutation-model"):
            self.kind = gr.Radio(
                [(label, name) for name, label in KINDS.items()],
                value="uniform",
                label="Kind",
                elem_id="kind",
            )
            with gr.Row():
                self.ratio = gr.Number(
                    label="Transitions for each transversion",
                    info="0.5 is chance; empty: as they come",
                    step=0.5,
                    min_width=140,
                    elem_id="ratio",
                )
                self.region = gr.Textbox(
                    label="Region",
                    info="sites, such as 100-200",
                    min_width=140,
                    max_length=20,
                    elem_id="region",
                )
            self.no_new_stops = gr.Checkbox(
                label="Never make a stop codon (invertebrate mitochondrial code)", elem_id="no-new-stops"
            )
            self.edits = gr.Textbox(
                label="Point edits, made before the mutations",
                info="old base, site, new base, such as A123G, T456C",
                max_length=EDITS_LIMIT,
                elem_id="edits",
            )

    def _build_settings(self) -> None:
        """The folded settings. Those left empty are the checkpoint's defaults."""
        with gr.Accordion("Advanced", open=False, elem_id="advanced"):
            with gr.Row():
                self.seed = gr.Number(
                    0, label="Seed", info="of the noise and the mutations", min_width=120, elem_id="seed"
                )
                self.steps = gr.Number(label="Steps", info="more is slower", min_width=120, elem_id="steps")
            with gr.Row():
                self.guidance = gr.Number(
                    label="Guidance scale", info="1 is off", step=0.5, min_width=120, elem_id="guidance"
                )
                self.alignment = gr.Number(
                    label="Alignment scale", info="0 is off", step=0.5, min_width=120, elem_id="alignment"
                )
            self.settings_note = html(elem_id="settings-note")

    @property
    def fields(self) -> list[gr.components.Component]:
        return [
            self.barcode,
            self.latitude,
            self.longitude,
            self.mutation,
            self.kind,
            self.ratio,
            self.no_new_stops,
            self.region,
            self.edits,
            self.seed,
            self.steps,
            self.guidance,
            self.alignment,
        ]

    def connect(self) -> None:
        """Join the picker, the map and the fields, and keep the read-outs up to date."""
        self.picker.input(
            pick, self.picker, [self.barcode, self.latitude, self.longitude, self.place], **QUIET
        )
        self.picker.focus(None, js=static.call("selectSpecies"))
        self.place.input(None, self.place, [self.latitude, self.longitude], js=static.call("takePlace"))
        gr.on(
            [self.latitude.input, self.longitude.input],
            None,
            [self.latitude, self.longitude, self.place],
            self.place,
            js=static.call("showPlace"),
        )
        gr.on(
            [field.change for field in self.fields],
            understand,
            self.fields,
            [self.picker, self.readout, self.mutation_note, self.place_note, self.settings_note],
            trigger_mode="always_last",
            **QUIET,
        )

    def restore(self, values: dict) -> dict:
        """Updates that fill the form with a link's values, and with the first example where it has none."""
        first = next(iter(examples().values()))
        barcode = values.get("barcode", first.dna_barcode)
        place = [values.get("latitude", first.latitude), values.get("longitude", first.longitude)]
        return {
            self.picker: name_of(barcode),
            self.barcode: barcode,
            self.latitude: place[0],
            self.longitude: place[1],
            self.place: place,
            self.mutation: round(100 * values.get("mutation_rate", 0), 6),
            self.kind: values.get("kind", "uniform"),
            self.ratio: values.get("transition_transversion_ratio"),
            self.no_new_stops: values.get("no_new_stops", False),
            self.region: values.get("region", ""),
            self.edits: values.get("edits", ""),
            self.seed: values.get("seed", 0),
            self.steps: values.get("steps"),
            self.guidance: values.get("guidance_scale"),
            self.alignment: values.get("alignment_scale"),
            self.checkpoint: values.get("checkpoint", self.checkpoint.value),
        }


def as_run(fields) -> Run:
    """The values of `Form.fields` as a checked `Run`."""
    values = dict(zip(link.FORM, fields, strict=True))
    return Run.check(**values | {"mutation_rate": share(values["mutation_rate"])})


def share(percent: object) -> float:
    """The mutation rate that the slider says in per cent. Raises `InputError("mutation_rate")`."""
    return check_number("mutation_rate", percent, 0, link.MAX_MUTATION, "%") / 100


def pick(name: str):
    """An example's barcode and place."""
    example = examples()[name]
    place = [example.latitude, example.longitude]
    return example.dna_barcode, *place, place


def understand(*fields):
    """The example that the barcode is, and the read-outs of barcode, place, mutations and settings."""
    values = dict(zip(link.FORM, fields, strict=True))
    settings = [complaint(check_seed, values["seed"])]
    if values["steps"] is not None:
        settings.append(complaint(check_steps, values["steps"]))
    for name in ("guidance_scale", "alignment_scale"):
        if values[name] is not None:
            settings.append(complaint(check_scale, name, values[name]))
    return (
        name_of(values["barcode"]),
        *read_out(values),
        complaint(check_locality, values["latitude"], values["longitude"]),
        "".join(settings),
    )


def read_out(values: dict) -> tuple[str, str]:
    """The read-outs of the barcode and of its mutations, or what is wrong with either."""
    try:
        given = Barcode.parse(values["barcode"])
    except InputError as error:
        return note(str(error), "error"), ""
    try:
        mutated = mutate(
            edit(given, values["edits"]),
            share(values["mutation_rate"]),
            values["seed"],
            mutation_model(*(values[name] for name in MODEL)),
        )
    except InputError as error:
        # A bad seed is complained of beside the seed.
        complaint = "" if error.field == "seed" else note(str(error), "error")
        return readout(given, given), complaint
    return readout(given, mutated), mutation_readout(given, mutated)
