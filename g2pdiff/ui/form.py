"""What a visitor gives: barcode, place, mutation rate, settings; with live read-outs of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import KINDS, MutationModel, edit, mutate, parse_region
from g2pdiff.errors import InputError, quoted
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.specification import Specification
from g2pdiff.ui import link, static
from g2pdiff.ui.messages import complaint, html, note
from g2pdiff.ui.server.model import Models
from g2pdiff.ui.widgets.examples import choices, examples, name_of
from g2pdiff.ui.widgets.map import locality_map
from g2pdiff.ui.widgets.readout import mutation_readout, readout
from g2pdiff.validation import check_locality, check_number

TEXT_LIMIT = 20_000  # characters in the barcode box, so that the link stays within what servers accept
EDITS_LIMIT = 2_000  # characters of typed edits
SETTINGS = ("seed", "steps", "guidance_scale", "alignment_scale")

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
            self.fields["latitude"] = gr.Number(
                first.latitude, label="Latitude, °N", min_width=100, elem_id="latitude"
            )
            self.fields["longitude"] = gr.Number(
                first.longitude, label="Longitude, °E", min_width=100, elem_id="longitude"
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
                self.fields["transition_transversion_ratio"] = gr.Number(
                    Generate.default("transition_transversion_ratio"),
                    label="Transitions for each transversion",
                    info="0.5 is chance; empty: as they come",
                    step=0.5,
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
                self.fields["seed"] = gr.Number(
                    Generate.default("seed"),
                    label="Seed",
                    info="of the noise and the mutations",
                    min_width=120,
                    elem_id="seed",
                )
                self.fields["steps"] = gr.Number(
                    Generate.default("steps"),
                    label="Steps",
                    info="more is slower",
                    min_width=120,
                    elem_id="steps",
                )
            with gr.Row():
                self.fields["guidance_scale"] = gr.Number(
                    Generate.default("guidance_scale"),
                    label="Guidance scale",
                    info="1 is off",
                    step=0.5,
                    min_width=120,
                    elem_id="guidance",
                )
                self.fields["alignment_scale"] = gr.Number(
                    Generate.default("alignment_scale"),
                    label="Alignment scale",
                    info="0 is off",
                    step=0.5,
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
        gr.on(
            [field.input for field in locality],
            None,
            [*locality, self.place],
            self.place,
            js=static.call("showPlace"),
        )
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
        shown = filled | {"mutation_rate": percent(filled["mutation_rate"])}
        return {field: shown[name] for name, field in self.fields.items()} | {
            self.picker: self.offer(checkpoint, filled["barcode"]),
            self.place: [filled["latitude"], filled["longitude"]],
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
        return example.dna_barcode, *place, place

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
    settings = [complaint(Generate.read, name, values[name]) for name in SETTINGS]
    return (
        *read_out(values),
        complaint(check_locality, values["latitude"], values["longitude"]),
        "".join(settings),
    )


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
