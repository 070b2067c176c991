"""How a model is made: labelled sets, NVTabular, Merlin models, checkpoints, bundles."""

import os

# TensorFlow reads this when it is first imported: its start-up chatter is no log of ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
