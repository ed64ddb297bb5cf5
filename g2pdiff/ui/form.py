"""What a visitor gives: barcode, place, mutation rate, settings; with live read-outs of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from g2pdiff.coordinates import read_locality, spread
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import KINDS, MutationModel, edit, mutate, parse_region
from g2pdiff.errors import InputError, quoted
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.specification import Specification
from g2pdiff.ui import link, static
from g2pdiff.ui.messages import complaint, html, note, notes
from g2pdiff.ui.server.model import Models
from g2pdiff.ui.widgets.examples import choices, examples, name_of
from g2pdiff.ui.widgets.map import locality_map
from g2pdiff.ui.widgets.number_box import as_typed, number_box
from g2pdiff.ui.widgets.readout import mutation_readout, readout
from g2pdiff.validation import check_number

TEXT_LIMIT = 20_000  # characters in the barcode box, so that the link stays within what servers accept
EDITS_LIMIT = 2_000  # characters of typed edits
SETTINGS = ("seed", "steps", "guidance_scale", "alignment_scale")
NUMBERS = ("latitude", "longitude", "transition_transversion_ratio", *SETTINGS)
"""The fields that hold a number as it was typed; empty ones hold nothing."""

# Gradio's own checks of a field end without a sentence where a value is of another type than the page would
# send: events take values as they come, and our checks read them.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "preprocess": False}


class Form:
    """The components of the form, built where it is made; `fields` has them by the name of the argument.

    Args:
        models: the checkpoints that are served; where there is one alone, nothing is to be chosen.
    """

    def __init__(self, models: Models):
        self.models = models
        several = len(models.names) > 1
        self.checkpoint = gr.Dropdown(
            [(models.about(name).name, name) for name in models.names],
            value=models.names[0] if several else None,
            label="Checkpoint",
            visible=several,
            elem_id="checkpoint",
        )
        folder = models.folder()
        first = next(iter(examples(folder).values()))
        self.fields: dict[str, Any] = {}  # Gradio gives components their events when they are made
        self.picker = gr.Dropdown(
            choices(folder), value=first.name, label="Example species", elem_id="picker"
        )
        self.fields["barcode"] = gr.Textbox(
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
            self.fields["latitude"] = number_box(
                first.latitude, "Latitude, °N", min_width=100, elem_id="latitude"
            )
            self.fields["longitude"] = number_box(
                first.longitude, "Longitude, °E", min_width=100, elem_id="longitude"
            )
        self.place_note = html(elem_id="place-note")
        self.fields["mutation_rate"] = gr.Slider(
            0,
            link.MAX_MUTATION,
            percent(Generate.default("mutation_rate")),
            step=1,
            label="Mutation rate, %",
            elem_id="mutation",
            buttons=["reset"],
        )
        self.mutation_note = html(mutation_readout(barcode, barcode), elem_id="mutation-note")
        self._build_mutation_model()
        self._build_settings()

    def _build_mutation_model(self) -> None:
        with gr.Accordion("Kind of mutation", open=False, elem_id="mutation-model"):
            self.fields["kind"] = gr.Radio(
                [(label, name) for name, label in KINDS.items()],
                value=Generate.default("kind"),
                label="Kind",
                elem_id="kind",
            )
            with gr.Row():
                self.fields["transition_transversion_ratio"] = number_box(
                    Generate.default("transition_transversion_ratio"),
                    "Transitions for each transversion",
                    info="0.5 is chance; empty: as they come",
                    min_width=140,
                    elem_id="ratio",
                )
                self.fields["region"] = gr.Textbox(
                    Generate.default("region"),
                    label="Region",
                    info="sites, such as 100-200",
                    min_width=140,
                    max_length=20,
                    elem_id="region",
                )
            self.fields["no_new_stops"] = gr.Checkbox(
                Generate.default("no_new_stops"),
                label="Never make a stop codon (invertebrate mitochondrial code)",
                elem_id="no-new-stops",
            )
            self.fields["edits"] = gr.Textbox(
                Generate.default("edits"),
                label="Point edits, made before the mutations",
                info="old base, site, new base, such as A123G, T456C",
                max_length=EDITS_LIMIT,
                elem_id="edits",
            )

    def _build_settings(self) -> None:
        """Build the folded settings. Those left empty are the checkpoint's defaults."""
        with gr.Accordion("Advanced", open=False, elem_id="advanced"):
            with gr.Row():
                with gr.Column(min_width=120):
                    self.fields["seed"] = number_box(
                        Generate.default("seed"),
                        "Seed",
                        info="noise and mutations",
                        min_width=120,
                        elem_id="seed",
                    )
                    self.another_seed = gr.Button("Another seed", size="sm", elem_id="another-seed")
                self.fields["steps"] = number_box(
                    Generate.default("steps"),
                    "Steps",
                    info="more is slower",
                    min_width=120,
                    elem_id="steps",
                )
            with gr.Row():
                self.fields["guidance_scale"] = number_box(
                    Generate.default("guidance_scale"),
                    "Guidance scale",
                    info="1 is off",
                    min_width=120,
                    elem_id="guidance",
                )
                self.fields["alignment_scale"] = number_box(
                    Generate.default("alignment_scale"),
                    "Alignment scale",
                    info="0 is off",
                    min_width=120,
                    elem_id="alignment",
                )
            self.settings_note = html(elem_id="settings-note")

    @property
    def locality(self) -> list[Any]:
        """The fields of latitude and longitude."""
        return [self.fields["latitude"], self.fields["longitude"]]

    def connect(self) -> None:
        """Join the picker, the map and the fields, and keep the read-outs up to date."""
        locality = self.locality
        self.picker.input(
            self.pick,
            [self.picker, self.checkpoint],
            [self.fields["barcode"], *locality, self.place],
            **QUIET,
        )
        self.picker.focus(None, js=static.call("selectSpecies"))
        self.place.input(None, self.place, locality, js=static.call("takePlace"))
        self.another_seed.click(None, None, self.fields["seed"], js=static.call("drawSeed"))
        gr.on(
            [field.change for field in locality],
            place_of,
            [*locality, self.place],
            self.place,
            trigger_mode="always_last",
            **QUIET,
        )
        fill_both(*locality)
        gr.on(
            [field.change for field in self.fields.values()],
            self.understand,
            None,
            [self.picker, self.readout, self.mutation_note, self.place_note, self.settings_note],
            inputs_kwargs={**self.fields, "checkpoint": self.checkpoint},
            trigger_mode="always_last",
            **QUIET,
        )

    def restore(self, values: Mapping[str, Any]) -> dict:
        """Return updates that fill the form with a link's values, and where it has none with the defaults and
        the first example."""
        checkpoint = values.get("checkpoint", self.checkpoint.value)
        first = next(iter(examples(self.models.folder(checkpoint)).values()))
        defaults = {name: Generate.default(name) for name in self.fields} | {
            "barcode": first.dna_barcode,
            "latitude": first.latitude,
            "longitude": first.longitude,
        }
        filled = {name: values.get(name, default) for name, default in defaults.items()}
        latitude, longitude = spread(filled["latitude"], filled["longitude"])
        shown = filled | {"mutation_rate": percent(filled["mutation_rate"])}
        shown |= {"latitude": latitude, "longitude": longitude}
        shown |= {name: as_typed(shown[name]) for name in NUMBERS}
        return {field: shown[name] for name, field in self.fields.items()} | {
            self.picker: self.offer(checkpoint, filled["barcode"]),
            self.place: place_of(latitude, longitude, [first.latitude, first.longitude]),
            self.checkpoint: checkpoint,
        }

    def offer(self, checkpoint: str | None, barcode: object) -> gr.Dropdown:
        """Return an update of the picker: a checkpoint's examples, and which of them the barcode is."""
        folder = self.models.folder(checkpoint)
        return gr.Dropdown(choices=choices(folder), value=name_of(barcode, folder))

    def pick(self, name: str, checkpoint: str | None) -> tuple:
        """Return an example's barcode and place. Raises `InputError("picker")` if there is no such one."""
        table = examples(self.models.folder(checkpoint))
        if name not in table:
            raise InputError("picker", f"There is no example {quoted(name)}: pick one of the list.")
        example = table[name]
        place = [example.latitude, example.longitude]
        return example.dna_barcode, *map(as_typed, place), place

    def understand(self, checkpoint: str | None, **values: object) -> tuple:
        """Return the example that the barcode is, and the read-outs of everything, see `understand`."""
        return name_of(values["barcode"], self.models.folder(checkpoint)), *understand(**values)


