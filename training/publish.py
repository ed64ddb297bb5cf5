"""Publish a checkpoint with its model card in the Hub's layout, and a Space that serves it.

    python -m training.publish --checkpoint runs/paper/checkpoint --repo owner/name --space owner/demo \
        --out published

writes `published/model` and `published/space`; with `--push` it uploads them too. A Space contains its
checkpoint, up to the Hub's limit of one gigabyte. With `--repo` it fetches the checkpoint from there instead.
Without `--checkpoint` the model is the first built-in checkpoint, and the Space serves all of them, like the
app.
"""

# huggingface_hub sets a card's fields from its front matter, so pyright does not know them:
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import yaml
from huggingface_hub import HfApi, ModelCard, SpaceCard, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from g2pdiff.about import FILE as ABOUT
from g2pdiff.about import About
from g2pdiff.analysis.references import FOLDER as REFERENCES
from g2pdiff.built_in import EXAMPLES, SIMULATED, list_checkpoints
from g2pdiff.checkpoint import check_checkpoint, resolve_checkpoint
from g2pdiff.errors import InputError
from g2pdiff.models.checkpoint_names import named_checkpoints
from training.data.bold import ATTRIBUTION
from training.data.storage import whole_folder, writing_to

ROOT = Path(__file__).resolve().parent.parent
CARD, FIGURES, INDEX = "README.md", "figures", "model_index.json"
SECTIONS = ("Do not use it for", "Training data", "Figures")  # written by training.release.model_card
LICENCE, NOTICE = "LICENSE", "NOTICE"
SPACE_FILES = ("app.py", "requirements.txt", LICENCE, NOTICE, "g2pdiff", "assets/examples.csv")
SPACE_APP_FILE = "space.py"
SPACE_BYTES = 1e9  # the Hub's limit for a Space
LIBRARY = "g2pdiffusion"

USAGE_TITLE = "\n## How to use it\n"
USAGE = (
    USAGE_TITLE
    + """
In a clone of the G2PDiffusion repository:

```python
from g2pdiff.checkpoint import load_pipeline

pipeline = load_pipeline("{source}")
picture = pipeline(open("barcode.fasta").read(), latitude=56.6, longitude=11.3, seed=0).images[0]
```

`G2PDIFF_CHECKPOINT={source} python app.py` serves it in the browser.
"""
)

SPACE_TEXT = """# {title}

From a DNA barcode and a place on Earth to a picture of the animal, drawn step by step. The model, what it
learned from and what it cannot do: {card}.

{terms}

{variable}: hub ids with commas between them.
"""
SPACE_VARIABLE = "The variable `G2PDIFF_CHECKPOINT` of this Space names other checkpoints"

# A published folder has this file, and these words in its card.
PUBLISHED = {"model": (INDEX, f"library_name: {LIBRARY}"), "space": ("app.py", SPACE_VARIABLE)}

SPACE_APP = '''"""Serves {repo}, unless the Space's variable G2PDIFF_CHECKPOINT names another checkpoint."""

import os
import runpy

os.environ.setdefault("G2PDIFF_CHECKPOINT", "{repo}")
runpy.run_path("app.py", run_name=__name__)
'''


def read_card(checkpoint: Path, licence: str | None) -> ModelCard:
    """Return the model card of a checkpoint, with a licence. Refuse a card without the required sections.

    Args:
        checkpoint: folder of the checkpoint.
        licence: identifier of the licence, in place of the card's.

    Raises:
        InputError: field `card`, if there is none, its front matter is not valid, or it lacks the licence or
            a section.
    """
    path = checkpoint / CARD
    if not path.is_file():
        raise InputError(
            "card", f"{checkpoint} has no model card; python -m training.release.model_card writes it."
        )
    try:
        card = ModelCard.load(path)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError("card", f"The front matter of {path} is not valid YAML of a model card.") from error
    card.data.license = licence or card.data.license
    if not card.data.license:
        raise InputError("card", f"The front matter of {path} names no licence; add one, or give --license.")
    if missing := [section for section in SECTIONS if f"\n## {section}\n" not in card.text]:
        raise InputError("card", f"The model card {path} lacks the section {missing[0]}.")
    return card


