"""How well a finished run does on a dataset."""

from __future__ import annotations

import msgspec
import numpy as np

from shared.errors import ContractError
from trainer.config import EvaluateConfig
from trainer.metrics import make_metrics
from trainer.quiet import import_keras
from trainer.rundir import check_transform, load_run
from trainer.shards.dataset import open_dataset


def run(config: EvaluateConfig) -> dict[str, float]:
    """Return the metrics of a run on one side of a dataset; of a regression in the label's units.

    Raises:
        ShardfitError: an expected failure.
    """
    finished = load_run(config.run)
    check_transform(finished, config.run, config.transform)
    spec = finished.spec
    dataset = open_dataset(config.dataset)
    import_keras()
    from trainer.sequence import CSVSequence
    from trainer.serving.restore import load_core

    batches = CSVSequence(
        dataset,
        side=config.side,
        # Weights of classes are for the loss of the training side only.
        spec=msgspec.structs.replace(spec, label=msgspec.structs.replace(spec.label, weights=())),
        workers=config.workers,
        shuffle=False,
        cache="off",
    )
    total = 0.0
    metrics = make_metrics(spec.label)
    try:
        core = load_core(config.run, finished, config.model)
        for index in range(len(batches)):
            x, y, *weights = batches[index]
            total += float(weights[0].sum()) if weights else len(y)
            metrics.add(y, np.asarray(core.predict_on_batch(x)), *weights)
    finally:
        batches.close()
    if not total:
        raise ContractError(
            dataset.path, expected=f"{config.side} records with a weight above 0", found="none"
        )
    return metrics.result()
