"""Which image sizes the networks can take: known without torch, so that a plan can refuse the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from i2ibench.errors import ConfigError

if TYPE_CHECKING:
    from i2ibench.method import Task

Generator = Literal["unet", "resnet", "hd"]

MULTIPLE = {"unet": 32, "resnet": 4, "hd": 4}  # how far each generator shrinks an image, at the least


def unet_depth(size: int) -> int:
    """How often a U-Net halves images of this size: as often as they divide evenly, at most 8 times."""
    depth = 0
    while depth < 8 and size > 0 and size % 2 == 0:
        size, depth = size // 2, depth + 1
    return depth


def hd_halvings(size: int) -> int:
    """How often pix2pixHD's coarse network halves its input, half of `size`: to 8 pixels or more, 1 to 4 times.

    Four times from 256 pixels on, as published.
    """
    size, halvings = size // 4, 1
    while halvings < 4 and size % 2 == 0 and size // 2 >= 8:
        size, halvings = size // 2, halvings + 1
    return halvings


def patchgan_minimum(layers: int) -> int:
    """The smallest image to which a PatchGAN with so many layers gives a score."""
    return 3 * 2**layers


def scale_of(scale: int | None, task: Task) -> int:
    """How many times a network for super-resolution enlarges: as asked, else as the data set's task shrank, else 4."""
    return scale or (task.scale if task.scale > 1 else 4)


def check_scale(size: int, scale: int, multiple: int = 1) -> None:
    """Raise ConfigError if images of this size cannot be shrunk by `scale`, or are no multiple of `multiple`."""
    multiple = max(scale, multiple)
    if size % multiple or size < 2 * scale:
        raise ConfigError(
            f"size {size} must be divisible by {multiple} and at least {2 * scale} pixels (scale {scale}); "
            "change the data set's size"
        )


def check_denoiser(size: int, params: Any) -> None:
    """Raise ConfigError if a `Denoiser` of these `multipliers` does not suit images of this size, or has no map of an
    `attention` that was asked for. A default that is beyond a small network asks for nothing.
    """
    maps = [2**level for level in range(len(params.multipliers))]
    if size % maps[-1]:
        raise ConfigError(f"size {size} must be divisible by {maps[-1]}; change it, or have fewer multipliers")
    asked = params.attention if params.attention != type(params).model_fields["attention"].default else ()
    absent = [str(n) for n in asked if n not in maps]
    if absent:
        known = ", ".join(map(str, maps))
        raise ConfigError(
            f"attention {', '.join(absent)}: {len(maps)} multipliers make maps that are {known} times smaller than the "
            "image; name one of these, or have more multipliers"
        )


def check_size(size: int, generator: Generator, discriminator_layers: int) -> None:
    """Raise ConfigError if images of this size do not suit the generator or a PatchGAN of that many layers."""
    multiple = MULTIPLE[generator]
    if size % multiple:
        below = size - size % multiple
        near = f"{below} or {below + multiple}" if below else multiple
        hint = ", or generator: resnet (multiples of 4)" if generator == "unet" and size % 4 == 0 else ""
        raise ConfigError(
            f"size {size} does not suit generator '{generator}'; use a multiple of {multiple}, such as {near}{hint}"
        )
    if size < (least := patchgan_minimum(discriminator_layers)):
        raise ConfigError(
            f"size {size} is too small for a discriminator with {discriminator_layers} layers; "
            f"use size {least} or more, or fewer discriminator_layers"
        )
