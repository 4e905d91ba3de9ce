"""The default model, and the loading of the user's own with `--model MODULE:FUNCTION`.

Either is the *core model*: it takes the matrix X of `trainer.features.spec`, or that of a
`--transform`, shape (B, F), and gives

    binary          probability of the positive class, shape (B, 1)
    multiclass      probability of each class, shape (B, C)
    regression      the standardised label, shape (B, 1)

`trainer.serving.export` puts the preprocessing before it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from shared.errors import ModelError
from shared.user_code import load_function
from trainer.features.spec import Category, FeatureSpec

# Three layers of 256 explain 98 % of the variance of diamond prices after 20 epochs; 256, 128, 64
# a little less in the same time. Figures in docs/decisions.md.
HIDDEN = (256, 256, 256)

Tensor = Any  # a KerasTensor; Keras has no type stubs

_LOSSES = {
    "binary": "binary_crossentropy",
    "multiclass": "categorical_crossentropy",
    "regression": "mean_squared_error",
}
# Keras puts its messages in bold.
_ANSI = re.compile(r"\x1b\[\d+m")
_ACTIVATIONS = {"binary": "sigmoid", "multiclass": "softmax", "regression": "linear"}


def build_model(spec: FeatureSpec) -> keras.Model:
    """Return the default core model: embeddings of the categories, and a multilayer perceptron."""
    x = keras.Input((spec.width,), name="features")
    parts = [x[:, spec.numbers]] if spec.numbers.stop else []
    # A table for each size of vectors, not for each column: of hundreds, TensorFlow would trace,
    # and step, for minutes.
    alike: defaultdict[tuple[int, int], list[Category]] = defaultdict(list)
    for category in spec.categories:
        alike[category.width, category.embedding].append(category)
    parts += [_embed(x, categories) for categories in alike.values()]
    hidden = ops.concatenate(parts, axis=1)
    for units in HIDDEN:
        hidden = layers.Dense(units, activation="relu")(hidden)
    activation = _ACTIVATIONS[spec.label.task]
    # In float32 whatever the policy: a probability in float16 has three digits.
    output = layers.Dense(spec.label.outputs, activation=activation, dtype="float32")(hidden)
    return keras.Model(x, output, name="core")


def _embed(x: Tensor, categories: list[Category]) -> Tensor:
    """Return the vectors of C categories of one width W and size E side by side, (B, C * E)."""
    (width, size), columns = categories[0][-2:], len(categories)
    places = [c.position + token for c in categories for token in range(width)]
    index = ops.cast(ops.take(x, places, axis=1), "int32")
    *starts, rows = np.cumsum([0, *(c.cardinality for c in categories)], dtype=np.int32)
    vectors = layers.Embedding(int(rows), size)(index + np.repeat(starts, width))
    if width > 1:
        tokens = ops.reshape(index, (-1, columns, width))
        vectors = _mean_of_tokens(ops.reshape(vectors, (-1, columns, width, size)), tokens)
    return ops.reshape(vectors, (-1, columns * size))


def _mean_of_tokens(vectors: Tensor, index: Tensor) -> Tensor:
    """Return the mean, (B, C, E), of the vectors (B, C, W, E) of the tokens there are; or zeros.

    Keras's own pooling with a mask divides by zero where a text is empty.
    """
    is_there = ops.cast(index > 0, vectors.dtype)
    total = ops.sum(vectors * ops.expand_dims(is_there, 3), axis=2)
    return total / ops.maximum(ops.sum(is_there, axis=2, keepdims=True), 1.0)


def compile_model(
    model: keras.Model,
    spec: FeatureSpec,
    *,
    learning_rate: float,
    steps: int,
    before: int = 0,
    warmup: int = 0,
    jit_compile: bool | Literal["auto"] = False,
) -> None:
    """Give a core model that was not compiled its loss, optimiser and metrics.

    Args:
        model: the core model.
        spec: tells the task.
        learning_rate: the highest; from there it falls to zero along a cosine.
        steps: number of batches in the whole training.
        before: number of batches that were trained before, where training begins again.
        warmup: number of the first batches over which the rate rises from zero, below `steps`.
        jit_compile: whether XLA compiles the steps; "auto" leaves it to Keras.
    """
    task = spec.label.task
    metrics: list[object]
    if task == "binary":
        metrics = [
            keras.metrics.AUC(name="auc"),
            keras.metrics.AUC(curve="PR", name="pr_auc"),
            "accuracy",
        ]
    elif task == "multiclass":
        metrics = ["accuracy"]
    else:
        metrics = [
            keras.metrics.MeanAbsoluteError(name="mae"),
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.R2Score(name="r2"),
        ]
    # The optimiser counts all steps, also those before. A line through zero at the last of these
    # makes the warm-up begin there, and one without a warm-up is never run, only left behind; a
    # schedule of our own could not be loaded without us.
    rises = before + warmup > 0
    schedule = keras.optimizers.schedules.CosineDecay(
        -learning_rate * before / warmup if warmup else 0.0 if rises else learning_rate,
        steps - warmup,
        warmup_target=learning_rate if rises else None,
        warmup_steps=before + warmup,
    )
    model.compile(
        # Loshchilov, Hutter: SGDR, 2017. It matters more the fewer shards are mixed: at a steady
        # rate the last records seen would weigh too much.
        optimizer=keras.optimizers.Adam(schedule),
        loss=_LOSSES[task],
        # Where the records have weights, not only the loss counts them by these.
        **{"metrics" if spec.weight is None else "weighted_metrics": metrics},
        jit_compile=jit_compile,
    )


def build_state(model: keras.Model, spec: FeatureSpec) -> None:
    """Make the variables of a compiled core model's optimiser and metrics, to be given values.

    Keras makes them in the first step only. What is counted of the record of zeros that goes
    through here is to be overwritten.
    """
    shape = (1, spec.label.outputs) if spec.label.task == "multiclass" else (1,)
    x, y = ops.zeros((1, spec.width)), ops.zeros(shape)
    predicted = model(x)
    model.compute_loss(x, y, predicted)
    model.compute_metrics(x, y, predicted)
    model.optimizer.build(model.trainable_variables)


def load_model_function(reference: str, spec: FeatureSpec) -> keras.Model:
    """Call the user's function, `MODULE:FUNCTION`, with the spec; returns the core model.

    Raises:
        ConfigError: there is no such function, or its module fails.
        ModelError: it fails, or what it returns does not fit.
    """
    user_code = load_function(reference, "--model")
    try:
        model = user_code.function(spec)
    except Exception as error:
        raise ModelError(
            f"--model {reference}", expected="a keras.Model", found=user_code.explain(error)
        ) from None
    _check_shapes(model, spec, f"--model {reference}")
    return model


def _check_shapes(model: object, spec: FeatureSpec, where: str) -> None:
    if not isinstance(model, keras.Model):
        raise ModelError(where, expected="a keras.Model", found=f"{type(model).__name__}")
    wanted = f"a model that takes one matrix of shape (B, {spec.width}), spec.width columns"
    try:
        # Also builds a Sequential model that was given no input shape.
        output = model(keras.Input((spec.width,)))
    except (ValueError, TypeError) as error:
        found = [line for line in str(error).splitlines() if "shape" in line] or [str(error)]
        raise ModelError(where, expected=wanted, found=_ANSI.sub("", found[0])) from None
    shape = getattr(output, "shape", None)
    if shape != (None, spec.label.outputs):
        raise ModelError(
            where,
            expected=f"an output of shape (B, {spec.label.outputs}), spec.label.outputs columns",
            found=f"shape {shape}" if shape else f"{type(output).__name__}",
        )
