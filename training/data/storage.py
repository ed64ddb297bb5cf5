"""Writing of a run's files: each is complete or absent, and a failure is reported in one sentence."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from g2pdiff.errors import InputError

# Reasons why a file cannot be written that are not errors of the program.
FAULTS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO
)  # fmt: skip


def new_array(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """Return a new memory-mapped array file with its space on the disk allocated.

    Without allocation, a disk that fills up later would kill the process without a message.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def write_whole(file: Path, content: str | bytes) -> None:
    """Write text (as UTF-8) or bytes such that the file is complete or absent. An older file is replaced."""
    partial = file.with_name(f"partial-{file.name}")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(partial, file)


def discard(folder: Path) -> None:
    """Delete a folder such that its name disappears in one step: a half-deleted folder never has this
    name."""
    doomed = folder.with_name(f"partial-{folder.name}")
    os.replace(folder, doomed)
    shutil.rmtree(doomed)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Write a folder such that it is complete or absent: it is written under another name, then renamed.

    An older folder is replaced completely. Files that an interrupted process left are deleted. Only one of
    several processes writes.

    Yields:
        The empty folder to write to.
    """
    folder = folder.resolve()  # if it is a link to another disk, the target is replaced, not the link
    partial, old = (folder.with_name(f"partial-{name}{folder.name}") for name in ("", "old-"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def write_json(file: Path, value: dict) -> None:
    """Write a JSON file such that it is complete or absent. NaN becomes null, which every reader knows."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: plain(one) for name, one in part.items()}
        if isinstance(part, (list, tuple)):
            return [plain(one) for one in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    write_whole(file, json.dumps(plain(value), indent=2, allow_nan=False))


@contextmanager
def writing_to(folder: Path, option: str = "run") -> Iterator[None]:
    """Make a folder. Turn a failure to write inside the block into an `InputError`.

    PyTorch and safetensors report such a failure only in the message, so their messages are read.

    Args:
        folder: folder to write to.
        option: command-line option that chose the folder; it is the error's field.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            option,
            f"The folder {folder} cannot be written ({error.strerror}): choose another with --{option}.",
        ) from error
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if reason := _reason(error):
            raise InputError(
                option,
                f"A file in {folder} cannot be written ({reason}): make room or choose another folder with "
                f"--{option}; what is finished is not done again.",
            ) from error
        if isinstance(error, SafetensorError) or "Unable to load weights" in str(error):  # diffusers
            raise InputError(
                option, f"A model in {folder} is damaged: delete its folder and run its stage again."
            ) from error
        raise


def _reason(error: Exception) -> str | None:
    """Return the reason why a file could not be written; None if the error has another cause."""
    told = re.search(r"os error (\d+)", str(error))  # safetensors
    number = int(told[1]) if told else getattr(error, "errno", None)
    if number in FAULTS:
        return os.strerror(number)
    return "the disk takes no more" if "inline_container" in str(error) else None  # torch.save
