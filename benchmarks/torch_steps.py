"""Training steps in PyTorch, one for each line on standard input.

    python torch_steps.py ARCH PRECISION BATCH SIZE THREADS LAYOUT

LAYOUT is `branches` or `fused`, for the stem. Answers the parameters first,
then the seconds that each step took.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch_models import MODELS


def make_step(
    arch: str,
    precision: str,
    batch: int,
    size: int,
    layout: str,
    device: str = "cpu",
    compiled: bool = False,
) -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    """A model and its training step on one batch of noise on the device.

    The step returns its loss, which on a GPU is not waited for.
    """
    torch.manual_seed(0)
    model = MODELS[arch](layout == "fused").to(
        device, memory_format=torch.channels_last
    )
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    images = torch.randint(0, 256, (batch, 3, size, size)).float()
    images = images.to(device, memory_format=torch.channels_last)
    labels = (torch.arange(batch) % 7).to(device)
    scored = torch.compile(model) if compiled else model

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            device, torch.bfloat16, enabled=precision == "bfloat16"
        ):
            scores = scored(images / 127.5 - 1)
        loss = torch.nn.functional.cross_entropy(scores.float(), labels)
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def main() -> None:
    arch, precision, batch, size, threads, layout = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model, step = make_step(arch, precision, int(batch), int(size), layout)
    print(sum(p.numel() for p in model.parameters()), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        step().item()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
