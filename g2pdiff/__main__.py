"""Command line for scripts.

    python -m g2pdiff generate --barcode barcode.fasta --latitude 56.6 --longitude 11.3 --out picture.png

A verb prints its result as one line of JSON on standard output. Bad input ends with one sentence on standard
error and exit code 2. What needs torch is imported inside the verbs, so that help comes at once.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from g2pdiff.errors import InputError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_FILE_NAME = re.compile(r".{1,250}\.\w{1,5}")


def read_barcode(value: str) -> str:
    """Text of a barcode given as letters, as FASTA, or as the name of a file with either.

    A value names a file if it exists on disk or has a path separator or a file suffix.

    Raises:
        InputError: field `barcode`, if the file cannot be read as text.
    """
    from g2pdiff.genotype import MAXIMUM_TEXT

    is_fasta = value.startswith(">") or "\n" in value
    is_file = os.path.exists(value) or os.sep in value or _FILE_NAME.fullmatch(value)
    if is_fasta or not is_file:
        return value
    try:
        with open(value, encoding="utf-8") as file:
            return file.read(MAXIMUM_TEXT + 1)
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        reason = "is not plain text"
    raise InputError("barcode", f'The barcode file "{value}" {reason}: give a FASTA or text file in UTF-8.')


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` inside the block into an `InputError`, field `out`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            "out", f'Out cannot be written to "{path}" ({error.strerror}): name a file in a folder of yours.'
        ) from error


def check_out(path: Path) -> None:
    """Make sure that a picture can be written before time is spent on it.

    Raises:
        InputError: field `out`, if the suffix is not a picture's or the file cannot be opened for writing.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        suffixes = ", ".join(PICTURE_SUFFIXES)
        raise InputError("out", f'Out must be a file name that ends in one of {suffixes}, not "{path}".')
    with writing(path):
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()


def generate(arguments: argparse.Namespace) -> dict:
    """Write the picture of one barcode at one place to `arguments.out`; returns what is printed."""
    from g2pdiff.checks import check_rate, check_scale, check_seed, check_steps
    from g2pdiff.environment import check_locality
    from g2pdiff.genotype import Barcode

    barcode = Barcode.parse(read_barcode(arguments.barcode))
    latitude, longitude = check_locality(arguments.latitude, arguments.longitude)
    seed, rate = check_seed(arguments.seed), check_rate("mutation_rate", arguments.mutation_rate)
    options = {
        name: None if text is None else check(text)
        for name, check, text in (
            ("num_inference_steps", check_steps, arguments.steps),
            ("guidance_scale", partial(check_scale, "guidance_scale"), arguments.guidance_scale),
            ("alignment_scale", partial(check_scale, "alignment_scale"), arguments.alignment_scale),
        )
    }
    check_out(arguments.out)

    from g2pdiff.checkpoint import load_pipeline

    pipeline = load_pipeline(arguments.checkpoint)
    barcode = barcode.mutate(rate, seed)
    started = time.perf_counter()
    output = pipeline(barcode, latitude, longitude, seed=seed, **options)
    seconds = time.perf_counter() - started
    with writing(arguments.out):
        output.images[0].save(arguments.out)
    return {
        "clibd_score": output.clibd_scores and round(output.clibd_scores[0], 4),
        "seconds": round(seconds, 2),
        "steps": options["num_inference_steps"] or pipeline.config.default_steps,
        "checkpoint": str(pipeline.name_or_path),
        "out": str(arguments.out),
        "name": barcode.name,
        "latitude": latitude,
        "longitude": longitude,
        "mutation_rate": rate,
        "seed": seed,
        "notes": barcode.notes,
        "warnings": barcode.warnings,
    }


def build_parser() -> argparse.ArgumentParser:
    """Parser with one subcommand a verb. Numbers stay text: the core's checks say what is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="python -m g2pdiff", description="Pictures of animals from DNA barcodes."
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="verb")

    verb = verbs.add_parser("generate", help="write a picture and print one line of JSON")
    verb.set_defaults(run=generate)
    verb.add_argument(
        "--barcode", default="", help="COI sequence, FASTA, or a file with either", metavar="SEQ_OR_FILE"
    )
    verb.add_argument("--latitude", help="decimal degrees north, -90 to 90")
    verb.add_argument("--longitude", help="decimal degrees east, -180 to 180")
    verb.add_argument("--out", type=Path, default=Path("picture.png"), help="file to write (%(default)s)")
    verb.add_argument("--seed", default="0", help="seed of the noise and of the mutations (%(default)s)")
    verb.add_argument(
        "--mutation-rate", default="0", help="share of sites to substitute, 0 to 1 (%(default)s)"
    )
    verb.add_argument("--steps", help="denoising steps (the checkpoint's default)")
    verb.add_argument("--guidance-scale", help="classifier-free guidance scale (the checkpoint's default)")
    verb.add_argument("--alignment-scale", help="alignment scale (the checkpoint's default)")
    verb.add_argument("--checkpoint", help="checkpoint folder or hub id (the embedded checkpoint)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, 2 after bad input."""
    arguments = build_parser().parse_args(argv)
    try:
        result = arguments.run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
