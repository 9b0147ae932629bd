"""Reference files: small networks of Keras with seeded weights, an input, and what Keras itself answers.

    uv venv /tmp/keras-env && uv pip install --python /tmp/keras-env/bin/python keras jax h5py
    KERAS_BACKEND=jax /tmp/keras-env/bin/python tests/keras_files/make.py [MNIST]
    uv venv /tmp/keras-torch-env && uv pip install --python /tmp/keras-torch-env/bin/python keras torch h5py
    KERAS_BACKEND=torch /tmp/keras-torch-env/bin/python tests/keras_files/make.py [MNIST]
    uv venv /tmp/keras2-env && uv pip install --python /tmp/keras2-env/bin/python tensorflow-cpu==2.15.1
    /tmp/keras2-env/bin/python tests/keras_files/make.py

One network a family of layers, with an output for each layer: NAME.keras, NAME.h5 and NAME.npz, where the input is
`input:NAME` and what a layer makes is `output:NAME`. With MNIST's folder, simple_cnn is trained too. The tests need the
files alone, not Keras. JAX, because it shares nothing with PyTorch. Made with Keras 3.15.1, 2026-11-25. On PyTorch the
same files are answered once more, in NAME.torch.npz, 2026-11-27. Keras 2 writes the same networks, as far as it has
their layers, as keras2_NAME: made with Keras 2.15.0, 2026-11-27.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers as L

HERE = Path(__file__).parent
OLD = keras.__version__.startswith("2.")
Tensor = Any
Branches = dict[str, Tensor]


def convolutions(x: Tensor, line: Tensor, box: Tensor) -> Branches:
    """x (9, 8, 3), line (7, 3), box (5, 4, 6, 2)."""
    return {
        "conv1d_causal": L.Conv1D(4, 3, padding="causal", dilation_rate=2)(line),
        "conv1d_same": L.Conv1D(4, 2, strides=2, padding="same", activation="relu")(line),
        "conv2d_valid": L.Conv2D(4, 3)(x),
        "conv2d_same": L.Conv2D(5, (3, 2), strides=2, padding="same", activation="tanh")(x),
        "conv2d_dilated": L.Conv2D(3, 2, padding="same", dilation_rate=(2, 3), use_bias=False)(x),
        "conv2d_groups": L.Conv2D(6, 3, groups=3)(x),
        "conv3d_same": L.Conv3D(3, 2, strides=(1, 2, 3), padding="same")(box),
        "depthwise1d": L.DepthwiseConv1D(3, depth_multiplier=2)(line),
        "depthwise2d": L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="relu6")(x),
        "separable1d": L.SeparableConv1D(5, 3, padding="same")(line),
        "separable2d": L.SeparableConv2D(5, (2, 3), depth_multiplier=2)(x),
    }


def transposed(x: Tensor, line: Tensor, box: Tensor) -> Branches:
    return {
        "transpose1d": L.Conv1DTranspose(4, 3, strides=2)(line),
        "transpose1d_same": L.Conv1DTranspose(4, 4, strides=2, padding="same", activation="relu")(line),
        "transpose2d_small": L.Conv2DTranspose(3, 2, strides=3)(x),
        "transpose2d_same": L.Conv2DTranspose(3, 3, strides=2, padding="same")(x),
        "transpose2d_one": L.Conv2DTranspose(3, 3, padding="same", use_bias=False)(x),
        "transpose2d_extra": L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(x),
        "transpose3d": L.Conv3DTranspose(2, 2, strides=2, padding="valid")(box),
    }


def pooling(x: Tensor, line: Tensor, box: Tensor) -> Branches:
    found = {
        "max2d_overlap": L.MaxPooling2D(3, 2)(x),
        "max2d_same": L.MaxPooling2D((2, 3), padding="same")(x),
        "average2d_same": L.AveragePooling2D(3, 2, padding="same")(x),
        "average2d_one": L.AveragePooling2D(3, 1, padding="same")(x),
        "global_keeps": L.GlobalAveragePooling2D(keepdims=True)(x),
    }
    for dims, data in ((1, line), (2, x), (3, box)):
        for kind in ("Max", "Average"):
            found[f"{kind.lower()}{dims}d"] = getattr(L, f"{kind}Pooling{dims}D")(2)(data)
            found[f"global_{kind.lower()}{dims}d"] = getattr(L, f"Global{kind}Pooling{dims}D")()(data)
    return found


def normalisation(x: Tensor, line: Tensor) -> Branches:
    return {
        "batch": L.BatchNormalization()(x),
        "batch_plain": L.BatchNormalization(center=False, scale=False, epsilon=1e-5)(line),
        "batch_axis": L.BatchNormalization(axis=1)(x),
        "batch_of_one_place": L.BatchNormalization()(L.GlobalAveragePooling2D(keepdims=True)(x)),
        "layer": L.LayerNormalization()(x),
        "layer_axes": L.LayerNormalization(axis=[1, 2], epsilon=1e-5, scale=False)(x),
        "group": L.GroupNormalization(groups=3)(x),
        "unit": L.UnitNormalization()(line),
        "rescaling": L.Rescaling(1 / 127.5, offset=-1)(x),
        "rescaling_channels": L.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0])(x),
        "normalization_said": L.Normalization(mean=[0.1, 0.2, 0.3], variance=[2.0, 3.0, 4.0])(x),
        "normalization_one": L.Normalization(axis=None, mean=0.4, variance=2.5, invert=True)(x),
        "normalization_adapted": L.Normalization()(line),
    }


def augmentation(x: Tensor) -> Branches:
    """Layers that let pass outside of training; Keras 3.15 cannot write them as .h5."""
    kinds = {"Flip": (), "Rotation": (0.1,), "Zoom": (0.1,), "Contrast": (0.1,), "Brightness": (0.1,)}
    kinds |= {"Translation": (0.1, 0.1)}
    return {f"random_{kind.lower()}": getattr(L, f"Random{kind}")(*values)(x) for kind, values in kinds.items()}


def activations(x: Tensor, line: Tensor) -> Branches:
    names = (
        "relu relu6 leaky_relu elu selu celu gelu silu mish tanh sigmoid hard_sigmoid hard_silu hard_tanh exponential"
    )
    names += " softplus softsign softmax log_softmax log_sigmoid tanh_shrink soft_shrink hard_shrink linear"
    known = [name for name in names.split() if not OLD or hasattr(keras.activations, name)]
    found = {f"function_{name}": L.Activation(name)(line) for name in known}
    return found | {
        "layer_relu": L.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.3)(line),
        "layer_relu_plain": L.ReLU()(line),
        "layer_leaky_relu": L.LeakyReLU(**{"alpha" if OLD else "negative_slope": 0.2})(line),
        "layer_elu": L.ELU(alpha=0.7)(line),
        "layer_prelu": L.PReLU()(line),
        "layer_prelu_shared": L.PReLU(shared_axes=[1, 2])(x),
        "layer_softmax": L.Softmax(axis=1)(line),
        "dropout": L.Dropout(0.5)(line),
        "spatial_dropout1d": L.SpatialDropout1D(0.5)(line),
        "spatial_dropout2d": L.SpatialDropout2D(0.5)(x),
        "alpha_dropout": L.AlphaDropout(0.3)(line),
        "gaussian_dropout": L.GaussianDropout(0.3)(line),
        "gaussian_noise": L.GaussianNoise(0.3)(line),
        "identity": L.Identity()(line),
        "activity": L.ActivityRegularization(l2=0.1)(line),
    }


def shaping(x: Tensor, line: Tensor, box: Tensor) -> Branches:
    return {
        "flatten": L.Flatten()(x),
        "reshape": L.Reshape((4, -1, 3))(x),
        "permute": L.Permute((3, 1, 2))(x),
        "repeat_vector": L.RepeatVector(3)(L.Flatten(name="flat")(line)),
        "padding1d": L.ZeroPadding1D((1, 2))(line),
        "padding2d": L.ZeroPadding2D(((1, 2), (3, 0)))(x),
        "padding3d": L.ZeroPadding3D((1, 0, 2))(box),
        "cropping1d": L.Cropping1D(2)(line),
        "cropping2d": L.Cropping2D(((1, 2), (3, 0)))(x),
        "cropping3d": L.Cropping3D((1, 0, 2))(box),
        "up1d": L.UpSampling1D(3)(line),
        "up2d": L.UpSampling2D((2, 3))(x),
        "up2d_bilinear": L.UpSampling2D(2, interpolation="bilinear")(x),
        "resizing": L.Resizing(9, 3)(x),
        "spatial_dropout3d": L.SpatialDropout3D(0.5)(box),
        "up3d": L.UpSampling3D((1, 2, 3))(box),
    }


def merging(x: Tensor, y: Tensor, line: Tensor) -> Branches:
    found = {
        name.lower(): getattr(L, name)()([x, y])
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    }
    return found | {
        "add_three": L.Add()([x, y, x]),
        "concatenate": L.Concatenate()([x, y]),
        "concatenate_axis": L.Concatenate(axis=1)([x, y]),
        "dot": L.Dot(axes=1)([line, line]),
        "dot_axes": L.Dot(axes=(2, 2), normalize=True)([line, line]),
    }


def arithmetic(x: Tensor, y: Tensor) -> Branches:
    return {
        **{"tensors_added": x + y, "number_added": x + 3.0, "tensors_subtracted": x - y, "from_a_number": 3.0 - x},
        **{"scaled": 0.5 * x, "tensors_multiplied": x * y, "halved": x / 2.0, "divides_a_number": 2.0 / (x * x + 1.0)},
        **{"negative": -x, "squared": x**2},
    }


def recurrent(line: Tensor, film: Tensor) -> Branches:
    sequence = L.LSTM(3, return_sequences=True, name="lstm_sequence")
    last, hidden, cell = L.LSTM(3, return_state=True, name="encoder")(line)
    return {
        "simple": L.SimpleRNN(4)(line),
        "simple_back": L.SimpleRNN(4, return_sequences=True, go_backwards=True, activation="relu")(line),
        "lstm": L.LSTM(4)(line),
        "lstm_sequence": sequence(line),
        "lstm_from_states": L.LSTM(3, recurrent_activation="hard_sigmoid")(line, initial_state=[hidden, cell]),
        "encoder": last,
        "gru": L.GRU(4)(line),
        "gru_before": L.GRU(4, reset_after=False, return_sequences=True)(line),
        "gru_no_bias": L.GRU(4, use_bias=False)(line),
        "both": L.Bidirectional(L.LSTM(3))(line),
        "both_sequence": L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum")(line),
        "both_apart": L.Bidirectional(
            L.LSTM(3, return_sequences=True),
            merge_mode="ave",
            backward_layer=L.LSTM(3, return_sequences=True, go_backwards=True, use_bias=False),
        )(line),
        "each_step": L.TimeDistributed(L.Dense(4, activation="softmax"))(line),
        "each_frame": L.TimeDistributed(L.Conv2D(2, 3))(film),
    }


def attention(query: Tensor, value: Tensor, words: Tensor) -> Branches:
    found = {
        "self": L.MultiHeadAttention(2, 3)(query, query),
        "cross": L.MultiHeadAttention(2, 3, value_dim=4, use_bias=False, dropout=0.1)(query, value),
        "cross_key": L.MultiHeadAttention(3, 2, output_shape=7)(query, value, value),
        "causal": L.MultiHeadAttention(2, 3)(query, query, use_causal_mask=True),
        "dense": L.Dense(4, activation="gelu")(query),
        "dense_no_bias": L.Dense(4, use_bias=False)(query),
    }
    return found | {"embedding": L.Embedding(11, 4)(words)}


def nested(x: Tensor) -> Branches:
    """A layer that is shared, a model within a model that is called twice, and a residual block."""
    inner_input = keras.Input((9, 8, 4))
    inner = L.Conv2D(4, 3, padding="same", name="inside")(inner_input)
    inner = L.BatchNormalization()(inner)
    block = keras.Model(inner_input, L.Add()([inner, inner_input]), name="block")
    head = keras.Sequential([L.GlobalAveragePooling2D(), L.Dense(6, activation="relu"), L.Dense(3)], name="head")
    shared = L.Conv2D(4, 1, name="shared")
    first, second = shared(x), shared(L.Activation("relu", name="positive")(x))
    return {"twice": block(block(first)), "head": head(block(second)), "shared": second}


FAMILIES: dict[str, tuple[Callable[..., Branches], dict[str, tuple[int, ...]]]] = {
    "convolutions": (convolutions, {"x": (9, 8, 3), "line": (7, 3), "box": (5, 4, 6, 2)}),
    "transposed": (transposed, {"x": (5, 4, 3), "line": (7, 3), "box": (3, 2, 3, 2)}),
    "pooling": (pooling, {"x": (9, 8, 3), "line": (7, 3), "box": (5, 4, 6, 2)}),
    "normalisation": (normalisation, {"x": (4, 5, 3), "line": (7, 3)}),
    "augmentation": (augmentation, {"x": (4, 5, 3)}),
    "activations": (activations, {"x": (3, 4, 3), "line": (5, 3)}),
    "shaping": (shaping, {"x": (6, 4, 3), "line": (7, 3), "box": (3, 2, 5, 2)}),
    "merging": (merging, {"x": (3, 4, 3), "y": (3, 4, 3), "line": (5, 3)}),
    "recurrent": (recurrent, {"line": (6, 3), "film": (3, 5, 4, 2)}),
    "attention": (attention, {"query": (5, 6), "value": (4, 8), "words": (4,)}),
    "nested": (nested, {"x": (9, 8, 3)}),
    "arithmetic": (arithmetic, {"x": (3, 4), "y": (3, 4)}),
}


def seed_weights(model: Any, random: np.random.Generator) -> None:
    """Numbers for every weight, biases and moving means too; variances above 0."""
    for weight in model.weights:
        path = weight.name if OLD else weight.path
        if "seed_generator" in path or "StateVar" in path or path.endswith(("count", "count:0")):
            continue
        low, high = (0.5, 1.5) if "variance" in weight.name else (-0.6, 0.6)
        weight.assign(random.uniform(low, high, weight.shape).astype(np.float32))
    for layer in model.layers:
        if isinstance(layer, L.Normalization):
            layer.finalize_state()  # else it goes on with what its weights were


def write(name: str, model: Any, inputs: dict[str, np.ndarray]) -> None:
    outputs = model.predict(inputs, verbose=0)
    if not isinstance(outputs, dict):
        outputs = {"answer": outputs}
    name = f"keras2_{name}" if OLD else name
    kept = {f"input:{key}": value for key, value in inputs.items()} | {f"output:{key}": v for key, v in outputs.items()}
    np.savez_compressed(HERE / f"{name}.npz", **kept)
    model.save(HERE / f"{name}.keras")
    if name != "augmentation":
        model.save(HERE / f"{name}.h5")


def make_family(name: str, seed: int) -> None:
    keras.backend.clear_session()  # layers' names are counted from the beginning
    keras.utils.set_random_seed(seed)
    random = np.random.Generator(np.random.Philox(seed))
    build, shapes = FAMILIES[name]
    tensors = {key: keras.Input(shape, name=key) for key, shape in shapes.items()}
    model = keras.Model(tensors, build(*tensors.values()), name=name)
    seed_weights(model, random)
    data = {key: random.uniform(-2, 2, (2, *shape)).astype(np.float32) for key, shape in shapes.items()}
    if "words" in data:
        data["words"] = random.integers(0, 11, (2, 4)).astype(np.float32)
    write(name, model, data)


def make_classifier(seed: int) -> None:
    """A Sequential for pictures of three channels with its own Rescaling, ending in a softmax."""
    keras.backend.clear_session()  # layers' names are counted from the beginning
    keras.utils.set_random_seed(seed)
    random = np.random.Generator(np.random.Philox(seed))
    model = keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dropout(0.3),
            L.Dense(4, activation="softmax"),
        ],
        name="classifier",
    )
    seed_weights(model, random)
    pixels = random.integers(0, 256, (5, 12, 10, 3)).astype(np.float32)
    answers = model.predict(pixels, verbose=0)
    np.savez_compressed(HERE / "classifier.npz", pixels=pixels.astype(np.uint8), answers=answers)
    model.save(HERE / "classifier.keras")
    model.save(HERE / "classifier.h5")


def read_mnist(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = (
        np.frombuffer(gzip.decompress((folder / f"{split}-{name}.gz").read_bytes()), np.uint8, offset=skip)
        for name, skip in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8))
    )
    return pixels.reshape(-1, 28, 28, 1), labels


def train_simple_cnn(folder: Path) -> None:
    """Keras's own example for MNIST (simple_cnn, Chollet, 2015), with half its filters: shares of 0..1 go in."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    pixels, labels = read_mnist(folder, "train")
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Conv2D(32, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(10, activation="softmax"),
        ],
        name="simple_cnn",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pixels[:20_000] / np.float32(255), labels[:20_000], 128, 3, verbose=2)
    test, right = read_mnist(folder, "t10k")
    answers = model.predict(test / np.float32(255), 250, verbose=0)
    correct = answers.argmax(1) == right
    print("accuracy of 10,000:", correct.mean(), "of the first 2,000:", correct[:2000].mean())
    np.savez_compressed(HERE / "simple_cnn.npz", correct=correct, answers=answers[:100])
    bare = keras.models.clone_model(model)  # without the optimiser, which would be two thirds of the file
    bare.set_weights(model.get_weights())
    bare.save(HERE / "simple_cnn.keras")
    bare.save(HERE / "simple_cnn.h5")


