"""True pairs of barcode and photograph from an export of BOLD.

    python -m training.bold --export bold_data.tsv --out bold --dry-run
    python -m training.bold --export bold_data.tsv --out bold
    python -m training.run --config training/configs/embedded.yaml data.bold=bold

prints the numbers of records, species and pictures in the export, by licence and by view, and what is left
out for which reason. Then it fetches the pictures whose licence allows it, slowly and one at a time. The
folder holds `pictures/`, `specimens.csv` for training, `ATTRIBUTION.csv` with the holder and licence of every
picture, `failed.csv` and `SHA256SUMS`. After an interruption, the same command continues. The exit code is 1
if some pictures failed but may be available later.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from g2pdiff.errors import InputError
from training.data.bold_exports import SERVICE, read_export
from training.data.bold_harvest import Harvest, Wanted, choose, report
from training.data.licences import NON_COMMERCIAL, OPEN
from training.data.polite import PoliteClient
from training.data.storage import writing_to

AGENT = "G2PDiffusion-training.bold/0.1"


def run(export_path: Path, out: Path, wanted: Wanted, client: PoliteClient, dry_run: bool = False) -> dict:
    """Choose pictures of an export, report them, and fetch them unless it is a dry run.

    Returns:
        `{"pictures", "failed", "left"}`: the numbers of pictures that are there, that are unavailable, and
        that may come later.

    Raises:
        InputError: an argument or file cannot be used, or the server refuses for a long time.
    """
    export = read_export(export_path)
    harvest = Harvest(out, export_path, wanted, client)
    if wanted.look_up or not export.has_pictures:
        export.pictures = harvest.list_pictures(export)
    chosen, left_out = choose(export, wanted)
    print(report(export, chosen, left_out), flush=True)
    if dry_run:
        return {"pictures": 0, "failed": 0, "left": len(chosen)}
    return harvest.fetch(export, chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--export", type=Path, required=True, help="BOLD's combined or BCDM TSV, may be .gz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, one for each export")
    parser.add_argument(
        "--licence",
        nargs="+",
        default=list(OPEN),
        choices=[*OPEN, *NON_COMMERCIAL],
        help="licences to keep; by default %(default)s",
    )
    parser.add_argument("--view", nargs="+", default=[], help="views to keep, such as dorsal; by default all")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second at most; by default 1")
    parser.add_argument("--limit", type=int, help="pictures at most, to try it")
    parser.add_argument("--max-megabytes", type=float, default=20.0, help="of one picture; by default 20")
    parser.add_argument(
        "--look-up",
        action="store_true",
        help="ask BOLD's picture service for addresses and credits in place of the export's",
    )
    parser.add_argument("--service", default=SERVICE, help="address of the picture service")
    parser.add_argument("--contact", default="", help="your address, told to the server with every request")
    parser.add_argument("--dry-run", action="store_true", help="say what there is and fetch no picture")
    given = parser.parse_args(arguments)
    wanted = Wanted(
        licences=tuple(sorted(given.licence)),
        views=tuple(sorted(view.lower() for view in given.view)),
        look_up=given.look_up,
        service=given.service.rstrip("/"),
        limit=given.limit,
        max_bytes=int(given.max_megabytes * 1e6),
    )
    agent = f"{AGENT} ({given.contact})" if given.contact else AGENT
    try:
        if not (given.contact.isascii() and given.contact.isprintable()):
            raise InputError("contact", "A contact is an address in plain letters, such as you@example.org.")
        client = PoliteClient(given.rate, agent)
        with writing_to(given.out, "out"), FileLock(given.out / ".lock", timeout=0):
            said = run(given.export, given.out, wanted, client, given.dry_run)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except Timeout:
        print(f"Another process is writing to {given.out}: wait for it.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped: the same command goes on from here.", file=sys.stderr)
        return 130
    if given.dry_run:
        return 0
    print(json.dumps(said))
    return 1 if said["left"] else 0


if __name__ == "__main__":
    sys.exit(main())
