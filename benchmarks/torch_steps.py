"""Training steps in PyTorch, one for each line on standard input.

    python torch_steps.py ARCH PRECISION BATCH SIZE THREADS LAYOUT

LAYOUT is `branches` or `fused`, for the stem. Answers the parameters first,
then the seconds that each step took.
"""

import sys
import time

import torch
from torch_models import MODELS


def main() -> None:
    arch, precision, batch, size, threads, layout = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    model = MODELS[arch](layout == "fused").to(
        memory_format=torch.channels_last
    )
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    images = torch.randint(0, 256, (int(batch), 3, int(size), int(size)))
    images = images.float().to(memory_format=torch.channels_last)
    labels = torch.arange(int(batch)) % 7

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=precision == "bfloat16"
        ):
            scores = model(images / 127.5 - 1)
        loss = torch.nn.functional.cross_entropy(scores.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    print(sum(p.numel() for p in model.parameters()), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        print(time.perf_counter() - began, flush=True)


main()
