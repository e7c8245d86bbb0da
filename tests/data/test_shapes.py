"""Rendered scenes: every answer is what the law says, the same at any size, and all modes are equally likely."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from i2ibench.data.shapes import COLOURS, KINDS, Shape, Shapes, _distance


def shapes(**params):
    return Shapes(Shapes.Params(**{"size": 64, "train_images": 40, "test_images": 30, **params}))


@pytest.fixture(scope="module")
def fill():
    source = shapes(test_images=60)
    return source, source.decode(), source.truths()


def test_counts_agree_and_nothing_depends_on_how_many_there_are(fill):
    source, images, _ = fill
    assert source.summary() == {name: len(getattr(images, name)) for name in source.summary()}
    fewer = shapes(train_images=5, test_images=7).decode()
    np.testing.assert_array_equal(fewer.test_b, images.test_b[:7])
    np.testing.assert_array_equal(fewer.train_a, images.train_a[:5])


def test_each_target_is_the_true_answer_of_its_mode(fill):
    source, images, truths = fill
    assert truths.shape == (6, 60, 64, 64, 3)
    for i in range(60):
        same = [(truths[mode, i] == images.test_b[i]).all() for mode in range(6)]
        assert same.index(True) == source.scene("test", i).mode
        assert sum(same) == 1


def test_the_middle_of_each_shape_has_the_colour_of_the_law(fill):
    source, images, truths = fill
    for i in range(60):
        for shape in source.scene("test", i).shapes:
            y, x = int(shape.y * 64), int(shape.x * 64)
            assert images.test_a[i, y, x].tolist() == [255, 255, 255]
            for mode in range(6):
                np.testing.assert_array_equal(truths[mode, i, y, x], COLOURS[(shape.kind + mode) % 6])


def test_the_outline_tells_nothing_of_the_mode(fill):
    source, images, truths = fill
    modes = np.bincount([source.scene("train", i).mode for i in range(3000)], minlength=6)
    assert modes.min() > 0.8 * 500
    assert modes.max() < 1.2 * 500
    line = (images.test_a == 0).all(axis=-1)
    assert line.any(axis=(1, 2)).all()
    assert (truths[:, line] == 0).all(), "all answers to an outline have its lines"


def test_shapes_do_not_touch_and_are_as_many_as_the_scene_says(fill):
    source, images, _ = fill
    for i in range(60):
        _, count = ndimage.label((images.test_a[i] < 128).all(axis=-1), structure=np.ones((3, 3)))
        assert count == len(source.scene("test", i).shapes)


@pytest.mark.parametrize("kind", ["fill", "sim2real"])
def test_a_scene_is_the_same_at_any_size(kind):
    small, large = (shapes(kind=kind, size=size, test_images=6).decode() for size in (32, 128))
    shrunk = large.test_b.reshape(6, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small.test_b).mean() < (2 if kind == "fill" else 7)


def test_train_and_test_are_other_scenes_and_direction_turns_round():
    source = shapes()
    assert not {source.scene("train", i).shapes for i in range(40)} & {
        source.scene("test", i).shapes for i in range(30)
    }
    there, back = shapes().decode(), shapes(direction="BtoA").decode()
    np.testing.assert_array_equal(there.test_a, back.test_b)
    np.testing.assert_array_equal(there.train_b, back.train_a)
    assert there.fingerprint == back.fingerprint
    assert (
        len({shapes(**p).fingerprint() for p in ({}, {"kind": "sim2real"}, {"colours": 3}, {"train_images": 41})}) == 4
    )


def test_sim2real_keeps_the_scene_and_adds_what_a_camera_sees():
    images = shapes(kind="sim2real").decode()
    a, b = images.test_a.astype(float), images.test_b.astype(float)
    same = np.mean([np.corrcoef(a[i].ravel(), b[i].ravel())[0, 1] for i in range(30)])
    other = np.mean([np.corrcoef(a[i].ravel(), b[(i + 1) % 30].ravel())[0, 1] for i in range(30)])
    assert same > 0.6
    assert same > other + 0.3
    colours = [len(np.unique(x.reshape(-1, 3), axis=0)) for x in (images.test_a[0], images.test_b[0])]
    assert colours[0] < 200 < 1000 < colours[1]


@given(st.integers(0, 3), st.floats(0.1, 0.4), st.floats(0, 6.3))
@settings(max_examples=20, deadline=None)
def test_areas_are_those_of_geometry(kind, radius, angle):
    inside = (_distance(Shape(kind, 0.5, 0.5, radius, angle), 256) < 0).mean()
    sides = {"circle": 10**6, "triangle": 3, "square": 4, "hexagon": 6}[KINDS[kind]]
    assert inside == pytest.approx(0.5 * sides * radius**2 * np.sin(2 * np.pi / sides), rel=0.05)
