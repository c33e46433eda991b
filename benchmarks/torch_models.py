"""The article's two models in PyTorch, to measure ours against.

Written as PyTorch's users write it: the branches of the stem are convolutions
of their own, unless `fused`.
"""

import torch
from torch import nn
from torch.nn import functional


class MultiScale(nn.Module):
    """3x3, 5x5 and 7x7 side by side, or as one 7x7 (`fused`)."""

    def __init__(self, stride: int, bias: bool, fused: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(3, 64, size, stride, size // 2, bias=bias)
            for size in (3, 5, 7)
        )
        self.fused = fused

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.fused:
            return torch.cat([branch(x) for branch in self.branches], 1)
        kernels = [
            functional.pad(branch.weight, ((7 - size) // 2,) * 4)
            for branch, size in zip(self.branches, (3, 5, 7), strict=True)
        ]
        biases = [branch.bias for branch in self.branches]
        return functional.conv2d(
            x,
            torch.cat(kernels),
            None if biases[0] is None else torch.cat(biases),
            self.branches[0].stride,
            3,
        )


class WaveletChannelAttention(nn.Module):
    """Channel attention with a Morlet wavelet for ReLU."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // ratio, bias=False)
        self.expand = nn.Linear(channels // ratio, channels, bias=False)
        self.scale = nn.Parameter(torch.ones(channels // ratio))
        self.shift = nn.Parameter(torch.zeros(channels // ratio))

    def branch(self, pooled: torch.Tensor) -> torch.Tensor:
        t = (self.reduce(pooled) - self.shift) / self.scale
        return self.expand(torch.cos(1.75 * t) * torch.exp(-t * t / 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.branch(x.amax((2, 3))) + self.branch(x.mean((2, 3)))
        return x * torch.sigmoid(gate)[:, :, None, None]


def wca_mcnn(fused: bool) -> nn.Module:
    """wCA-MCNN for 7 classes and 224 x 224 pixels."""
    return nn.Sequential(
        MultiScale(4, True, fused),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        WaveletChannelAttention(192),
        nn.Conv2d(192, 192, 5, padding=2),
        nn.BatchNorm2d(192),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.BatchNorm2d(256),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.3),
        nn.Linear(4096, 7),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or channels != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False),
                nn.BatchNorm2d(filters),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def msc_wca_resnet18(fused: bool) -> nn.Module:
    """MsC-wCA-ResNet18 for 7 classes."""
    blocks, channels = [], 192
    for filters in (64, 128, 256, 512):
        for index in range(2):
            stride = 2 if index == 0 and filters > 64 else 1
            blocks.append(BasicBlock(channels, filters, stride))
            channels = filters
    return nn.Sequential(
        MultiScale(1, False, fused),
        nn.BatchNorm2d(192),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        WaveletChannelAttention(192),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 7),
    )


MODELS = {"wca_mcnn": wca_mcnn, "msc_wca_resnet18": msc_wca_resnet18}
