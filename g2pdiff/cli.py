"""The verbs of the command line.

A verb prints its result as one line of JSON on standard output, and its progress on standard error. Bad input
ends with one sentence on standard error and exit code 2. What needs torch is imported inside the verbs, so
that help comes at once.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

from g2pdiff import __version__
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import (
    BATCH,
    COMPARE,
    GENERATE,
    LATITUDE_SWEEP,
    MUTATIONS,
    Argument,
    Required,
    Verb,
)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SEQUENCES = {"barcode": "barcode", "other_barcode": "barcode", "fasta": "FASTA"}  # may name a file

_FILE_NAME = re.compile(r".{1,250}\.\w{1,5}")


def read_sequence(field: str, value: str) -> str:
    """Text of a barcode given as letters, as FASTA, or as the name of a file with either.

    A value names a file if it exists on disk or has a path separator or a file suffix.

    Raises:
        InputError: `field`, if the file cannot be read as text.
    """
    from g2pdiff.dna.barcode import MAXIMUM_TEXT

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
    name = SEQUENCES[field]
    raise InputError(field, f'The {name} file "{value}" {reason}: give a FASTA or text file in UTF-8.')


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` inside the block into an `InputError`, field `out`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            "out", f'Out cannot be written to "{path}" ({error.strerror}): choose a folder of yours.'
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


def make_folder(path: Path) -> None:
    """Make a folder unless it is there, and make sure that files can be written into it.

    Raises:
        InputError: field `out`.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()


def values_of(arguments: argparse.Namespace) -> dict:
    """What was given for the verb's own arguments, with the text of files and lists as text."""
    values = {argument.name: vars(arguments)[argument.name] for argument in arguments.verb.arguments}
    for name, value in values.items():
        if name in SEQUENCES and value:
            values[name] = read_sequence(name, value)
        elif isinstance(value, list):
            values[name] = " ".join(value)
    return values


def generate(arguments: argparse.Namespace) -> dict:
    """Write the picture of one barcode at one place to `arguments.out`; returns what is printed."""
    from g2pdiff.experiments.request import Request

    request = Request.check(**values_of(arguments))
    check_out(arguments.out)

    from g2pdiff.checkpoint import load_pipeline

    pipeline = load_pipeline(arguments.checkpoint)
    started = time.perf_counter()
    output = pipeline(**request.arguments)
    seconds = time.perf_counter() - started
    with writing(arguments.out):
        output.images[0].save(arguments.out)
    return {
        "clibd_score": output.clibd_scores and round(output.clibd_scores[0], 4),
        "seconds": round(seconds, 2),
        "steps": request.denoising.steps or pipeline.config.default_steps,
        "checkpoint": str(pipeline.name_or_path),
        "out": str(arguments.out),
        "name": request.barcode.name,
        "latitude": request.latitude,
        "longitude": request.longitude,
        "mutation_rate": request.mutation_rate,
        "changed_bases": len(request.given.differences(request.barcode)),
        "seed": request.seed,
        "notes": request.barcode.notes,
        "warnings": request.barcode.warnings,
    }


def experiment(arguments: argparse.Namespace) -> dict:
    """Run an experiment and write its files to the folder `arguments.out`; returns what is printed.

    Interrupted, it writes and returns what was finished.
    """
    from g2pdiff.experiments.verbs import EXPERIMENTS

    asked = EXPERIMENTS[arguments.verb.name](**values_of(arguments))

    from tqdm import tqdm

    from g2pdiff.checkpoint import load_pipeline

    pipeline = load_pipeline(arguments.checkpoint)
    updates, rows, started = asked.start(pipeline), [], time.perf_counter()
    make_folder(arguments.out)
    try:
        with closing(updates), tqdm(desc=arguments.verb.name, unit="step") as bar:
            for update in updates:
                rows += update.rows
                bar.total = update.total
                bar.update(update.done - bar.n)
    except KeyboardInterrupt:
        if not rows:
            raise
    report = asked.report(pipeline, rows)
    result = report.summary | {
        "pictures": asked.pictures_a_row * len(rows),
        "seconds": round(time.perf_counter() - started, 2),
        "checkpoint": str(pipeline.name_or_path),
        "out": str(arguments.out),
        "notes": asked.notes,
    }
    with writing(arguments.out):
        report.save(arguments.out)
        record = json.dumps(result | {"settings": asked.settings}, indent=2)
        (arguments.out / "result.json").write_text(record + "\n", encoding="utf-8")
    return result


def app(arguments: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    from g2pdiff.ui.launch import serve

    serve(arguments)


def build_parser() -> argparse.ArgumentParser:
    """Parser with one subcommand a verb. Numbers stay text: the core's checks say what is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="g2pdiffusion", description="Pictures of animals from DNA barcodes."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="verb")
    verb = _add_verb(verbs, GENERATE, generate)
    verb.add_argument("--out", type=Path, default=Path("picture.png"), help="file to write (%(default)s)")
    for kind in (MUTATIONS, LATITUDE_SWEEP, COMPARE, BATCH):
        verb = _add_verb(verbs, kind, experiment)
        verb.add_argument("--out", type=Path, default=Path(kind.name), help="folder to write (%(default)s)")
    from g2pdiff.ui.launch import add_flags

    about = "serve the app in the browser, at http://127.0.0.1:7860"
    verb = verbs.add_parser("app", help=about, description=about)
    verb.set_defaults(run=app)
    add_flags(verb)
    return parser


def _add_verb(verbs, verb: Verb, run) -> argparse.ArgumentParser:
    about = verb.about.replace("%", "%%")
    parser = verbs.add_parser(verb.name, help=about, description=about)
    parser.set_defaults(verb=verb, run=run)
    for argument in verb.arguments:
        _add_argument(parser, argument)
    parser.add_argument("--checkpoint", help="checkpoint folder or hub id (the embedded checkpoint)")
    return parser


def _add_argument(parser: argparse.ArgumentParser, argument: Argument) -> None:
    option = "--" + (argument.option or argument.name).replace("_", "-")
    metavar = option[2:].upper().replace("-", "_")
    about = argument.about.replace("%", "%%")
    if argument.kind is bool:
        parser.add_argument(option, dest=argument.name, action="store_true", help=about)
        return
    if argument.name in SEQUENCES:
        about += "; or a file with it"
    if argument.default not in (Required, None, ""):
        about += " (%(default)s)"
    default = None if argument.default is Required else argument.default
    several = {"nargs": "+"} if list[float] in get_args(argument.kind) else {}
    parser.add_argument(option, dest=argument.name, default=default, metavar=metavar, help=about, **several)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 after bad input, 130 if interrupted too early."""
    arguments = build_parser().parse_args(argv)
    try:
        result = arguments.run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # by custom, 128 and the signal's number
    if result is not None:
        print(json.dumps(result))
    return 0