def specify(kind: type[Specification], values: Mapping[str, object], **own: object) -> Any:
    """Return the checked specification of what the form says.

    Args:
        kind: of the specification; what the form has beside its arguments does not count.
        values: of `Form.fields`.
        own: arguments that the form does not have, or that take the place of its.

    Raises:
        InputError: the first thing that is wrong.
    """
    latitude, longitude = spread(values["latitude"], values["longitude"])
    values = {**values, "latitude": latitude, "longitude": longitude}
    values |= {name: or_none(values[name]) for name in NUMBERS if name in values}
    asked = {name: values[name] for name in kind.arguments() if name in values}
    if "mutation_rate" in asked:
        asked["mutation_rate"] = share(asked["mutation_rate"])
    return kind(**(asked | own))


def share(value: object) -> float:
    """Return the mutation rate that the slider says in per cent. Raises `InputError("mutation_rate")`."""
    return check_number("mutation_rate", value, 0, link.MAX_MUTATION, "%") / 100


def percent(rate: float) -> float:
    """Return what the slider says for a mutation rate."""
    return round(100 * rate, 6)


def understand(**values: object) -> tuple[str, str, str, str]:
    """Return the read-outs of barcode, mutations, place and settings.

    Args:
        values: of `Form.fields`.
    """
    settings = [complaint(Generate.read, name, or_none(values[name])) for name in SETTINGS]
    return *read_out(values), place_note(values["latitude"], values["longitude"]), "".join(settings)


