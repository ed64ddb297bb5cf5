"""The Gradio app: one file a tab, over functions a script can call. Imports the core, never training."""

import os

# Before Gradio is imported: no telemetry and no version check, so that nothing leaves the machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
