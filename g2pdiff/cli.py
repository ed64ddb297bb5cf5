"""The commands of the command line.

A command prints its result as one line of JSON on standard output, and its progress on standard error. Bad
input ends with one sentence on standard error and exit code 2. The commands import PyTorch only when they
run, so that `--help` answers at once.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

from pydantic.fields import FieldInfo

from g2pdiff import __version__
from g2pdiff.errors import InputError, printable
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.specification import Experiment, Specification, check_of, specifications
from g2pdiff.models.checkpoint_names import default_checkpoint, named_checkpoints

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SHORT_OPTIONS = {"transition_transversion_ratio": "ts_tv_ratio"}

LARGEST_FILE = 100_000_000  # bytes of an unpacked file of records
LONGEST_SENTENCE = 300  # characters of a message about a wrong command

_NEGATIVE = re.compile(r"-[\d.,]")
_FILE_NAME = re.compile(r".{1,250}\.\w{1,5}")


def read_sequence(field: str, value: str, kind: str) -> str:
    """Return the text of a barcode. It is given as letters, as FASTA, or as the name of a file with either.

    Tables and GenBank files become text too, see `g2pdiff.dna.files`. A value names a file if it exists on
    disk, or has a path separator or a file suffix. `kind` is the name of such a file in the error message.

    Raises:
        InputError: `field`, if the file cannot be read as text or as a table.
    """
    is_fasta = value.startswith(">") or "\n" in value
    is_file = os.path.exists(value) or os.sep in value or _FILE_NAME.fullmatch(value)
    if is_fasta or not is_file:
        return value
    from g2pdiff.dna.files import text_of_file

    called = f'The {kind} file "{value}"'
    try:
        content = Path(value).read_bytes()
    except OSError as error:
        raise InputError(
            field, f"{called} cannot be read ({error.strerror}): give a file with the sequence."
        ) from error
    return text_of_file(content, called, field, LARGEST_FILE)


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
    """Check that a picture can be written, before time is spent on drawing it.

    Raises:
        InputError: field `out`, if the suffix is not that of a picture, or the file cannot be opened for
            writing.
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
    """Make a folder unless it exists, and check that files can be written into it.

    Raises:
        InputError: field `out`.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()


def specification_of(arguments: argparse.Namespace) -> Specification:
    """Return the checked specification of a command. Arguments that were not given have their defaults.

    Raises:
        InputError: for the first wrong argument.
    """
    kind, given = arguments.specification, vars(arguments)
    values = {name: given[name] for name in kind.arguments() if name in given}
    for name, value in values.items():
        file = check_of(kind.model_fields[name]).file
        if file and value:
            values[name] = read_sequence(name, value, file)
        elif isinstance(value, list):
            values[name] = " ".join(value)
    return kind(**values)


def generate(arguments: argparse.Namespace) -> dict:
    """Write the picture of one barcode at one locality to `arguments.out`; return what is printed."""
    specification = specification_of(arguments)
    assert isinstance(specification, Generate)
    check_out(arguments.out)

    from g2pdiff.analysis.references import nearest_species, warnings_of
    from g2pdiff.checkpoint import load_pipeline
    from g2pdiff.experiments.report import number

    pipeline = load_pipeline(arguments.checkpoint)
    nearest = nearest_species(pipeline, specification.mutated)
    unlike = warnings_of(pipeline, nearest)
    started = time.perf_counter()
    output = pipeline(**specification.call)
    seconds = time.perf_counter() - started
    with writing(arguments.out):
        output.images[0].save(arguments.out)
    return {
        "clibd_score": number(output.clibd_scores[0]) if output.clibd_scores else None,
        "seconds": round(seconds, 2),
        "steps": specification.denoising.resolve(pipeline.config).steps,
        "checkpoint": str(pipeline.name_or_path),
        "out": str(arguments.out),
        "name": specification.barcode.name,
        "latitude": specification.latitude,
        "longitude": specification.longitude,
        "mutation_rate": specification.mutation_rate,
        "changed_bases": specification.changed_bases,
        "seed": specification.seed,
        "nearest_species": nearest,
        "notes": [*specification.locality_notes, *specification.mutated.notes],
        "warnings": [*specification.mutated.warnings, *unlike],
    }


def experiment(arguments: argparse.Namespace) -> dict:
    """Run an experiment and write its files to the folder `arguments.out`; return what is printed.

    If it is interrupted, it writes and returns what is finished.
    """
    specification = specification_of(arguments)
    assert isinstance(specification, Experiment)

    from tqdm import tqdm

    from g2pdiff.checkpoint import load_pipeline

    checkpoint = default_checkpoint(named_checkpoints(), specification.needs_size)
    pipeline = load_pipeline(arguments.checkpoint or checkpoint)
    updates, rows, started = specification.start(pipeline), [], time.perf_counter()
    make_folder(arguments.out)
    try:
        with closing(updates), tqdm(desc=specification.name, unit="step") as bar:
            for update in updates:
                rows += update.rows
                bar.total = update.total
                bar.update(update.done - bar.n)
    except KeyboardInterrupt:
        if not rows:
            raise
    report = specification.report(pipeline, rows)
    result = report.summary | {
        "pictures": specification.pictures_per_row * len(rows),
        "seconds": round(time.perf_counter() - started, 2),
        "checkpoint": str(pipeline.name_or_path),
        "out": str(arguments.out),
        "notes": specification.notes,
    }
    with writing(arguments.out):
        report.save(arguments.out)
        record = json.dumps(result | {"settings": specification.settings}, indent=2)
        (arguments.out / "result.json").write_text(record + "\n", encoding="utf-8")
    return result


def app(arguments: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    from g2pdiff.ui.launch import serve

    serve(arguments)


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one sentence."""

    def error(self, message: str) -> NoReturn:
        said = printable(message)
        said = said if len(said) <= LONGEST_SENTENCE else f"{said[:LONGEST_SENTENCE]}…"
        self.exit(2, f"{said[:1].upper()}{said[1:]} ({self.prog} --help lists what there is).\n")


