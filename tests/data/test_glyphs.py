"""The built-in glyph pairs: whole, without leaks across the split, and the same on every run."""

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from i2ibench.data.glyphs import GlyphParams, Glyphs, _draw, _split
from i2ibench.errors import DataError


@pytest.fixture(scope="module")
def images():
    return Glyphs(GlyphParams(size=32)).decode()


def test_counts_agree_with_the_summary(images):
    summary = Glyphs(GlyphParams(size=32)).summary()
    assert summary == {name: len(getattr(images, name)) for name in summary}
    assert summary["test_a"] >= 600
    assert summary["train_a"] + summary["test_a"] > 2400
    assert images.paired
    assert len(set(images.test_names)) == summary["test_a"]


@pytest.mark.parametrize("domain", ["a", "b"])
def test_no_test_image_was_seen_in_training(images, domain):
    train = {image.tobytes() for image in getattr(images, f"train_{domain}")}
    assert not [
        name
        for name, x in zip(images.test_names, getattr(images, f"test_{domain}"), strict=True)
        if x.tobytes() in train
    ]


def test_look_alikes_stay_together():
    train, test = map(set, _split(*Glyphs(GlyphParams()).fonts))
    assert not train & test
    for trio in ("AΑА", "OΟО", "ëё", "EΕЕ", "xх"):  # Latin, Greek, Cyrillic: at most the first of each is kept
        kept = set(trio) & (train | test)
        assert kept <= train or kept <= test, trio


def test_nothing_is_empty_clipped_or_without_a_difference(images):
    for name in ("train_a", "train_b", "test_a", "test_b"):
        x = getattr(images, name)
        assert (x.min(axis=(1, 2, 3)) < 128).all(), "an empty drawing"
        assert (x[:, [0, -1]] == 255).all(), "ink on the upper or lower edge"
        assert (x[:, :, [0, -1]] == 255).all(), "ink on the left or right edge"
    assert (images.test_a != images.test_b).any(axis=(1, 2, 3)).all()


def test_drawings_fill_the_image(images):
    rows = (images.train_a < 128).any(axis=(2, 3)).sum(axis=1)
    assert np.median(rows) >= 22, "half the drawings should be at least two thirds of the image high"


@pytest.mark.parametrize("character", "HEnx")
def test_both_fonts_share_a_baseline_and_a_scale(character):
    drawn = _draw(character, Glyphs(GlyphParams()).fonts, 64) < 128
    bottoms = [np.flatnonzero(ink.any(axis=1)).max() for ink in drawn]
    heights = [ink.any(axis=1).sum() for ink in drawn]
    assert abs(bottoms[0] - bottoms[1]) <= 1
    assert abs(heights[0] - heights[1]) <= 4


def test_the_split_does_not_depend_on_the_size():
    small, large = Glyphs(GlyphParams(size=16)), Glyphs(GlyphParams(size=48))
    assert small.summary() == large.summary()
    assert small.fingerprint() == large.fingerprint()
    assert small.decode().test_names == large.decode().test_names


def test_training_images_have_the_load_size():
    images = Glyphs(GlyphParams(size=16, load_size=20)).decode()
    assert images.train_a.shape[1:] == (20, 20, 3)
    assert images.test_a.shape[1:] == (16, 16, 3)


def test_direction_swaps_the_domains(images):
    back = Glyphs(GlyphParams(size=32, direction="BtoA")).decode()
    np.testing.assert_array_equal(back.train_a, images.train_b)
    np.testing.assert_array_equal(back.test_b, images.test_a)
    assert back.test_names == images.test_names


def test_fingerprint_is_the_same_in_another_process_and_names_the_fonts():
    here = Glyphs(GlyphParams())
    code = "from i2ibench.data.glyphs import *; print(Glyphs(GlyphParams()).fingerprint())"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert there.stdout.strip() == here.fingerprint()
    assert Glyphs(GlyphParams(target_font="DejaVu Sans Bold")).fingerprint() != here.fingerprint()


def test_neither_torch_nor_matplotlib_nor_pillow_is_imported_to_describe_the_set():
    code = (
        "import sys; from i2ibench.data import folder; from i2ibench.data.glyphs import *; Glyphs(GlyphParams())\n"
        "print([m for m in ('torch', 'matplotlib', 'PIL', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_unknown_font_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"no font 'DejaVu Serf': did you mean DejaVuSerif\?"):
        Glyphs(GlyphParams(target_font="DejaVu Serf"))


def test_the_same_font_twice_is_refused():
    with pytest.raises(DataError, match="name two fonts"):
        Glyphs(GlyphParams(target_font="DejaVuSans"))


def test_fonts_without_common_characters_are_refused():
    with pytest.raises(DataError, match="share 0 printable characters"):
        Glyphs(GlyphParams(target_font="STIXNonUni"))


@pytest.mark.parametrize("wrong", [{"size": 64, "load_size": 32}, {"siez": 64}, {"direction": "AB"}])
def test_parameters_are_checked(wrong):
    with pytest.raises(ValidationError):
        GlyphParams(**wrong)
