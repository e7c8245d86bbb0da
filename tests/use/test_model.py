"""A trained method as a function: any size comes back at its size, and an output hangs on its own image alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2ibench import registry
from i2ibench.errors import ConfigError, DataError, TrialError
from i2ibench.method import Method, Task
from i2ibench.use.model import Model

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make(kind: type[Method] | str, size: int = 32, directions: Any = ("AtoB",)) -> Model:
    """A model with untrained networks, at the preset tiny if it has one."""
    method_class = registry.method(kind) if isinstance(kind, str) else kind
    values = {key: value for key, value in method_class.presets.get("tiny", {}).items() if key != "training"}
    torch.manual_seed(0)
    return Model("m", method_class(method_class.Params(**values), Task(3, 3, size)), size, directions, "AtoB", CPU)


class Strict(Method):
    """Turns images of one size negative."""

    bidirectional = True

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        if a.shape[2:] != (self.task.size, self.task.size):
            raise ValueError(f"not {self.task.size}")
        return -a

    def translate_back(self, b: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return b / 2


# How often each halves an image of 32 pixels at its preset tiny; where it halves once more, its size must suit.
@pytest.mark.parametrize(
    ("name", "multiple"), [("copy", 1), ("pix2pix", 32), ("cyclegan", 4), ("munit", 2), ("unit", 2), ("vae", 2), ("cvae", 32)]
)  # fmt: skip
def test_the_multiple_of_a_network_is_found(name: str, multiple: int) -> None:
    model = make(name)
    assert model.multiple() == multiple
    output = model.translate(noise(37, 53, 3))
    assert isinstance(output, np.ndarray)
    assert output.shape == (37, 53, 3)


def smallest(name: str) -> int:
    """The image size that a method can be built for at its preset tiny: 32 pixels, or 64."""
    method_class = registry.method(name)
    values = {key: value for key, value in method_class.presets.get("tiny", {}).items() if key != "training"}
    try:
        method_class.check(method_class.Params(**values), Task(3, 3, 32))
    except ConfigError:
        return 64
    return 32


@pytest.mark.parametrize("name", sorted(n for n in registry.methods() if registry.method(n).scores_pairs))
def test_every_method_takes_every_size(name: str) -> None:
    model = make(name, smallest(name))
    assert [image.shape for image in model.translate([noise(40, 33, 3), noise(5, 70, 3)])] == [(40, 33, 3), (5, 70, 3)]


def test_a_network_of_one_size_gets_tiles() -> None:
    model = make(Strict, 16)
    assert model.multiple() is None
    images = noise(3, 20, 50, 3)
    np.testing.assert_array_equal(model.translate(images), 255 - images)
    with pytest.raises(ConfigError, match="use fit tile or resize"):
        model.translate(images, fit="pad")


def test_resizing_is_what_training_saw() -> None:
    model, image = make(Strict, 16), noise(64, 48, 3)
    small = Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC)
    expected = Image.fromarray(255 - np.asarray(small)).resize((48, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(model.translate(image, fit="resize"), np.asarray(expected))


def test_the_other_direction() -> None:
    both = make(Strict, 16, ("BtoA", "AtoB"))
    image = noise(16, 16, 3)
    np.testing.assert_allclose(both.translate(image), 63.75 + image / 2, atol=0.51)
    np.testing.assert_array_equal(both.translate(image, direction="AtoB"), 255 - image)
    with pytest.raises(ConfigError, match="goes AtoB only"):
        make(Strict, 16).translate(image, direction="BtoA")


@pytest.mark.parametrize("name", ["munit", "cvae", "palette", "pix2pix", "cyclegan"])
def test_an_output_hangs_on_its_own_image_alone(name: str) -> None:
    model, images = make(name), noise(3, 32, 32, 3)
    alone = [model.translate(image) for image in images]
    np.testing.assert_allclose(model.translate(images), alone, atol=1)  # sums of a batch may differ in the last digit
    np.testing.assert_allclose(model.translate(list(images[::-1])), alone[::-1], atol=1)


def test_styles_by_chance_are_the_same_for_all_images() -> None:
    model, images = make("munit"), noise(2, 32, 32, 3)
    styles = model.translate(images, n=3, seed=1)
    assert isinstance(styles, np.ndarray)
    assert styles.shape == (2, 3, 32, 32, 3)
    assert (styles[:, 0] != styles[:, 1]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(model.translate(images[1], n=3, seed=1), styles[1])
    np.testing.assert_array_equal(model.translate(images[:1].repeat(2, 0), n=3, seed=1)[1], styles[0])
    assert (model.translate(images, n=3, seed=2) != styles).any()


def test_the_style_of_images() -> None:
    model, image, like = make("munit"), noise(32, 32, 3), noise(50, 40, 3, seed=1)
    one = model.translate(image, style_from=like)
    several = model.translate(noise(48, 64, 3), style_from=[like, image])
    assert (np.shape(one), np.shape(several)) == ((32, 32, 3), (2, 48, 64, 3))
    with pytest.raises(ConfigError, match="does not take the style"):
        make("cyclegan").translate(image, style_from=like)


def test_what_an_image_may_be(tmp_path: Path) -> None:
    model, image = make("copy"), noise(9, 7, 3)
    Image.fromarray(image).save(tmp_path / "i.png")
    for given_as in (image, Image.fromarray(image), tmp_path / "i.png", str(tmp_path / "i.png")):
        np.testing.assert_array_equal(model.translate(given_as), image)
    assert model.translate(noise(0, 4, 4, 3)).shape == (0, 4, 4, 3)
    assert model.translate([]) == []
    clear = model.translate(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))
    assert (np.asarray(clear) == 255).all()
    for wrong in (image.astype(float), image[..., :1], 3):
        with pytest.raises(DataError, match="an image is"):
            model.translate(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 0}, "ask for one translation or more"),
        ({"n": 2}, "one translation of an image"),
        ({"n": "3"}, "n is '3': it is a whole number"),
        ({"n": 1.0}, "n is 1.0: it is a whole number"),
        ({"seed": None}, "seed is None: it is a whole number"),
        ({"fit": "stretch"}, "none of auto, pad"),
        ({"direction": "AtoC"}, "neither AtoB nor BtoA"),
        ({"n": 2, "style_from": noise(8, 8, 3)}, "leave out n or style_from"),
    ],
)
def test_what_a_method_cannot_do_is_one_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        make("cyclegan").translate(noise(32, 32, 3), **asked)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ask_too_much", [lambda: torch.empty(10**15), lambda: np.empty(10**16)])
def test_too_large_an_image_is_one_line_whoever_asks_for_the_memory(
    ask_too_much: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("copy")
    monkeypatch.setattr(model.method, "translate", lambda a, **_: ask_too_much())
    with pytest.raises(TrialError, match="not enough memory to translate 9 x 7 pixels at once"):
        model.translate(noise(7, 9, 3))


@pytest.mark.parametrize(("name", "why"), [("nope.jpg", "there is no such file"), ("", "is no file")])
def test_a_wrong_path_is_called_so(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(DataError, match=f"{why}$"):
        make("vae").translate(tmp_path / name)
