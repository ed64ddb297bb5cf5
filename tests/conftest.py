"""Settings of every test: nothing is fetched, and two processes of one thread each share the work.

The browser's tests stay together in one process, and so do those of any file, so that what is costly to set
up is set up once.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["OMP_NUM_THREADS"] = "1"  # of the programs that tests start, too

import pytest
import torch

torch.set_num_threads(1)

BROWSER = "tests/ui/"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        file = item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(BROWSER if file.startswith(BROWSER) else file))
