"""How well a finished run does on a dataset."""

from __future__ import annotations

import numpy as np

from trainer.config import EvaluateConfig
from trainer.dataset import open_dataset
from trainer.metrics import make_metrics
from trainer.quiet import import_keras
from trainer.rundir import load_run


def run(config: EvaluateConfig) -> dict[str, float]:
    """Return the metrics of a run on one side of a dataset; of a regression in the label's units.

    Raises:
        ShardfitError: an expected failure.
    """
    finished = load_run(config.run)
    dataset = open_dataset(config.dataset)
    import_keras()
    from trainer.restore import load_core
    from trainer.sequence import CSVSequence

    batches = CSVSequence(
        dataset,
        side=config.side,
        spec=finished.spec,
        workers=config.workers,
        shuffle=False,
        cache="off",
    )
    metrics = make_metrics(finished.spec.label)
    try:
        core = load_core(config.run, finished, config.model)
        for index in range(len(batches)):
            x, y = batches[index][:2]
            metrics.add(y, np.asarray(core.predict_on_batch(x)))
    finally:
        batches.close()
    return metrics.result()
