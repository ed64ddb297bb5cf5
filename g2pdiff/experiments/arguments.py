"""The verbs of the command line, which are the endpoints too, and the arguments they take.

One table, from which the command line makes its help and the app the documentation of its endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


class Required:
    """Stands for the default of an argument that must be given."""


@dataclass(frozen=True)
class Argument:
    """One value that a verb takes.

    Attributes:
        name: in endpoints, settings and `InputError.field`.
        kind: type, such as `int | None`; a list is text with commas on the command line.
        about: one line for a person or an agent, without a full stop.
        default: what stands for a value that is not given, or `Required`.
        option: name on the command line, where it differs.
    """

    name: str
    kind: Any
    about: str
    default: Any = Required
    option: str = ""


@dataclass(frozen=True)
class Verb:
    """Something to ask for.

    Attributes:
        name: on the command line and of the endpoint.
        about: what it does, in a sentence.
        returns: what the endpoint's report holds.
        arguments: in the order of the endpoint.
    """

    name: str
    about: str
    returns: str
    arguments: tuple[Argument, ...]


BARCODE = Argument("barcode", str, "COI sequence, 200 to 2,000 letters, raw or FASTA")
LATITUDE = Argument("latitude", float, "degrees north, -90 to 90")
LONGITUDE = Argument("longitude", float, "degrees east, -180 to 180")
MUTATION_RATE = Argument("mutation_rate", float, "share of the known sites to substitute first, 0 to 1", 0)
REPLICATES = "pictures that differ in chance alone, for the intervals"

DENOISING = (
    Argument("seed", int, "chooses the noise and the mutated sites; equal seeds give equal pictures", 0),
    Argument("steps", int | None, "denoising steps; the checkpoint's default where empty", None),
    Argument(
        "guidance_scale",
        float | None,
        "classifier-free guidance scale, 1 is off; the checkpoint's default where empty",
        None,
    ),
    Argument(
        "alignment_scale",
        float | None,
        "alignment scale, 0 is off; the checkpoint's default where empty",
        None,
    ),
)
MUTATION_MODEL = (
    Argument(
        "kind",
        Literal["uniform", "synonymous", "nonsynonymous"],
        "kind of mutation: uniform, synonymous or nonsynonymous",
        "uniform",
    ),
    Argument(
        "transition_transversion_ratio",
        float | None,
        "transitions for each transversion; 0.5 is chance, as is empty",
        None,
        option="ts_tv_ratio",
    ),
    Argument("no_new_stops", bool, "never make a stop codon (invertebrate mitochondrial code)", False),
    Argument(
        "region", str, "first and last site that mutations may change, such as 100-200; all where empty", ""
    ),
    Argument("edits", str, "point edits made before the mutations, such as A123G, T456C", ""),
)

GENERATE = Verb(
    "generate",
    "Draw a specimen from a COI barcode and a place, step by step; the last picture is the result.",
    "the picture; and its CLIBDScore, the success threshold, step and steps, notes on the barcode, settings",
    (BARCODE, LATITUDE, LONGITUDE, MUTATION_RATE, *DENOISING, *MUTATION_MODEL),
)

MUTATIONS = Verb(
    "mutations",
    "Draw ever more mutated barcodes from the same noise, and measure what changes.",
    "a contact sheet; rows, one a picture; summary with rows, one a rate; settings",
    (
        BARCODE,
        LATITUDE,
        LONGITUDE,
        Argument(
            "rates",
            list[float] | None,
            "shares of the known sites to substitute, 0 to 1; 0 to 0.5 in seven steps where empty",
            None,
        ),
        Argument("replicates", int, "paths of mutation at every rate, for the intervals", 4),
        *DENOISING,
        *MUTATION_MODEL,
    ),
)

LATITUDE_SWEEP = Verb(
    "latitude",
    "Draw one barcode from pole to pole from the same noise, and measure the slope of body length "
    "(Bergmann's rule); along longitude it is the null control.",
    "a contact sheet; rows, one a picture; summary with slope_percent_per_10_degrees, its 95 % interval, "
    "the planted slope and the verdict; settings",
    (
        BARCODE,
        Argument("latitude", float | None, "degrees north, -90 to 90; not needed along latitude", None),
        Argument("longitude", float | None, "degrees east, -180 to 180; not needed along longitude", None),
        Argument(
            "along",
            Literal["latitude", "longitude"],
            "what changes: latitude, or longitude as the null control",
            "latitude",
        ),
        Argument(
            "degrees",
            list[float] | None,
            "where to draw; every 10 from -80 to 80, or every 20 from -160 to 160, where empty",
            None,
        ),
        Argument("replicates", int, "noises at every place, for the interval", 2),
        MUTATION_RATE,
        *DENOISING,
        *MUTATION_MODEL,
    ),
)

_SAME = "the same as the first side's where empty"

COMPARE = Verb(
    "compare",
    "Draw two sides from the same noises: a barcode at a place, and the same with something changed, such as "
    "mutations, the place or a scale.",
    "a contact sheet; rows, one a pair; summary with the mean differences, second minus first, and their "
    "95 % intervals; settings",
    (
        BARCODE,
        LATITUDE,
        LONGITUDE,
        Argument("other_barcode", str, f"COI sequence of the second side; {_SAME}", ""),
        Argument("other_latitude", float | None, f"degrees north of the second side; {_SAME}", None),
        Argument("other_longitude", float | None, f"degrees east of the second side; {_SAME}", None),
        Argument("other_guidance_scale", float | None, f"guidance scale of the second side; {_SAME}", None),
        Argument("other_alignment_scale", float | None, f"alignment scale of the second side; {_SAME}", None),
        Argument("pairs", int, "noises, for the interval", 6),
        Argument("mutation_rate", float, "share of the second side's known sites to substitute, 0 to 1", 0),
        *DENOISING,
        *MUTATION_MODEL,
    ),
)

BATCH = Verb(
    "batch",
    "Draw each record of a FASTA text, 100 at most, from the same noise; a header may say lat=56.6 lon=11.3.",
    "a ZIP of the pictures and results.csv; rows, one a record, with the error of those that cannot be read; "
    "summary with the counts; settings",
    (
        Argument("fasta", str, "FASTA text of up to 100 records of 200 to 2,000 letters"),
        Argument("latitude", float, "degrees north, -90 to 90, of records whose header names no place"),
        Argument("longitude", float, "degrees east, -180 to 180, of records whose header names no place"),
        *DENOISING,
    ),
)