def check_target(folder: Path, kind: str, checkpoint: Path) -> None:
    """Refuse to write to a folder that holds something which publishing did not write.

    Args:
        folder: folder to write to; it need not exist.
        kind: `model` or `space`.
        checkpoint: folder of the checkpoint to publish.

    Raises:
        InputError: field `out`.
    """
    for what, needed in (("The checkpoint that is to be published", checkpoint), ("This program", ROOT)):
        if needed.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                "out", f"{what} lies in {folder}, which would be replaced; choose another folder with --out."
            )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    file, words = PUBLISHED[kind]
    card = folder / CARD
    known = (folder / file).is_file() and card.is_file() and words in card.read_text(errors="replace")
    if not known:
        raise InputError(
            "out",
            f"{folder} holds something else than a {kind} that was published before, and would be replaced; "
            "choose another folder with --out, or empty it.",
        )


def write_model(checkpoint: Path, folder: Path, repo: str | None, licence: str | None) -> ModelCard:
    """Write a checkpoint in the Hub's layout: parts, figures, references, examples, terms, credits and card.

    Args:
        checkpoint: a complete checkpoint.
        folder: folder to write to. Its contents are replaced, see `check_target`.
        repo: hub id for the card.
        licence: identifier of the licence, in place of the card's.

    Raises:
        InputError: the checkpoint is incomplete, or its card cannot be used.
    """
    check_checkpoint(checkpoint)
    card = read_card(checkpoint, licence)
    # For diffusers models the Hub shows code that loads them with diffusers alone. Ours need our classes.
    card.data.library_name = LIBRARY
    about = card.text.partition(USAGE_TITLE)[0]  # the usage of an already published card is replaced
    card.text = about.rstrip() + "\n" + USAGE.format(source=repo or folder)
    index = json.loads((checkpoint / INDEX).read_text())
    with whole_folder(folder) as partial:
        shutil.copy(checkpoint / INDEX, partial)
        for name in (*index, FIGURES, REFERENCES):
            if (checkpoint / name).is_dir():
                shutil.copytree(checkpoint / name, partial / name)
        for name in (ABOUT, EXAMPLES.name):
            if (checkpoint / name).is_file():
                shutil.copy(checkpoint / name, partial)
        if terms := terms_of(checkpoint):
            (partial / NOTICE).write_text(terms + "\n")
            shutil.copy(ROOT / LICENCE, partial)
        if (checkpoint / ATTRIBUTION).is_file():
            shutil.copy(checkpoint / ATTRIBUTION, partial)
        card.save(partial / CARD)
    return card


def terms_of(checkpoint: Path) -> str:
    """Return a checkpoint's credit and terms as paragraphs; empty if it has none."""
    about = About.read(checkpoint)
    said = [about.credit, about.licence and f"Weights: {about.licence}", about.barcodes]
    return "\n\n".join([about.name, *filter(None, said)]) if any(said) else ""


def write_space(
    model: Path,
    folder: Path,
    repo: str | None,
    licence: str,
    name: str = SIMULATED,
    beside: Sequence[Path] = (),
) -> None:
    """Write a Space that serves a checkpoint.

    Args:
        model: folder of the published checkpoint.
        folder: folder to write to. Its contents are replaced, see `check_target`.
        repo: hub id to fetch the checkpoint from. Without it, the Space contains the checkpoint.
        licence: identifier of the licence. name: of the checkpoint's folder in a Space that carries it.
        beside: folders of further checkpoints, which such a Space contains and serves too.

    Raises:
        InputError: field `repo`, if the checkpoint is too large for a Space.
    """
    carried = {} if repo else {name: model} | {other.name: other for other in beside}
    files = [path for source in carried.values() for path in source.rglob("*")]
    size = sum(path.stat().st_size for path in files if path.is_file())
    if size > SPACE_BYTES:
        raise InputError(
            "repo", f"{model} has {size / 1e9:.1f} GB, too much for a Space's own files; give --repo too."
        )
    card = SpaceCard.load(ROOT / CARD)  # this repository has the layout of a Space
    card.data.license = licence
    with whole_folder(folder) as partial:
        (partial / "assets").mkdir()
        for file in SPACE_FILES:
            source = ROOT / file
            if source.is_dir():
                shutil.copytree(source, partial / file, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, partial / file)
        if repo:
            (partial / SPACE_APP_FILE).write_text(SPACE_APP.format(repo=repo))
            card.data.app_file = SPACE_APP_FILE
            card.data.models = card.data.preload_from_hub = [repo]
            about = f"[{repo}](https://huggingface.co/{repo})"
        else:
            links = []
            for carried_name, source in carried.items():
                shutil.copytree(source, partial / "assets" / carried_name)
                links.append(f"[{About.read(source).name}](assets/{carried_name}/{CARD})")
            about = " and ".join(links)
        terms = [terms_of(source).replace("\n\n", " ") for source in (model, *beside)]
        card.text = SPACE_TEXT.format(
            title=card.data.title, card=about, terms="\n\n".join(filter(None, terms)), variable=SPACE_VARIABLE
        )
        card.save(partial / CARD)


