"""wCA, the article's wavelet channel attention."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.arguments import boolean, get_settings, one_of
from kerafer.layers.gate import BottleneckGate
from kerafer.layers.morlet import Morlet

# Of the moving averages of `normalize`.
_MOMENTUM, _EPSILON = 0.9, 1e-5


@keras.saving.register_keras_serializable(package="kerafer")
class WaveletChannelAttention(BottleneckGate):
    """Weigh channels by a trainable wavelet of their pools (wCA).

        branch(p) = W2 . psi(W1 . p)
        output = inputs * sigmoid(branch(max pool) + branch(average pool))

    Both pools are global. W1 reduces the channels by `ratio`, W2 restores
    them, neither has a bias, and psi is `kerafer.layers.Morlet`. This is the
    article's layer. Its future work asks for other fusions of the two pools,
    which replace the sum in the sigmoid:

        "gated":  g * branch(max pool) + (1 - g) * branch(average pool)
                  with g = sigmoid(Wg . [max pool, average pool] + bg)
        "concat": branch([max pool, average pool])

    g is one number for each image. One for each channel would take a Wg of
    `2 * C * C` numbers, four times the attention itself at ratio 4. Wg and bg
    start at 0, so g starts at 1/2 and the gate at the mean of the branches,
    half of what `"sum"` starts with.

    With C channels, ratio r, shared weights and psi per channel there are
    `2 * C * C / r + 2 * C / r` parameters. `"gated"` has `2 * C + 1` more, and
    `"concat"`, whose W1 takes 2C values, `C * C / r` more: at 192 channels and
    ratio 4 that is 18,528, 18,913 and 27,744.

    Args:
        ratio: Divides the channels. Default: 4, which the article names three
            times (and 8 once).
        shared: Whether both branches use the same W1, W2 and psi. Default:
            `True`; the article can be read either way.
        wavelet: As in `Morlet`. Default: `"morlet"`.
        center_frequency: As in `Morlet`. Default: 1.75.
        per_channel: Whether each reduced channel has its own scale and shift.
            Default: `True`.
        trainable_wavelet: Whether training changes the scale and shift of psi.
            Default: `True`.
        fusion: `"sum"`, `"gated"` or `"concat"`, as above. Default: `"sum"`,
            the article's.
        normalize: Whether W1 p is batch-normalized, for each pool by itself
            and without a trainable scale or shift, so that psi's input varies
            in its sensitive range. Exports fold it into W1. Default: `False`,
            as in the article.
        adapt: Whether `adapt_wavelets` may choose the first scale and shift.
            `kerafer.train` calls it. Default: `False`.
        learning_rate_multiplier: As in `Morlet`. Default: 1.
        **kwargs: Those of `Gate`: `data_format`, `kernel_initializer`,
            `kernel_regularizer`, `kernel_constraint`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: If the ratio is below 1 or does not divide the channels,
            the number of channels is undefined, the wavelet or fusion is
            unknown, `"concat"` is used without shared weights, or `adapt` with
            `normalize`.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(WaveletChannelAttention()(features))
        (1, 27, 27, 192)

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Forward propagation
        of the wCA".
    """

    def __init__(
        self,
        ratio: int = 4,
        shared: bool = True,
        wavelet: str = "morlet",
        center_frequency: float = 1.75,
        per_channel: bool = True,
        trainable_wavelet: bool = True,
        fusion: str = "sum",
        normalize: bool = False,
        adapt: bool = False,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(ratio, shared, **kwargs)
        self.fusion = one_of("fusion", fusion, ("sum", "gated", "concat"))
        if fusion == "concat" and not shared:
            raise ValueError(
                '`fusion="concat"` needs shared=True: both pools have one set '
                "of weights. Received: shared=False"
            )
        self.wavelet = wavelet
        self.center_frequency = center_frequency
        self.per_channel = per_channel
        self.trainable_wavelet = trainable_wavelet
        self.normalize = boolean("normalize", normalize)
        self.adapt = boolean("adapt", adapt)
        if adapt and normalize:
            raise ValueError(
                "`adapt` has no effect on normalized values. Received: "
                "adapt=True, normalize=True"
            )
        self.learning_rate_multiplier = learning_rate_multiplier
        self._constants: list[tuple[Any, Any, Any, Any]] = []
        self.norms = [
            keras.layers.BatchNormalization(
                momentum=_MOMENTUM,
                epsilon=_EPSILON,
                center=False,
                scale=False,
                dtype=self.gate_dtype,
                name=f"norm_{name}",
            )
            for name in (self._inputs if normalize else ())
        ]
        self.wavelets = [
            Morlet(
                center_frequency=center_frequency,
                per_channel=per_channel,
                wavelet=wavelet,
                trainable_wavelet=trainable_wavelet,
                learning_rate_multiplier=learning_rate_multiplier,
                dtype=self.gate_dtype,
                name=f"psi_{name}",
            )
            for name in self._served
        ]

    @property
    def _inputs(self) -> tuple[str, ...]:
        """The names of what W1 is applied to."""
        return ("both",) if self.fusion == "concat" else self.pools

    def _pooled_values(self, channels: int) -> int:
        return channels * (len(self.pools) if self.fusion == "concat" else 1)

    def _build_branch(self, index: int, reduced: int, channels: int) -> None:
        self.wavelets[index].build((None, reduced))
        if index == 0:
            for norm in self.norms:
                norm.build((None, reduced))
        if self.fusion == "gated" and index == len(self._served) - 1:
            self.fusion_kernel = self.add_weight(
                name="fusion_kernel",
                shape=(len(self.pools) * channels, 1),
                initializer="zeros",
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
                autocast=False,
            )
            self.fusion_bias = self._bias("fusion_bias", 1)

    def gate(self, inputs: Any) -> Any:
        if self.fusion == "sum":
            return super().gate(inputs)
        both = ops.concatenate(
            [self._pooled(inputs, pool) for pool in self.pools], axis=-1
        )
        if self.fusion == "concat":
            return ops.sigmoid(self._branch(both, 0))
        maximum, average = self._branches(inputs)
        share = ops.sigmoid(
            ops.matmul(both, self.fusion_kernel) + self.fusion_bias
        )
        return ops.sigmoid(share * maximum + (1.0 - share) * average)

    def adapt_to(self, features: Any) -> None:
        """Set scale and shift so that psi's input is about N(0, 1).

        They become the deviation and the mean of W1 p over both pools, for
        each channel with `per_channel`.

        Args:
            features: What the layer receives for some images.
        """
        for index, psi in enumerate(self.wavelets):
            values = np.concatenate(
                [
                    ops.convert_to_numpy(self._reduced(features, number))
                    for number in range(len(self._inputs))
                    if self._set_of(number) == index
                ]
            )
            axis = 0 if self.per_channel else None
            psi.set_parameters(values.std(axis), values.mean(axis))

    def wavelet_inputs(self, features: Any) -> dict[str, Any]:
        """Compute t, what psi depends on, for each pool.

        Args:
            features: What the layer receives for some images.

        Returns:
            Arrays of shape `(images, reduced channels)` by the name of the
            pool.
        """
        return {
            name: self.wavelets[self._set_of(number)].argument(
                self._normalized(self._reduced(features, number), number)
            )
            for number, name in enumerate(self._inputs)
        }

    def _reduced(self, inputs: Any, number: int) -> Any:
        pools = self.pools
        if self.fusion != "concat":
            pools = pools[number : number + 1]
        values = [self._pooled(inputs, pool) for pool in pools]
        return ops.matmul(
            ops.concatenate(values, axis=-1),
            self.reduce_kernels[self._set_of(number)],
        )

    def _normalized(self, values: Any, number: int) -> Any:
        return self.norms[number](values) if self.norms else values

    def set_export(self, form: str | None) -> None:
        """Compute with constants while the model is exported.

        They fold the normalization into W1. For files of 8 bits psi becomes
        `Ramps`, and W1 gets a few more columns, which give constants: they
        hold the range of every tensor (see `Ramps.pins`), and W2 ignores them.

        Args:
            form: `"float"`, `"integer"` or, to compute as in training, `None`.
        """
        self._constants = []
        if form == "integer" or (form is not None and self.norms):
            self._constants = [
                self._fold(number, form == "integer")
                for number in range(len(self._inputs))
            ]

    def _fold(self, number: int, integer: bool) -> tuple[Any, Any, Any, Any]:
        """Return W1, its bias, the activation and W2."""
        index = self._set_of(number)
        psi: Any = self.wavelets[index]
        reduce = ops.convert_to_numpy(self.reduce_kernels[index])
        expand = ops.convert_to_numpy(self.expand_kernels[index])
        bias = np.zeros(reduce.shape[1], np.float32)
        if self.norms:
            norm = self.norms[number]
            variance = ops.convert_to_numpy(norm.moving_variance)
            spread = np.sqrt(variance + _EPSILON)
            reduce = reduce / spread
            bias = -ops.convert_to_numpy(norm.moving_mean) / spread
        if integer:
            ramps, factor, summand = psi.ramps()
            pins = ramps.pins
            reduce = np.pad(reduce * factor, ((0, 0), (0, len(pins))))
            bias = np.append(bias * factor + summand, pins)
            expand = np.pad(expand, ((0, len(pins)), (0, 0)))

            def psi(values: Any) -> Any:
                return ramps(ops.relu6(values))

        return reduce, bias.astype(np.float32), psi, expand

    def _branch(self, values: Any, pool: int) -> Any:
        if not self._constants:
            return super()._branch(values, pool)
        reduce, bias, psi, expand = self._constants[pool]
        return ops.matmul(psi(ops.matmul(values, reduce) + bias), expand)

    def _activate(self, values: Any, pool: int) -> Any:
        psi = self.wavelets[self._set_of(pool)]
        return psi(self._normalized(values, pool))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self,
            "wavelet",
            "center_frequency",
            "per_channel",
            "trainable_wavelet",
            "fusion",
            "normalize",
            "adapt",
            "learning_rate_multiplier",
        )


def adapt_wavelets(model: keras.Model, images: np.ndarray) -> None:
    """Choose the first scale and shift of layers with `adapt=True`.

    Args:
        model: A functional model that has not been trained.
        images: Some training images, as the model takes them.
    """
    for layer in model.layers:
        if isinstance(layer, WaveletChannelAttention) and layer.adapt:
            before = keras.Model(model.inputs, layer.input)
            layer.adapt_to(before.predict(images, verbose=0))
