"""The experiments as scripts ask for them: arguments as text or JSON in, updates and reports out.

Each takes the arguments that `g2pdiff.experiments.arguments` lists under its name, and checks them where it
is made. The command line and the endpoints run them alike: `start`, then a `report` of the rows that have
come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import BATCH, COMPARE, LATITUDE_SWEEP, MUTATIONS, Verb
from g2pdiff.experiments.batch import BatchRow, archive, batch, read_records, record_row
from g2pdiff.experiments.clines import LATITUDES, LONGITUDES, SweepRow, sweep
from g2pdiff.experiments.drawing import Turn, Update, check_count
from g2pdiff.experiments.mutation_series import RATES, MutationRow, check_rates, check_series, mutations
from g2pdiff.experiments.pairs import PairRow, compare
from g2pdiff.experiments.report import Report, comparison_report, mutation_report, sweep_report
from g2pdiff.experiments.request import Request, as_list, check_denoising, text_of
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_choice, check_locality, check_number, check_scale, check_seed


def start_mutations(
    pipe: G2PDiffusionPipeline,
    request: Request,
    rates: Sequence[float],
    replicates: int,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """`mutations` of a request's barcode after its edits; the request's own mutation rate does not count."""
    return mutations(
        pipe,
        request.edited,
        request.latitude,
        request.longitude,
        rates=rates,
        replicates=replicates,
        model=request.model,
        seed=request.seed,
        denoising=request.denoising,
        turn=turn,
    )


def start_sweep(
    pipe: G2PDiffusionPipeline,
    request: Request,
    along: str,
    degrees: Sequence[float],
    replicates: int,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """`sweep` of a request's barcode after its edits and mutations."""
    return sweep(
        pipe,
        request.barcode,
        request.latitude,
        request.longitude,
        along=along,
        degrees=degrees,
        replicates=replicates,
        seed=request.seed,
        denoising=request.denoising,
        turn=turn,
    )


def _settings(verb: Verb, values: Mapping) -> dict:
    """The values of a verb's arguments, which ask for the same again."""
    return {argument.name: values[argument.name] for argument in verb.arguments}


class MutationSeries:
    """`mutations`: ever more mutated barcodes from the same noise."""

    verb = MUTATIONS
    pictures_a_row = 1

    def __init__(self, rates: object = None, replicates: object = 4, **values):
        self.request = Request.check(**values)
        self.rates = check_rates(as_list("rates", rates) or RATES)
        self.replicates = check_count("replicates", replicates)
        request = self.request
        check_series(request.edited, self.rates, self.replicates, request.model, request.seed)
        own = {"rates": list(self.rates), "replicates": self.replicates}
        self.settings = _settings(self.verb, self.request.settings | own)
        self.notes = self.request.notes

    def start(self, pipe: G2PDiffusionPipeline, turn: Turn | None = None) -> Iterator[Update]:
        return start_mutations(pipe, self.request, self.rates, self.replicates, turn)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[MutationRow]) -> Report:
        return mutation_report(rows, self.request.edited)


class Sweep:
    """`latitude`: one barcode along a meridian, or along a parallel as the null control."""

    verb = LATITUDE_SWEEP
    pictures_a_row = 1

    def __init__(
        self,
        latitude: object = None,
        longitude: object = None,
        along: object = "latitude",
        degrees: object = None,
        replicates: object = 2,
        **values,
    ):
        place = {"latitude": latitude, "longitude": longitude}
        check_choice("along", along, place)
        if place[along] is None:
            place[along] = 0.0
        self.request = Request.check(**place, **values)
        given = as_list("degrees", degrees) or (LATITUDES if along == "latitude" else LONGITUDES)
        limit = 90 if along == "latitude" else 180
        self.degrees = tuple(
            dict.fromkeys(check_number("degrees", degree, -limit, limit, "degrees") for degree in given)
        )
        self.along, self.replicates = along, check_count("replicates", replicates)
        own = {"along": along, "degrees": list(self.degrees), "replicates": self.replicates}
        self.settings = _settings(self.verb, self.request.settings | own)
        self.notes = self.request.notes

    def start(self, pipe: G2PDiffusionPipeline, turn: Turn | None = None) -> Iterator[Update]:
        return start_sweep(pipe, self.request, self.along, self.degrees, self.replicates, turn)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[SweepRow]) -> Report:
        return sweep_report(rows, planted=pipe.config.truth == "simulated")


