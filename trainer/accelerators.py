"""Which accelerators TensorFlow finds; without any, everything runs on the CPU unchanged."""

from __future__ import annotations

import tensorflow as tf


def accelerators() -> list[str]:
    """Names of the GPUs; their memory is taken as it is needed, so that serving can share them."""
    found = tf.config.list_physical_devices("GPU")
    for device in found:
        tf.config.experimental.set_memory_growth(device, True)
    return [device.name for device in found]
