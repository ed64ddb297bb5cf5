"""Settings of every test: nothing is fetched, and two processes of one thread each share the work.

A file's tests stay together in one process, so that what is costly to set up is set up once.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["OMP_NUM_THREADS"] = "1"  # of the programs that tests start, too

import pytest
import torch


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    # Also after a test whose configuration sets `threads`: two processes of two threads each stop each other.
    torch.set_num_threads(1)