def push(folder: Path, repo: str, kind: str, private: bool) -> str:
    """Upload a folder to a repository on the Hub; return its address. A missing repository is created.

    Args:
        folder: folder to upload.
        repo: hub id.
        kind: `model` or `space`.
        private: whether a new repository is visible only to its owner.

    Raises:
        InputError: field `push`, if there is no token, or the Hub refuses the upload.
    """
    if get_token() is None:
        raise InputError("push", "The Hub wants a token to push: run hf auth login, or set HF_TOKEN.")
    api = HfApi()
    sdk = "gradio" if kind == "space" else None
    try:
        address = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=folder, commit_message="Publish with training.publish"
        )
    except (httpx.HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            "push",
            f"The Hub did not take {repo} ({reason.rstrip('.')}); {folder} is complete, so push again once "
            "the network and the token allow it.",
        ) from error
    return str(address)


def publish(
    checkpoint: Path,
    out: Path,
    repo: str | None = None,
    space: str | None = None,
    licence: str | None = None,
    upload: bool = False,
    private: bool = False,
    beside: Sequence[Path] = (),
) -> dict:
    """Write the folders to publish, and upload them if asked to.

    Args:
        checkpoint: folder of the checkpoint to publish.
        out: folder to write to. repo, space: hub ids.
        licence: identifier of the weights' licence, in place of the card's.
        upload: whether to push to `repo` and `space`.
        private: whether new repositories are visible only to their owner.
        beside: folders of further checkpoints for a Space without `repo`.

    Returns:
        `{"model", "space"}`: folders, or addresses after an upload. `space` is there only if it was asked
        for.

    Raises:
        InputError: an argument or file is missing or cannot be used.
    """
    for field, name in (("repo", repo), ("space", space)):
        try:
            if name and "/" not in name:
                raise HFValidationError
            validate_repo_id(name or "owner/name")
        except HFValidationError as error:
            raise InputError(field, f"{name} is no hub id; give owner/name.") from error
    if upload and not (repo or space):
        raise InputError(
            "push", "Nothing says where to push to: give --repo owner/name, --space owner/name or both."
        )
    written = {kind: out / kind for kind in ("model", "space") if kind == "model" or space}
    for kind, folder in written.items():
        check_target(folder, kind, checkpoint)
    if space and not (ROOT / SPACE_FILES[0]).is_file():
        raise InputError(
            "space", "A Space is made from a clone of the G2PDiffusion repository; run this in one."
        )
    card = write_model(checkpoint, written["model"], repo, licence)
    if space:
        name = checkpoint.name if checkpoint in list_checkpoints() else SIMULATED
        write_space(written["model"], written["space"], repo, card.data.license, name, beside)
    said = {kind: str(folder) for kind, folder in written.items()}
    if upload:
        for kind, name in (("model", repo), ("space", space)):
            if name:
                said[kind] = push(written[kind], name, kind, private)
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub id; by default all that the app serves")
    parser.add_argument("--out", type=Path, required=True, help="folder to write model/ and space/ to")
    parser.add_argument("--repo", help="hub id of the model, owner/name")
    parser.add_argument("--space", help="hub id of a Space to write too, owner/name")
    parser.add_argument(
        "--license", help="licence of the weights, where it is not the card's, such as openrail"
    )
    parser.add_argument("--push", action="store_true", help="upload to --repo and --space")
    parser.add_argument(
        "--private", action="store_true", help="what is made on the Hub is seen by its owner alone"
    )
    given = parser.parse_args(arguments)
    try:
        checkpoint, *beside = map(
            resolve_checkpoint, [given.checkpoint] if given.checkpoint else named_checkpoints()
        )
        with writing_to(given.out, "out"):
            said = publish(
                checkpoint,
                given.out,
                given.repo,
                given.space,
                given.license,
                given.push,
                given.private,
                beside,
            )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
