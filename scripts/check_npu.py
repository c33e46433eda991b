"""Compile exported int8 models for Arm Ethos-U NPUs, and count CPU operators.

    make check-npu EXPORT=exported/my_model

Needs the package ethos-u-vela, which has an environment of its own. Vela
estimates latency and memory, which are also written to the end of each
MODEL_CARD.md; nothing is measured on a device. Exit code: 0 if every operator
runs on the NPU, else 1.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
HEADING = "## Estimates for Arm Ethos-U"
SHOWN = ("accelerator", "cpu_operators", "latency_ms", "sram_kib", "flash_kib")
COLUMNS = (
    *("model", "accelerator", "cpu_operators", "npu_operators"),
    *("latency_ms", "sram_kib", "flash_kib", "vela"),
)


def compile_for(file: Path, accelerator: str) -> dict[str, str]:
    """Compile a .tflite file and return what Vela reports."""
    vela = Path(sys.executable).with_name("vela")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(vela, file, "--accelerator-config", accelerator),
                *("--output-dir", folder),
            ],
            capture_output=True,
            text=True,
        )
        summaries = list(Path(folder).glob("*_summary_*.csv"))
        if done.returncode or not summaries:
            raise SystemExit(f"Vela cannot compile {file}:\n{done.stderr}")
        with summaries[0].open(newline="", encoding="utf-8") as stream:
            (summary,) = csv.DictReader(stream)
    version = subprocess.run(
        [vela, "--version"], capture_output=True, text=True, check=True
    )

    def count(unit: str) -> str:
        found = re.search(rf"{unit} operators = (\d+)", done.stdout)
        if found is None:
            raise SystemExit(f"Vela reports no {unit} operators for {file}.")
        return found[1]

    kib = float(summary["dram_memory_used"]) + float(
        summary["off_chip_flash_memory_used"]
    )
    return {
        "model": file.parent.name,
        "accelerator": accelerator,
        "cpu_operators": count("CPU"),
        "npu_operators": count("NPU"),
        "latency_ms": f"{1e3 * float(summary['inference_time']):.2f}",
        "sram_kib": f"{float(summary['sram_memory_used']):.0f}",
        "flash_kib": f"{kib:.0f}",
        "vela": version.stdout.strip(),
    }


def write_on_card(card: Path, rows: list[dict[str, str]]) -> None:
    """Replace the section of estimates at the end of a model card."""
    lines = [
        HEADING,
        "",
        f"By Arm's compiler Vela {rows[0]['vela']}, with its default "
        "configuration of each NPU. Nothing was measured on a device.",
        "",
        "| NPU | operators on its CPU | latency, ms | SRAM, KiB | flash, KiB |",
        "|---|---:|---:|---:|---:|",
        *(f"| {' | '.join(row[name] for name in SHOWN)} |" for row in rows),
    ]
    text = card.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    whole = "\n".join([text, "", *lines, ""])
    card.write_text(whole, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exports", nargs="+", type=Path, metavar="EXPORT")
    parser.add_argument("--out", type=Path, metavar="CSV")
    parsed = parser.parse_args()
    rows = []
    for export in parsed.exports:
        file = export / "int8.tflite"
        if not file.is_file():
            parser.error(f"File not found: {file}")
        for accelerator in ACCELERATORS:
            rows.append(compile_for(file, accelerator))
            print(", ".join(f"{k} {v}" for k, v in rows[-1].items()))
        card = export / "MODEL_CARD.md"
        if card.is_file():
            write_on_card(card, rows[-len(ACCELERATORS) :])
    if parsed.out is not None:
        with parsed.out.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return int(any(row["cpu_operators"] != "0" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
