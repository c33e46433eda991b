"""`kerafer synthesize`: the synthetic faces as files."""

from __future__ import annotations

import argparse
import dataclasses

from kerafer.console import console
from kerafer.files import output_folder
from kerafer.settings import Settings, add_flags, from_flags, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynthesizeConfig(Settings):
    """What is drawn."""

    people: int = setting(70, "people, at most 70", least=1, most=70)
    angles: str = setting("all", "views, such as HL,S,HR")
    seed: int = setting(
        0, "other seeds draw other people", least=0, most=2**32 - 1
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_flags(parser, SynthesizeConfig)
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="folder to write into"
    )


def run(parsed: argparse.Namespace) -> int:
    """Draw and write."""
    from kerafer.datasets.kdef import parse_angles
    from kerafer.datasets.synthetic import write_kdef_tree

    config = from_flags(SynthesizeConfig, parsed)
    output_folder(parsed.out)
    count = write_kdef_tree(
        parsed.out,
        people=config.people,
        angles=parse_angles(config.angles),
        seed=config.seed,
    )
    console.print(
        f"{count:,} images in {parsed.out}. Train on them with\n"
        f"    kerafer train --dataset kdef --data-dir {parsed.out}",
        soft_wrap=True,
    )
    return 0
