"""What trainings in one process leave behind."""

import gc

import keras
import numpy as np
from tensorflow.python.framework.func_graph import FuncGraph

from brain_tumor.models.forgetting import forget_models


def graphs() -> int:
    gc.collect()
    return sum(isinstance(each, FuncGraph) for each in gc.get_objects())


def train() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="silu")])
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 2)), np.zeros((2, 2)), verbose=0)


def test_no_graph_of_a_training_outlives_its_model() -> None:
    forget_models()
    before = graphs()
    train()
    assert graphs() > before  # as long as TensorFlow has its issue 97697: without it nothing need be done
    forget_models()
    assert graphs() <= before


def test_a_model_in_use_answers_as_before() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="silu")])
    before = model.predict(np.ones((1, 2)), verbose=0)
    forget_models()
    np.testing.assert_array_equal(model.predict(np.ones((1, 2)), verbose=0), before)
