"""The app as the load benchmark starts it, which can be asked how it is.

`python -m tests.benchmarks.watched` prints the app's address as a line of JSON, and for every line that it
reads another one: its memory, threads, live generators and temporary files.
"""

import gc
import json
import sys
import tempfile
import threading
from pathlib import Path
from types import AsyncGeneratorType, GeneratorType

import g2pdiff
from g2pdiff.ui.app import LAUNCH, build

PACKAGE = str(Path(g2pdiff.__file__).parent)


def resident_mb() -> float:
    """Return the memory of this process that is in use."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def live_runs() -> list[str]:
    """Return the names of our generators, of either kind, that have not come to their end."""
    gc.collect()
    found = []
    for item in gc.get_objects():
        if type(item) is GeneratorType:
            frame, code = item.gi_frame, item.gi_code
        elif type(item) is AsyncGeneratorType:
            frame, code = item.ag_frame, item.ag_code
        else:
            continue
        if frame is not None and code.co_filename.startswith(PACKAGE):
            found.append(code.co_qualname)
    return found


def report() -> dict:
    """Return what a server that has nothing to do should have given back."""
    runs = live_runs()
    files = [path for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file()]
    return {
        "rss_mb": resident_mb(),
        "threads": threading.active_count(),
        "generators": runs,
        "files": len(files),
        "files_mb": sum(path.stat().st_size for path in files) / 2**20,
    }


def main() -> None:
    app = build()
    app.launch(**LAUNCH, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    print(json.dumps({"url": app.local_url}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(report()), flush=True)
    app.close()


if __name__ == "__main__":
    main()
