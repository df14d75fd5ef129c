"""Does averaging with the mirrored image pay on the val part? python experiments/accuracy/flips.py MODEL_URI."""

import sys
from dataclasses import replace

from brain_tumor.config.train import TrackingConfig, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.logged_split import load_logged
from brain_tumor.evaluation.bootstrap import paired_intervals
from brain_tumor.evaluation.measuring import measure
from brain_tumor.evaluation.prediction import predict
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store


def main(model_uri: str) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    start_tensorflow()
    registered = registry.load_model(model_uri)
    config = typed(TrainConfig, registered.config)
    dataset = load_logged(registered.split, config.data, root=None, shape=registered.model.input_shape[1:])
    plain = measure(registered.model, dataset, "val", config.protocol.name)
    rows = dataset.pixel_rows[dataset.rows("val")]
    mirrored = predict(
        registered.model, dataset.pixels, rows, title="mirrored", change=lambda batch, _: batch[:, :, ::-1]
    )
    averaged = replace(plain, probabilities=(plain.probabilities + mirrored) / 2)
    print(f"{len(rows)} images of val; a: as they are, b: averaged with the mirrored ones")
    print(paired_intervals(plain, averaged).round(4).to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1])
