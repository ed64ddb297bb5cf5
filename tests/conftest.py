"""Settings of every test: nothing is fetched, and two threads at most."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import torch

torch.set_num_threads(min(2, torch.get_num_threads()))
