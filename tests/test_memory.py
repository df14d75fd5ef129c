"""What libraries say of memory that there is not."""

import numpy as np
import pytest
import tensorflow as tf

from brain_tumor.entry import guarded
from brain_tumor.errors import InputError
from brain_tumor.memory import shortage

# As TensorFlow words it where a step of training fails.
IN_TRAINING = "Graph execution error:\n\nDetected at node Relu6:\nOOM when allocating tensor with shape[8,9]\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "out of memory (MemoryError)"),
        (
            tf.errors.ResourceExhaustedError(None, None, IN_TRAINING),
            "out of memory (ResourceExhaustedError: OOM when allocating tensor with shape[8,9])",
        ),
        (
            tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
            "out of memory (InternalError: CUDA_ERROR_OUT_OF_MEMORY: out of memory)",
        ),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), ""),
        (ValueError("no such class"), ""),
        (InputError("the server says out of memory"), ""),
    ],
)
def test_an_error_that_is_one_of_memory_is_one_line(error: Exception, line: str) -> None:
    assert shortage(error) == line


def test_a_command_out_of_memory_ends_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, guarded():
        np.empty(2**50)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory (MemoryError: Unable to allocate 8.00 PiB for an array")
    assert said.endswith("close other programs, or hold less at once: in training, set hardware.micro_batch\n")
