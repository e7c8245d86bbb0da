"""Mode coverage: a sampler of the truth scores 1, one that knows a single answer 1 / K, and a blur of them all 0."""

import numpy as np
import pytest

from i2ibench.data.shapes import Shapes
from i2ibench.metrics.modes import mode_values


@pytest.fixture(scope="module")
def truths():
    return Shapes(Shapes.Params(size=32, train_images=2, test_images=12)).truths()


def test_a_sampler_of_the_truth(truths):
    rng = np.random.default_rng(0)
    styles = np.stack([truths[rng.integers(6, size=30), i] for i in range(12)])
    noisy = np.clip(styles + rng.normal(0, 8, styles.shape), 0, 255).astype(np.uint8)
    for given in (styles, noisy):  # 1 on average, and no more than 1.005 at 30 draws
        coverage, validity = mode_values(given, truths)
        assert coverage.mean() > 0.97
        assert (validity == 1).all()


def test_few_draws_are_measured_by_what_few_draws_can_reach(truths):
    rng = np.random.default_rng(1)
    found = [
        mode_values(np.stack([truths[rng.integers(6, size=3), i] for i in range(12)]), truths)[0] for _ in range(40)
    ]
    assert np.mean(found) == pytest.approx(1, abs=0.04)


def test_one_answer_for_all(truths):
    styles = np.repeat(truths[2][:, None], 30, axis=1)
    coverage, validity = mode_values(styles, truths)
    np.testing.assert_allclose(coverage, 1 / 6, rtol=0.01)
    assert (validity == 1).all()


def test_the_mean_of_all_answers_is_none_of_them(truths):
    blur = truths.mean(axis=0).astype(np.uint8)
    coverage, validity = mode_values(np.repeat(blur[:, None], 10, axis=1), truths)
    assert coverage.max() == validity.max() == 0


def test_colours_of_two_answers_in_one_image_are_no_answer():
    source = Shapes(Shapes.Params(size=32, train_images=2, test_images=40))
    truths = source.truths()
    several = [i for i in range(40) if len(source.scene("test", i).shapes) > 1]
    half = np.arange(32) < 16
    mixed = np.where(half[None, :, None, None], truths[0], truths[3])  # upper and lower half of different modes
    _, validity = mode_values(mixed[several][:, None], truths[:, several])
    assert validity.mean() < 0.6


def test_evaluate_scores_them_and_says_from_how_many_draws(truths):
    from i2ibench.errors import ConfigError
    from i2ibench.metrics.evaluate import evaluate
    from i2ibench.metrics.material import Material
    from i2ibench.metrics.protocol import resolve

    rng = np.random.default_rng(2)
    styles = np.stack([truths[rng.integers(6, size=10), i] for i in range(12)])
    names = ("mode_coverage", "mode_validity")
    real = truths[0]
    scores = evaluate(
        real,
        real,
        names,
        resolve("offline"),
        paired=True,
        device="cpu",
        cache=None,
        material=Material(styles=styles, truths=truths),
    )
    coverage, validity = mode_values(styles, truths)
    assert scores.values == {"mode_coverage": coverage.mean(), "mode_validity": validity.mean()}
    assert scores.stamp["metrics"]["mode_coverage"]["draws"] == 10
    with pytest.raises(ConfigError, match="needs known answers"):
        evaluate(
            real,
            real,
            names,
            resolve("offline"),
            paired=True,
            device="cpu",
            cache=None,
            material=Material(styles=styles),
        )
