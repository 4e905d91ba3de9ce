"""The default model fits its spec, and a model of one's own is checked."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ConfigError, ModelError, ShardfitError
from trainer.config import FitConfig
from trainer.derive.parameters import embedding_size
from trainer.features.label import LabelSpec
from trainer.features.spec import Feature, FeatureSpec, Hashed, Standard, Text, Vocabulary
from trainer.training.model import build_model, compile_model, load_model_function
from trainer.training.steps import choose_steps, set_steps_per_execution

NUMBERS = (
    Standard(column="a", mean=0.0, std=1.0, fill=0.0, indicator=True),
    Standard(column="b", mean=0.0, std=1.0, fill=0.0, indicator=False),
)
CATEGORIES = (
    Vocabulary(column="c", values=("x", "y"), embedding=2),
    Hashed(column="d", bins=128, embedding=9),
    Text(column="e", bins=100, tokens=5, embedding=7),
)
LABELS = {
    "binary": LabelSpec(column="y", task="binary", reading="text", classes=("l", "w")),
    "multiclass": LabelSpec(column="y", task="multiclass", reading="text", classes=("a", "b", "c")),
    "regression": LabelSpec(column="y", task="regression", reading="number", mean=1.0, std=2.0),
}
SPEC = FeatureSpec(features=(*NUMBERS, *CATEGORIES), label=LABELS["binary"])


@pytest.mark.parametrize(
    ("task", "outputs", "activation"),
    [("binary", 1, "sigmoid"), ("multiclass", 3, "softmax"), ("regression", 1, "linear")],
)
@pytest.mark.parametrize("features", [NUMBERS, CATEGORIES, (*NUMBERS, *CATEGORIES)])
def test_the_default_model_fits_task_and_features(
    task: str, outputs: int, activation: str, features: tuple[Feature, ...]
) -> None:
    spec = FeatureSpec(features=features, label=LABELS[task])
    model = build_model(spec)

    assert model.input_shape == (None, spec.width)
    assert model.output_shape == (None, outputs)
    assert model.layers[-1].activation.__name__ == activation


@pytest.mark.parametrize(("cardinality", "size"), [(2, 2), (10, 6), (200, 31), (100_000, 50)])
def test_embeddings_grow_with_cardinality_up_to_a_bound(cardinality: int, size: int) -> None:
    assert embedding_size(cardinality) == size


def test_the_learning_rate_falls_to_zero_at_the_last_step() -> None:
    model = build_model(SPEC)
    compile_model(model, SPEC, learning_rate=0.5, steps=10)
    schedule = model.optimizer._learning_rate

    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([0.5, 0.25, 0.0])


@pytest.mark.parametrize("before", [0, 30])
def test_the_learning_rate_rises_first_where_training_begins(before: int) -> None:
    model = build_model(SPEC)
    compile_model(model, SPEC, learning_rate=0.5, steps=20, before=before, warmup=10)
    schedule = model.optimizer._learning_rate

    rates = [float(schedule(before + step)) for step in (0, 5, 10, 15, 20)]
    assert rates == pytest.approx([0.0, 0.25, 0.5, 0.25, 0.0], abs=1e-6)


USER_MODELS = """
import keras
from keras import layers

def build(spec):
    return keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(1)])

def compiled(spec):
    model = keras.Sequential([keras.Input((spec.width,)), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "mse")
    return model

def wrong_width(spec):
    return keras.Sequential([keras.Input((3,)), layers.Dense(1)])

def wrong_output(spec):
    return keras.Sequential([keras.Input((spec.width,)), layers.Dense(7)])

def fails(spec):
    return 1 / 0


def nothing(spec):
    pass

NUMBER = 5
"""


@pytest.fixture
def user_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_models.py").write_text(USER_MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "user_models", raising=False)


@pytest.mark.usefixtures("user_models")
def test_a_model_of_ones_own_is_found_in_the_current_directory() -> None:
    model = load_model_function("user_models:build", SPEC)

    assert isinstance(model, keras.Sequential)
    assert not model.compiled
    assert load_model_function("user_models:compiled", SPEC).compiled


@pytest.mark.usefixtures("user_models")
@pytest.mark.parametrize(
    ("reference", "kind", "message"),
    [
        ("build", ConfigError, "--model build: expected MODULE:FUNCTION, such as my_code:build"),
        ("no_such_module:build", ConfigError, "No module named 'no_such_module'; it is looked for"),
        ("broken:build", ConfigError, "found SyntaxError: '(' was never closed (broken.py"),
        ("user_models:biuld", ConfigError, "found only build, compiled, fails, nothing, wrong_"),
        ("user_models:NUMBER", ConfigError, "expected a function 'NUMBER' in "),
        ("user_models:fails", ModelError, "found ZeroDivisionError: division by zero, line "),
        ("user_models:nothing", ModelError, ":nothing: expected a keras.Model, found NoneType"),
        ("user_models:wrong_width", ModelError,
         "takes one matrix of shape (B, 10), spec.width columns, found"),
        ("user_models:wrong_output", ModelError,
         "expected an output of shape (B, 1), spec.label.outputs columns, found shape (None, 7)"),
    ],
)  # fmt: skip
def test_a_model_of_ones_own_that_does_not_fit_is_refused(
    reference: str, kind: type[ShardfitError], message: str
) -> None:
    Path("broken.py").write_text("build = (")
    with pytest.raises(kind) as error:
        load_model_function(reference, SPEC)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("batch_size", "steps", "chosen"),
    [(100, 1000, 16), (100, 999, 1), (1000, 1000, 7), (10_000, 1000, 1)],
)
def test_many_short_steps_of_the_default_model_are_made_in_one_call(
    batch_size: int, steps: int, chosen: int
) -> None:
    # 142,000 weights; those of embeddings do not count.
    assert choose_steps(build_model(SPEC), batch_size=batch_size, steps=steps) == chosen


@pytest.mark.parametrize(
    ("model", "asked", "steps", "begun"),
    [
        (None, None, 10_000, [0]),
        (None, 3, 999, [0, 3, 6]),
        ("own:build", None, 10_000, [0, 2, 4, 6]),
        ("own:build", 5, 10_000, [0, 5]),
    ],
)
def test_as_many_steps_as_were_asked_for_are_one_call_of_keras(
    model: str | None, asked: int | None, steps: int, begun: list[int]
) -> None:
    core = build_model(SPEC)
    compile_model(core, SPEC, learning_rate=0.5, steps=steps)
    if model:
        core.compile("sgd", "mse", steps_per_execution=2)
    config = FitConfig(
        dataset=Path(), label="y", out=Path(), model=model, steps_per_execution=asked
    )
    set_steps_per_execution(core, config, batch_size=100, steps=steps)
    found: list[int] = []
    begin = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda n, logs: found.append(n))
    x, y = np.zeros((16, SPEC.width), np.float32), np.zeros(16, np.float32)
    core.fit(x, y, batch_size=2, callbacks=[begin], verbose=0)
    assert found == begun


def test_torch_makes_one_step_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    core = build_model(SPEC)
    compile_model(core, SPEC, learning_rate=0.5, steps=10_000)
    config = FitConfig(dataset=Path(), label="y", out=Path())
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    set_steps_per_execution(core, config, batch_size=100, steps=10_000)
    assert core.steps_per_execution == 1
    with pytest.raises(ConfigError, match="expected 1, since torch makes one step a call, found 4"):
        set_steps_per_execution(
            core, replace(config, steps_per_execution=4), batch_size=100, steps=10_000
        )
