"""Starts TensorFlow without the notices that its libraries print whatever the log level."""

import os
import sys


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices with the process's stderr turned away; exceptions still pass.

    What is turned away is written by C++ before any logging can be configured: notices on oneDNN, and on CUDA where
    there is no GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow

        tensorflow.config.list_physical_devices()
        tensorflow.constant(0)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
