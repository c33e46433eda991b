"""Images a second of PyTorch on a GPU, eager and compiled, in bfloat16.

    python benchmarks/torch_on_gpu.py --out torch.csv

The models are those of torch_models.py, channels last, Adam fused, on one
batch that lies on the GPU.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch_models import MODELS

BATCHES = {"wca_mcnn": 256, "msc_wca_resnet18": 128}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    rows = ["model,engine,batch_size,images_per_second,torch,device"]
    for name, batch in BATCHES.items():
        for engine in ("eager", "compiled"):
            speed = _speed(MODELS[name], engine, batch, parsed)
            rows.append(
                f"{name},{engine},{batch},{speed:.0f},"
                f"{torch.__version__},{torch.cuda.get_device_name()}"
            )
            print(rows[-1], flush=True)
            parsed.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _speed(
    make: Callable[[bool], torch.nn.Module],
    engine: str,
    batch: int,
    parsed: argparse.Namespace,
) -> float:
    size = parsed.image_size
    model = make(True).cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    images = torch.randint(0, 256, (batch, 3, size, size)).float().cuda()
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 7, (batch,)).cuda()
    loss_of = torch.nn.CrossEntropyLoss()
    run = torch.compile(model) if engine == "compiled" else model

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_of(run(images / 127.5 - 1), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(10):
        step()
    taken = []
    for _ in range(parsed.rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(parsed.steps):
            step()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - began) / parsed.steps)
    return batch / statistics.median(taken)


if __name__ == "__main__":
    main()
