"""Figures the stages measure, gathered in `RUN/results.json` for the model card."""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "results.json"


def read_results(run: Path) -> dict:
    """All figures recorded so far, by stage."""
    path = run / FILE
    return json.loads(path.read_text()) if path.exists() else {}


def record_result(run: Path, stage: str, result: dict) -> None:
    """Add a stage's figures, and print them as one JSON line. Only the main process writes."""
    if int(os.environ.get("RANK", 0)) != 0:
        return
    results = read_results(run) | {stage: result}
    partial = run / f"{FILE}.partial"
    partial.write_text(json.dumps(results, indent=2))
    os.replace(partial, run / FILE)
    print(json.dumps({stage: result}))
