"""The stages' measurements, collected in `RUN/results.json` for the model card."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import torch
from accelerate import PartialState

from training.data.storage import write_json

FILE = "results.json"


def read_results(run: Path) -> dict:
    """Return all recorded measurements by stage."""
    path = run / FILE
    return json.loads(path.read_text()) if path.exists() else {}


def hardware() -> str:
    """Return the hardware of this process in words."""
    device = PartialState().device
    if device is not None and device.type == "cuda":
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def record_result(run: Path, stage: str, result: dict) -> None:
    """Add a stage's measurements, and print them as one JSON line. Only the main process writes."""
    if int(os.environ.get("RANK", "0")) != 0:
        return
    result = result | {"hardware": hardware()}
    results = read_results(run) | {stage: result}
    write_json(run / FILE, results)
    print(json.dumps({stage: result}))
