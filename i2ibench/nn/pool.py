"""A history of generated images, from which the discriminator also learns (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """CycleGAN's image pool: `pool(fakes)` gives back the fakes, about half of them exchanged for older ones.

    Until it is full the pool keeps each image and returns it. Then each image is, with probability 1/2, swapped for
    a random one of the pool. The content is part of `state_dict`, and loads into an empty pool too. All choices
    come from torch's global CPU generator, so they need no synchronisation with a device.
    """

    images: Tensor

    def __init__(self, size: int = 50) -> None:
        """`size`: how many images to keep; 0 turns the pool off."""
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.empty(0), persistent=False)  # moves with .to(); saved as extra state

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W), detached."""
        fakes = fakes.detach()
        if self.size == 0:
            return fakes
        if len(self.images) == 0:
            self.images = fakes.new_empty(0, *fakes.shape[1:])
        chosen = []
        for fake in fakes:
            if len(self.images) < self.size:
                self.images = torch.cat([self.images, fake[None]])
            elif torch.rand(()) < 0.5:
                slot = int(torch.randint(self.size, ()))
                older = self.images[slot].clone()
                self.images[slot] = fake
                fake = older
            chosen.append(fake)
        return torch.stack(chosen)

    def get_extra_state(self) -> Tensor:
        return self.images

    def set_extra_state(self, state: Tensor) -> None:
        self.images = state.detach().clone().to(self.images.device)
