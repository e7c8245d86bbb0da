"""The nearest-neighbour upsampling and 5 x 5 convolution of MUNIT's decoders, computed without the upsampled image.

In the enlarged image each pixel stands four times, so a 5 x 5 window holds 3 x 3 different pixels, and its weights may
be added up before they meet them, in one way for each of the four places that an output can have over its pixel. That
is 9 products in place of 25, and the same sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, pixel_shuffle

from i2ibench.policy import current

# For outputs at even and at odd places: which of the 5 weights along a side meet the pixel before, under and after it.
MEETINGS = [[[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]]
NUMBERS = 2**16  # of a batch before it is enlarged: with fewer, adding up weights and the borders take longer


class Enlarging(nn.Conv2d):
    """(N, channels_in, H, W) to (N, channels_out, 2 H, 2 W): nearest x2, then 5 x 5 with reflected borders."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 5, padding=2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        if not self._pays(x):
            return self._reflected(twice(x), (2, 2, 2, 2))
        meetings = torch.tensor(MEETINGS, dtype=self.weight.dtype)
        added = torch.einsum("pay,qbx,oiyx->opqiab", meetings, meetings, self.weight).flatten(0, 2)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        found = pixel_shuffle(conv2d(pad(x, (1, 1, 1, 1), "replicate"), added, bias), 2)
        # In the outermost rows and columns two of those seen are reflected, and not copies of one pixel.
        found[:, :, :1] = self._reflected(twice(x[:, :, :2])[:, :, :3], (2, 2, 2, 0))
        found[:, :, -1:] = self._reflected(twice(x[:, :, -2:])[:, :, 1:], (2, 2, 0, 2))
        found[..., :1] = self._reflected(twice(x[..., :2])[..., :3], (2, 0, 2, 2))
        found[..., -1:] = self._reflected(twice(x[..., -2:])[..., 1:], (0, 2, 2, 2))
        return found

    def _reflected(self, enlarged: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
        """The convolution of an enlarged image, or of a strip of it that is reflected on the sides named."""
        return conv2d(pad(enlarged, padding, "reflect"), self.weight, self.bias)

    def _pays(self, x: Tensor) -> bool:
        """Whether this is faster (measured: by 1.3 to 2.4 from so many numbers on), and is wanted.

        In bf16 with channels last (AMX) products are so fast that what surrounds them costs as much as is saved.
        Outside of training it is not: what a trained network gives stays as it is, and so does its export.
        """
        policy = current()
        fast = policy.precision == "bf16" and policy.channels_last
        wanted = policy.rewritten and not fast and torch.is_grad_enabled() and x.device.type == "cpu"
        return wanted and x.numel() >= NUMBERS and min(x.shape[-2:]) > 1


def twice(x: Tensor) -> Tensor:
    """The nearest-neighbour upsampling (N, C, H, W) to (N, C, 2 H, 2 W)."""
    return interpolate(x, scale_factor=2)
