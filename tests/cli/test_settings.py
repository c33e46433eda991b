"""Settings are validated in Python as on the command line."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, get_origin

import numpy as np
import pytest
from annotated_types import Ge, Interval

import kerafer
from kerafer.datasets.config import DataConfig
from kerafer.errors import ConfigError, UserError
from kerafer.export.config import ExportConfig
from kerafer.models.registry import find_model
from kerafer.runtime.predict_folder import PredictConfig
from kerafer.settings import Settings, split_type, types_of
from kerafer.training.config import TrainingConfig
from kerafer.training.distributed import DeviceConfig


@dataclasses.dataclass(frozen=True)
class Kind(Settings):
    whole: Annotated[int, Interval(ge=1, le=5)] = 3
    part: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    any_number: float = 0.0
    none: Annotated[int, Ge(2)] | None = None
    one_of: Literal[3, 1] = 3
    text: str = ""
    flag: bool = False


@pytest.mark.parametrize(
    "values",
    [
        {"whole": 1},
        {"whole": 5},
        {"any_number": -1e300},
        {"none": None},
        {"none": 2},
        {"one_of": 1},
    ],
)
def test_values_in_range(values):
    kind = Kind(**values)
    assert {name: getattr(kind, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"whole": 6}, "1 to 5"),
        ({"whole": 10**400}, "1 to 5"),
        ({"whole": "3"}, "a whole number"),
        ({"whole": 3.0}, "a whole number"),
        ({"whole": True}, "a whole number"),
        ({"whole": None}, "a whole number"),
        ({"part": 0.0}, "more than 0 and less than 1"),
        ({"part": 1.0}, "more than 0 and less than 1"),
        ({"any_number": float("nan")}, "a finite number"),
        ({"any_number": 10**400}, "a number"),
        ({"any_number": 1j}, "a number"),
        ({"none": 1}, "at least 2"),
        ({"one_of": 2}, "3, 1"),
        ({"text": 7}, "text"),
        ({"text": b"a"}, "text"),
        ({"flag": 1}, "true or false"),
    ],
)
def test_values_of_another_type_or_range(values, told):
    ((name, value),) = values.items()
    with pytest.raises(ConfigError) as caught:
        Kind(**values)
    message = str(caught.value)
    assert told in message and f"`{name}`" in message
    assert repr(value)[:50] in message
    assert caught.value.settings == (name,)


def test_paths_and_numbers_of_numpy_are_converted():
    config = TrainingConfig(
        data_dir=Path("faces"),
        seed=np.int64(3),
        learning_rate=np.float32(0.5),
        min_delta=0,
    )
    found = (config.data_dir, config.seed, config.learning_rate)
    assert found == ("faces", 3, 0.5)
    assert list(map(type, found)) == [str, int, float]
    assert type(config.min_delta) is float
    assert TrainingConfig(**dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    "kind",
    [DataConfig, TrainingConfig, ExportConfig, DeviceConfig, PredictConfig],
)
def test_every_number_has_a_range(kind):
    for name, hint in types_of(kind).items():
        scalar, ranges, _ = split_type(hint)
        if get_origin(scalar) is not Literal and scalar in (int, float):
            assert ranges, name


@pytest.mark.parametrize("option", ["2", "0.5", "1e0"])
def test_options_of_a_model_may_be_any_numbers(option):
    config = TrainingConfig(options=f"width={option}")
    assert config.model_options == {"width": float(option)}
    find_model("kerafer_edge", **config.model_options)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: kerafer.train("a"), "str"),
        (lambda: kerafer.train({}), "dict"),
        (lambda: kerafer.reproduce({"a": 1}), "dict"),
        (lambda: kerafer.evaluate(3), "int"),
        (lambda: kerafer.evaluate(None), "dataset"),
        (lambda: kerafer.Recognizer(3), "int"),
        (lambda: kerafer.create_model(7), "7"),
        (lambda: kerafer.create_model(["cnn"]), "['cnn']"),
        (lambda: kerafer.create_model("cnn", "7"), "'7'"),
        (lambda: kerafer.create_model("cnn", 7, 64), "64"),
        (lambda: find_model("wca_mcnn", name=3), "name"),
    ],
)
def test_arguments_of_another_kind_are_user_errors(call, told):
    with pytest.raises(UserError) as caught:
        call()
    assert told in str(caught.value)