def build_parser() -> argparse.ArgumentParser:
    """Return a parser with one subcommand per specification that can be run by itself.

    Numbers stay text: the specification checks them.
    """
    parser = Parser(prog="g2pdiffusion", description="Pictures of animals from DNA barcodes.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="verb")
    for kind in specifications().values():
        if kind is Generate:
            _add_verb(verbs, kind, generate, "picture.png", "file")
        elif issubclass(kind, Experiment):
            _add_verb(verbs, kind, experiment, kind.name, "folder")
    from g2pdiff.ui.launch import add_flags

    about = "serve the app in the browser, at http://127.0.0.1:7860"
    verb = verbs.add_parser("app", help=about, description=about)
    verb.set_defaults(run=app)
    add_flags(verb)
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction,
    kind: type[Specification],
    run: Callable[[argparse.Namespace], dict],
    out: str,
    written: str,
) -> None:
    about = kind.about.replace("%", "%%")
    parser = verbs.add_parser(kind.name, help=about, description=about)
    parser.set_defaults(specification=kind, run=run)
    for name, field in kind.arguments().items():
        _add_argument(parser, name, field)
    parser.add_argument(
        "--checkpoint",
        help="checkpoint folder, hub id or built-in name (the first built-in one that can do it)",
    )
    parser.add_argument("--out", type=Path, default=Path(out), help=f"{written} to write (%(default)s)")


def _add_argument(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    option = "--" + SHORT_OPTIONS.get(name, name).replace("_", "-")
    about = str(field.description).replace("%", "%%")
    if field.annotation is bool:
        parser.add_argument(option, dest=name, action="store_true", default=argparse.SUPPRESS, help=about)
        return
    check = check_of(field)
    if check.file:
        about += "; or a file with it"
    if not field.is_required() and field.default not in (None, "") and not check.is_list:
        about += f" ({field.default})"
    metavar = option[2:].upper().replace("-", "_")
    parser.add_argument(
        option,
        dest=name,
        default=argparse.SUPPRESS,
        metavar=metavar,
        help=about,
        nargs="+" if check.is_list else None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 2 after bad input, 130 if interrupted too early."""
    given = sys.argv[1:] if argv is None else argv
    # `argparse` reads -3.39e1 and -60,-30,0 as options. With a space before them they are values.
    given = [f" {value}" if _NEGATIVE.match(value) else value for value in given]
    arguments = build_parser().parse_args(given)
    try:
        result = arguments.run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # by convention: 128 plus the signal's number
    if result is not None:
        print(json.dumps(result))
    return 0