class Comparison:
    """`compare`: a barcode at a place, and the same with something changed, from the same noises."""

    verb = COMPARE
    pictures_a_row = 2

    def __init__(
        self,
        barcode: object,
        latitude: object,
        longitude: object,
        guidance_scale: object = None,
        alignment_scale: object = None,
        other_barcode: object = "",
        other_latitude: object = None,
        other_longitude: object = None,
        other_guidance_scale: object = None,
        other_alignment_scale: object = None,
        pairs: object = 6,
        **values,
    ):
        first = {
            "barcode": barcode,
            "latitude": latitude,
            "longitude": longitude,
            "guidance_scale": guidance_scale,
            "alignment_scale": alignment_scale,
        }
        changed = {}
        if text_of(other_barcode).strip():
            changed["barcode"] = _other_barcode(other_barcode)
        for name, value, limits in (("latitude", other_latitude, 90), ("longitude", other_longitude, 180)):
            if value is not None:
                changed[name] = check_number(f"other_{name}", value, -limits, limits, "degrees")
        for name, value in (
            ("guidance_scale", other_guidance_scale),
            ("alignment_scale", other_alignment_scale),
        ):
            if value is not None:
                changed[name] = check_scale(f"other_{name}", value)
        steps_and_seed = {name: values[name] for name in ("seed", "steps") if name in values}
        self.first = Request.check(**first, **steps_and_seed)
        self.second = Request.check(**first | changed, **values)
        if self.first.variant == self.second.variant:
            raise InputError(
                "compare",
                "Both sides are the same: change the second one's barcode, place, mutations or scales.",
            )
        self.pairs = check_count("pairs", pairs)
        own = {name: self.first.settings[name] for name in first}
        own |= {f"other_{name}": self.second.settings[name] for name in first}
        self.settings = _settings(self.verb, self.second.settings | own | {"pairs": self.pairs})
        self.notes = list(dict.fromkeys(self.first.notes + self.second.notes))

    def start(self, pipe: G2PDiffusionPipeline, turn: Turn | None = None) -> Iterator[Update]:
        first, second = self.first.variant, self.second.variant
        return compare(pipe, first, second, pairs=self.pairs, seed=self.first.seed, turn=turn)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[PairRow]) -> Report:
        return comparison_report(rows)


def _other_barcode(text: object) -> str:
    """The second side's barcode as given. Raises `InputError("other_barcode")` if it cannot be read."""
    text = text_of(text)
    try:
        Barcode.parse(text)
    except InputError as error:
        raise InputError("other_barcode", f"Of the other barcode: {error}") from None
    return text


@dataclass(frozen=True)
class BatchReport:
    """A batch as far as it has come.

    Attributes:
        rows: one dict a record, drawn or not.
        summary: how many `records` there are, and how many were `drawn` and were `unreadable`.
        archive: ZIP of the pictures and the table.
    """

    rows: list[dict]
    summary: dict
    archive: bytes

    def save(self, folder: Path) -> None:
        """Write the pictures and `results.csv`."""
        with ZipFile(BytesIO(self.archive)) as file:
            file.extractall(folder)


class Batch:
    """`batch`: every record of a FASTA text, from the same noise."""

    verb = BATCH
    pictures_a_row = 1

    def __init__(
        self,
        fasta: object,
        latitude: object,
        longitude: object,
        seed: object = 0,
        steps: object = None,
        guidance_scale: object = None,
        alignment_scale: object = None,
    ):
        fasta = text_of(fasta)
        latitude, longitude = check_locality(latitude, longitude)
        self.seed = check_seed(seed)
        self.denoising = check_denoising(steps, guidance_scale, alignment_scale)
        self.records = read_records(fasta, latitude, longitude)
        self.settings = {
            "fasta": fasta,
            "latitude": latitude,
            "longitude": longitude,
            "seed": self.seed,
            "steps": self.denoising.steps,
            "guidance_scale": self.denoising.guidance_scale,
            "alignment_scale": self.denoising.alignment_scale,
        }
        self.notes = []  # every record has its own

    def start(self, pipe: G2PDiffusionPipeline, turn: Turn | None = None) -> Iterator[Update]:
        return batch(pipe, self.records, self.seed, self.denoising, turn)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[BatchRow]) -> BatchReport:
        drawn = {row.index: row for row in rows}
        unreadable = sum(record.barcode is None for record in self.records)
        return BatchReport(
            [record_row(record, drawn.get(record.index)) for record in self.records],
            {"records": len(self.records), "drawn": len(rows), "unreadable": unreadable},
            archive(rows, self.records),
        )


EXPERIMENTS = {kind.verb.name: kind for kind in (MutationSeries, Sweep, Comparison, Batch)}
