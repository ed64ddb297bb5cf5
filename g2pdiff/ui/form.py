"""What a visitor gives: barcode, place, mutation rate, settings; with live read-outs of all of it."""

from __future__ import annotations

import gradio as gr

from g2pdiff.checks import check_scale, check_seed, check_steps
from g2pdiff.environment import check_locality
from g2pdiff.errors import InputError
from g2pdiff.ui import link
from g2pdiff.ui.examples import choices, examples, name_of
from g2pdiff.ui.map import locality_map
from g2pdiff.ui.messages import complaint, html
from g2pdiff.ui.readout import mutation_readout, readout
from g2pdiff.ui.run import Run

TEXT_LIMIT = 20_000  # characters in the barcode box, so that the link stays within what servers accept
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

# The map follows the fields as long as they hold a place on Earth.
SHOW_PLACE = """(latitude, longitude, place) => [
  latitude === null || longitude === null || Math.abs(latitude) > 90 || Math.abs(longitude) > 180
    ? place : [latitude, longitude]]"""


class Form:
    """The components of the form, built where it is made; `fields` lists them in the order of a link."""

    def __init__(self):
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
        self.readout = html(readout(first.dna_barcode, 0, 0), elem_id="readout")
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
        self.mutation_note = html(mutation_readout(first.dna_barcode, 0, 0), elem_id="mutation-note")

    def add_settings(self) -> None:
        """Add the folded settings. Those left empty are the checkpoint's defaults."""
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
        self.picker.focus(None, js="() => document.querySelector('#picker input').select()")
        self.place.input(None, self.place, [self.latitude, self.longitude], js="place => place")
        gr.on(
            [self.latitude.input, self.longitude.input],
            None,
            [self.latitude, self.longitude, self.place],
            self.place,
            js=SHOW_PLACE,
        )
        gr.on(
            [field.change for field in self.fields],
            understand,
            self.fields,
            [self.picker, self.readout, self.place_note, self.mutation_note, self.settings_note],
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
            self.mutation: 100 * values.get("mutation_rate", 0),
            self.seed: values.get("seed", 0),
            self.steps: values.get("steps"),
            self.guidance: values.get("guidance_scale"),
            self.alignment: values.get("alignment_scale"),
        }


def as_run(fields) -> Run:
    """The values of `Form.fields` as a checked `Run`."""
    barcode, latitude, longitude, mutation, *settings = fields
    return Run.check(barcode, latitude, longitude, mutation / 100, *settings)


def validate(*fields) -> list[dict]:
    """Gradio's verdict on each field, before a run is queued."""
    try:
        as_run(fields)
    except InputError as error:
        return [gr.validate(field != error.field, str(error)) for field in link.READ]
    return [gr.validate(True, "")] * len(fields)


def pick(name: str):
    """An example's barcode and place."""
    example = examples()[name]
    place = [example.latitude, example.longitude]
    return example.dna_barcode, *place, place


def understand(barcode, latitude, longitude, mutation, seed, steps, guidance_scale, alignment_scale):
    """The example that the barcode is, and the read-outs of barcode, place, mutation rate and settings."""
    bad_seed = complaint(check_seed, seed)
    mutated = barcode, mutation / 100, 0 if bad_seed else int(seed)
    settings = [bad_seed]
    if steps is not None:
        settings.append(complaint(check_steps, steps))
    for field, scale in {"guidance_scale": guidance_scale, "alignment_scale": alignment_scale}.items():
        if scale is not None:
            settings.append(complaint(check_scale, field, scale))
    return (
        name_of(barcode),
        readout(*mutated),
        complaint(check_locality, latitude, longitude),
        mutation_readout(*mutated),
        "".join(settings),
    )
