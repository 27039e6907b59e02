"""The networks: one small convolutional trunk, two detection heads, and a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from digit_training.documents import DIGITS

STRIDE = 8
_CHANNELS = 40
_DILATIONS = (1, 2, 1, 3, 1)


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Trunk(nn.Module):
    """Features of each 8 x 8 pixels, with a view of about 140 pixels around them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(1, 16, stride=2),
            _convolution(16, 32, stride=2),
            _convolution(32, 32),
            _convolution(32, _CHANNELS, stride=2),
        )
        self.blocks = nn.ModuleList(_convolution(_CHANNELS, _CHANNELS, dilation=d) for d in _DILATIONS)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(B, 1, H, W)`` to ``(B, 40, H/8, W/8)``."""
        features: Tensor = self.stem(image)
        for block in self.blocks:
            features = features + block(features)
        return features


class Detector(nn.Module):
    """Both detection heads on their common trunk.

    Parameters
    ----------
    sizes : (A, 2) tensor
        Width and height of the anchors, in pixels of the input.
    """

    sizes: Tensor

    def __init__(self, sizes: Tensor) -> None:
        super().__init__()
        self.register_buffer("sizes", sizes)
        self.trunk = Trunk()
        # Nearly everything is background: the heads start from there.
        self.grid_head = _head(len(sizes), 5 + DIGITS, presence=-4.0)
        self.anchor_head = _head(len(sizes), 4 + 1 + DIGITS, presence=4.0)

    def grid(self, features: Tensor) -> Tensor:
        """Return tx, ty, tw, th, to and class logits, ``(B, H, W, A * 15)``."""
        output: Tensor = self.grid_head(features)
        return output.permute(0, 2, 3, 1)

    def anchored(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets ``(B, N, 4)`` and logits ``(B, N, 11)``, background first, cell by cell."""
        output: Tensor = self.anchor_head(features)
        rows = output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, 4 + 1 + DIGITS)
        return rows[..., :4], rows[..., 4:]

    def anchor_boxes(self, height: int, width: int) -> Tensor:
        """Return the anchors of an input of that size, ``(N, 4)`` xyxy pixels, cell by cell."""
        y, x = torch.meshgrid(torch.arange(height // STRIDE), torch.arange(width // STRIDE), indexing="ij")
        centres = (torch.stack([x, y], dim=-1) + 0.5) * STRIDE
        half = self.sizes / 2
        corners = torch.cat([centres[:, :, None] - half, centres[:, :, None] + half], dim=-1)
        return corners.reshape(-1, 4)


def _head(anchors: int, numbers: int, presence: float) -> nn.Sequential:
    """Return a head of some numbers an anchor, the fifth of which starts at ``presence``."""
    last = nn.Conv2d(_CHANNELS, anchors * numbers, 1)
    assert last.bias is not None
    with torch.no_grad():
        last.bias.view(anchors, numbers)[:, 4] = presence
    return nn.Sequential(_convolution(_CHANNELS, _CHANNELS), last)


class Classifier(nn.Sequential):
    """Logits ``(B, 10)`` of a crop ``(B, 1, 32, 32)``."""

    def __init__(self) -> None:
        super().__init__(
            _convolution(1, 16),
            _convolution(16, 24, stride=2),
            _convolution(24, 32),
            _convolution(32, 48, stride=2),
            _convolution(48, 48),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(48 * 16, DIGITS),
        )
