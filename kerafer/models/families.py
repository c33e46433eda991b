"""Variants of a model family, registered from a table."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from kerafer.models.attention import (
    AttentionOptions,
    WaveletOptions,
    make_attention,
)
from kerafer.models.registry import Builder, ModelSpec, add_model
from kerafer.models.stem import StemOptions

_ARTICLE = "Liu et al., Scientific Reports 15, 22219 (2025), "


class Variant(NamedTuple):
    """A model of the article.

    Args:
        name: For `create_model`.
        multi_scale: Whether it has the multi-scale stem, and its options.
        attention: `"wca"`, which is an option then, `"wse"` or `None`.
        place: In the article.
    """

    name: str
    multi_scale: bool
    attention: str | None
    place: str


def add_family(
    build: Builder,
    options: dict[str, Any],
    stem_options: dict[str, Any],
    variants: Sequence[Variant],
) -> None:
    """Register all variants of a family.

    Args:
        build: Called with the variant, `num_classes`, `input_shape` and the
            options of the variant.
        options: Names and types of the options of all variants.
        stem_options: Those of the variants with the multi-scale stem, besides
            `StemOptions`.
        variants: The models.
    """
    for variant in variants:
        types = dict(options)
        if variant.multi_scale:
            types |= typing.get_type_hints(StemOptions) | stem_options
        if variant.attention == "wse":
            types |= typing.get_type_hints(WaveletOptions)
        elif variant.attention:
            types |= typing.get_type_hints(AttentionOptions)

        def builder(
            *arguments: Any, variant: Variant = variant, **given: Any
        ) -> keras.Model:
            return build(variant, *arguments, **given)

        add_model(
            ModelSpec(variant.name, builder, types, _ARTICLE + variant.place)
        )


def variant_attention(
    variant: Variant, options: dict[str, Any]
) -> keras.layers.Layer | None:
    """Make the attention layer of a variant, or `None`."""
    if variant.attention is None:
        return None
    return make_attention(**{"attention": variant.attention, **options})