def answer_on_torch(mnist: Path | None) -> None:
    """What Keras on PyTorch answers to the same files and inputs, which JAX made."""
    for name in FAMILIES:
        held = np.load(HERE / f"{name}.npz")
        inputs = {key.removeprefix("input:"): held[key] for key in held.files if key.startswith("input:")}
        model = keras.saving.load_model(HERE / f"{name}.keras")
        answers = {}
        for key, output in model.output.items():
            try:
                answers[f"output:{key}"] = keras.Model(model.input, output).predict(inputs, verbose=0)
            except RuntimeError as error:  # what JAX answers, and Keras on PyTorch does not
                print(f"{name}: {key}: {str(error).splitlines()[0]}")
        np.savez_compressed(HERE / f"{name}.torch.npz", **answers)
    pixels = np.load(HERE / "classifier.npz")["pixels"].astype(np.float32)
    answers = keras.saving.load_model(HERE / "classifier.keras").predict(pixels, verbose=0)
    np.savez_compressed(HERE / "classifier.torch.npz", answers=answers)
    if mnist is not None:
        pictures, labels = read_mnist(mnist, "t10k")
        answers = keras.saving.load_model(HERE / "simple_cnn.keras").predict(pictures / np.float32(255), 250, verbose=0)
        np.savez_compressed(HERE / "simple_cnn.torch.npz", correct=answers.argmax(1) == labels, answers=answers[:100])


def main() -> None:
    if keras.backend.backend() == "torch":
        answer_on_torch(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        return
    if len(sys.argv) > 1:
        train_simple_cnn(Path(sys.argv[1]))
        return
    for seed, name in enumerate(FAMILIES):
        make_family(name, seed)
    if not OLD:
        make_classifier(100)


if __name__ == "__main__":
    main()
