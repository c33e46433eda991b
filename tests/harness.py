"""Checks that every layer and every model has to pass, a call each."""

import inspect
import json
import subprocess
import sys
import textwrap
import zipfile

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

POLICIES = {
    "float32": 0.0,
    "float64": 1e-5,
    "mixed_bfloat16": 0.06,
    "mixed_float16": 0.01,
}


def pictures(shape, seed=0):
    """Random images, 0..255, float32."""
    generator = np.random.default_rng(seed)
    return generator.uniform(0, 255, shape).astype("float32")


def colour(red, green, blue, size=(8, 8)):
    """An image of one colour, uint8."""
    return np.full((*size, 3), (red, green, blue), np.uint8)


def noise(height, width, seed=0):
    """An image of random pixels, uint8."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3)).astype(np.uint8)


def check_layer(kind, arguments, inputs):
    """Shapes, configuration, saving, gradients and precisions of a layer."""
    keras.utils.set_random_seed(3)
    layer = kind(**arguments)
    outputs = keras.ops.convert_to_numpy(layer(inputs))
    assert layer.compute_output_shape(inputs.shape) == outputs.shape
    symbolic = keras.Input(inputs.shape[1:])
    assert kind(**arguments)(symbolic).shape == (None, *outputs.shape[1:])

    config = layer.get_config()
    own = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    assert own <= set(config), own - set(config)
    json.dumps(config)
    twin = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    if not twin.built:
        twin.build(inputs.shape)
    twin.set_weights(layer.get_weights())
    assert twin.get_config() == config
    np.testing.assert_array_equal(twin(inputs), outputs)

    check_gradients(layer, inputs)
    for policy, tolerance in POLICIES.items():
        other = kind(**arguments, dtype=policy)
        other.build(inputs.shape)
        other.set_weights(layer.get_weights())
        result = other(tf.cast(inputs, other.compute_dtype))
        assert result.dtype == other.compute_dtype
        np.testing.assert_allclose(
            tf.cast(result, "float64"), outputs, atol=tolerance * 4 + 1e-6
        )
    return layer, outputs


def check_gradients(layer, inputs):
    """Every trainable weight gets a finite gradient that is not all zero."""
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=True)
        # Random targets: a symmetric loss could cancel some gradients.
        targets = np.random.default_rng(1).normal(size=outputs.shape)
        targets = tf.cast(targets, outputs.dtype)
        loss = tf.reduce_mean(tf.square(outputs - targets))
    weights = [v.value for v in layer.trainable_variables]
    gradients = tape.gradient(loss, weights)
    for variable, gradient in zip(
        layer.trainable_variables, gradients, strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


def predict_in_fresh_process(files, inputs, tmp_path):
    """What models answer in a process that imports kerafer and no more."""
    np.save(tmp_path / "inputs.npy", inputs)
    program = """
        import sys
        import numpy as np
        import kerafer
        folder, *files = sys.argv[1:]
        inputs = np.load(folder + "/inputs.npy")
        for index, file in enumerate(files):
            model = kerafer.load_model(file)
            np.save(f"{folder}/{index}.npy", model.predict(inputs, verbose=0))
    """
    run_python(program, tmp_path, *files)
    return [np.load(tmp_path / f"{i}.npy") for i in range(len(files))]


def save_without(model, setting, folder):
    """Save a model as a version did that had a layer's setting not yet.

    Args:
        model: One of its layers has the setting.
        setting: As in the file, such as `'"groups": 1'`.
        folder: To write in.

    Returns:
        The file.
    """
    new, old = folder / "new.keras", folder / "old.keras"
    model.save(new)
    with zipfile.ZipFile(new) as theirs, zipfile.ZipFile(old, "w") as ours:
        for name in theirs.namelist():
            content = theirs.read(name)
            if name == "config.json":
                text = content.decode()
                assert text.count(f", {setting}") == 1
                content = text.replace(f", {setting}", "")
                assert setting.split(":")[0] not in content
            ours.writestr(name, content)
    return old


def run_python(program, *arguments, env=None):
    """Run a program in a process of its own; its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_kerafer(*words, wait=True, program=("-m", "kerafer"), **options):
    """A command in a process of its own: what it printed, or the process."""
    process = subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    if not wait:
        return process
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out + errors


def assert_same_history(one, other, epochs, **tolerance):
    """Two runs had the same epochs, but for how long they took."""
    tables = [
        pd.read_csv(run / "history.csv").drop(
            columns=["seconds", "images_per_second"]
        )
        for run in (one, other)
    ]
    assert len(tables[0]) == epochs
    pd.testing.assert_frame_equal(*tables, **tolerance)