def or_none(value: object) -> object:
    """Return what a field holds, None where it is empty."""
    return None if isinstance(value, str) and not value.strip() else value


def place_note(latitude: object, longitude: object, prefix: str = "") -> str:
    """Return what was made of a place, or what is wrong with it."""
    place = spread(latitude, longitude)
    try:
        said = read_locality(*place, prefix).notes
    except InputError as error:
        return note(str(error), "error")
    if place != (latitude, longitude):
        said = ("Latitude {} and longitude {} are read from one field.".format(*place), *said)
    return notes(said)


def place_of(latitude: object, longitude: object, before: list[float]) -> list[float]:
    """Return latitude and longitude as numbers; what was there before where they cannot be read."""
    try:
        place = read_locality(*spread(latitude, longitude))
    except InputError:
        return before
    return [place.latitude, place.longitude]


def fill_both(latitude: gr.Textbox, longitude: gr.Textbox) -> None:
    """Let a whole place that is typed into one field fill both, once the visitor leaves it."""

    def fill(*typed: object) -> tuple:
        found = spread(*typed)
        return found if found != typed else (gr.skip(), gr.skip())

    events = [event for field in (latitude, longitude) for event in (field.blur, field.submit)]
    gr.on(events, fill, [latitude, longitude], [latitude, longitude], **QUIET)


def read_out(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the read-outs of the barcode and of its mutations, or what is wrong with either."""
    try:
        given = Barcode.parse(values["barcode"])
    except InputError as error:
        return note(str(error), "error"), ""
    read: dict[str, Any] = {
        name: values[name] for name in ("kind", "transition_transversion_ratio", "no_new_stops", "region")
    }
    try:
        read = {name: Generate.read(name, value) for name, value in read.items()}
        read["region"] = parse_region(read["region"])
        model = MutationModel(**read)
        rate = share(values["mutation_rate"])
        mutated = mutate(edit(given, values["edits"]), rate, values["seed"], model)
    except InputError as error:
        # A bad seed is complained of beside the seed.
        said = "" if error.field == "seed" else note(str(error), "error")
        return readout(given, given), said
    return readout(given, mutated), mutation_readout(given, mutated)
