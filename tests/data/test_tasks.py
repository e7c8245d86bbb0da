"""Tasks made from any image set: each degradation against a reference, fixed per image, and refused where it cannot be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from i2ibench.data.folder import Folder, FolderParams
from i2ibench.data.resize import imresize, resample
from i2ibench.data.tasks import GREY, TASKS, AnyTask
from i2ibench.errors import DataError


def task(given):
    return TypeAdapter(AnyTask).validate_python(given)


@pytest.fixture(scope="module")
def photo():
    """A real photograph that scikit-image ships (a coffee cup), 96 x 96."""
    from skimage import data

    return np.asarray(Image.fromarray(data.coffee()).resize((96, 96), Image.Resampling.BICUBIC))


@pytest.fixture
def photos(tmp_path):
    """A folder of crops of real photographs: train/ and test/."""
    from skimage import data

    for split, n in (("train", 4), ("test", 3)):
        (tmp_path / split).mkdir()
        for i, image in enumerate([data.coffee(), data.astronaut(), data.chelsea(), data.rocket()][:n]):
            Image.fromarray(image[50:250, 60:300]).save(tmp_path / split / f"{i}.png")
    return tmp_path


def folder(path, given, **params):
    return Folder(FolderParams(path=str(path), layout="images", task=given, **{"size": 32, **params}))


# -- resizing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [12, 24, 48, 96, 192])
def test_imresize_is_torchs_antialiased_bicubic_of_the_mirrored_image(photo, size):
    """Torch's antialiased bicubic has the kernel of MATLAB and cuts it off at the border: mirror first, and all agrees."""
    edge, factor = 96, size / 96
    mirrored = np.pad(photo, ((edge, edge), (edge, edge), (0, 0)), "symmetric").astype(np.float64)
    whole = torch.from_numpy(mirrored).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(whole, size=(3 * size, 3 * size), mode="bicubic", antialias=True)
    expected = expected[0, :, size : 2 * size, size : 2 * size].permute(1, 2, 0).numpy().clip(0, 255)
    found = imresize(photo, size)
    assert found.shape == (size, size, 3)
    assert np.abs(found - expected).max() <= 0.5 + 1e-4, factor


@pytest.mark.parametrize("size", [24, 48])
def test_imresize_is_pillows_bicubic_but_for_rounding_and_the_border(photo, size):
    difference = np.abs(imresize(photo, size).astype(int) - np.asarray(Image.fromarray(photo).resize((size, size), 3)))
    assert difference[2:-2, 2:-2].max() <= 2
    assert difference.max() > 2, "the border differs: Pillow is not what the benchmarks use"


def test_a_single_pixel_shows_the_weights_of_matlabs_imresize():
    """Keys's kernel at a = -0.5: quarters of a pixel apart when it doubles, stretched over eight pixels when it halves."""
    line = np.zeros((1, 16))
    line[0, 7] = 1
    doubled, halved = resample(line, (1, 32))[0], resample(line, (1, 8))[0]
    assert doubled[11:19] * 128 == pytest.approx([-3, -9, 29, 111, 111, 29, -9, -3])
    assert halved[2:6] * 256 == pytest.approx([-9, 111, 29, -3])
    line = np.zeros((1, 16))
    line[0, 0] = 1  # beyond the border the image goes on mirrored
    assert resample(line, (1, 8))[0, :3] * 256 == pytest.approx([111 + 29, -9 - 3, 0])
    assert resample(line, (1, 32))[0, :4] * 128 == pytest.approx([111 + 29, 111 - 9, 29 - 3, -9])


@given(st.integers(4, 40), st.integers(4, 40), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_imresize_keeps_a_plain_image_plain(length, size, value):
    assert (imresize(np.full((length, length, 3), value, np.uint8), size) == value).all()


# -- each task ---------------------------------------------------------------------------------------------------------


def test_colorize_is_pillows_grey(photo):
    grey, target = task("colorize").pair(photo, 0)
    expected = np.asarray(Image.fromarray(photo).convert("L"))[..., None]
    assert np.abs(grey.astype(int) - expected).max() <= 1
    assert target is photo


@pytest.mark.parametrize("mask", ["free-form", "box"])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_inpaint_takes_out_the_share_and_nothing_else(photo, mask, share):
    masks = []
    for seed in range(60):
        holed, _ = task({"name": "inpaint", "mask": mask, "share": share}).pair(photo, seed)
        missing = (holed == GREY).all(axis=2)
        assert (holed[~missing] == photo[~missing]).all()
        assert share - 0.01 <= missing.mean() <= share + 0.3
        masks.append(missing)
    assert (np.mean(masks, axis=0) > 0).mean() > 0.9, "nearly every place is missing in some image"
    assert np.mean(masks, axis=0).max() < 1, "no place is missing in all"


def test_super_resolve_halves_and_doubles(photo):
    low, _ = task({"name": "super-resolve", "scale": 2}).pair(photo, 0)
    np.testing.assert_array_equal(low, imresize(imresize(photo, 48), 96))
    spectra = [np.abs(np.fft.fft2(x.mean(axis=2)))[20:76, 20:76].sum() for x in (low, photo)]
    assert spectra[0] < 0.25 * spectra[1], "what is finer than the small image's grid is gone"


def test_denoise_adds_noise_of_that_size():
    grey = np.full((128, 128, 3), 128, np.uint8)
    noise = task({"name": "denoise", "sigma": 10}).pair(grey, 3)[0].astype(int) - 128
    assert noise.std() == pytest.approx(10, rel=0.03)
    assert abs(noise.mean()) < 0.2
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03, "each channel has its own"


def test_deblur_by_a_gaussian_is_scipys(photo):
    blurred, _ = task({"name": "deblur", "blur": "gaussian", "extent": 0.1}).pair(photo, 0)
    expected = ndimage.gaussian_filter(photo.astype(float), (2.4, 2.4, 0), mode="mirror")
    assert np.abs(blurred - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_deblur_by_motion_smears_a_point_into_a_line_of_that_length(seed):
    point = np.zeros((101, 101, 3), np.uint8)
    point[50, 50] = 255
    smeared = task({"name": "deblur", "extent": 0.2}).pair(point, seed)[0][..., 0].astype(float)
    y, x = np.nonzero(smeared > 2)
    longest = np.hypot(y[:, None] - y, x[:, None] - x).max()
    assert longest == pytest.approx(0.2 * 101, abs=2.5)
    variances = np.linalg.eigvalsh(np.cov(np.stack([y, x]), aweights=smeared[y, x]))
    assert variances[0] < 0.02 * variances[1], "one direction only"
    assert smeared.sum() == pytest.approx(255, rel=0.1)


def test_edges_are_scikit_images_canny(photo):
    from skimage.feature import canny

    lines, target = task("edges").pair(photo, 0)
    expected = canny(photo @ np.array([0.299, 0.587, 0.114]) / 255, sigma=1.5)
    np.testing.assert_array_equal(lines[..., 0] == 0, expected)
    assert set(np.unique(lines)) == {0, 255}
    assert target is photo


def test_soft_edges_are_darkest_where_canny_finds_lines(photo):
    lines, soft = (task({"name": "edges", "detector": d}).pair(photo, 0)[0][..., 0] for d in ("canny", "soft"))
    assert soft[lines == 0].mean() < 0.8 * soft[lines == 255].mean()


def test_segment_paints_regions_in_the_colours_of_its_palette():
    colours = {"sky": [90, 140, 230], "grass": [60, 130, 50]}
    image = np.full((32, 32, 3), (80, 150, 225), np.uint8)
    image[16:] = (70, 120, 60)
    image[4, 4] = (0, 255, 0)  # a speck
    segment = task({"name": "segment", "colours": colours, "smooth": 0.1})
    given, labels = segment.pair(image, 0)
    assert given is image
    assert (labels[:15] == colours["sky"]).all()
    assert (labels[17:] == colours["grass"]).all()
    assert segment.palette.names == ("sky", "grass")
    assert segment.palette.colours == ((90, 140, 230), (60, 130, 50))


# -- through a folder --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_pairs_every_image_and_is_the_same_each_time(photos, name):
    first, again = folder(photos, name).decode(), folder(photos, {"name": name}).decode()
    assert first.paired
    assert (len(first.train_a), len(first.test_b)) == (4, 3)
    for array in ("train_a", "train_b", "test_a", "test_b"):
        np.testing.assert_array_equal(getattr(first, array), getattr(again, array))
    plain = folder(photos, "denoise").decode().test_b
    np.testing.assert_array_equal(first.test_a if name == "segment" else first.test_b, plain)
    assert (first.test_a != first.test_b).any(axis=(1, 2, 3)).all()


def test_chance_follows_the_bytes_of_an_image_and_not_its_place_or_name(photos, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for split in ("train", "test"):
        (other / split).mkdir()
        for path in (photos / split).iterdir():
            (other / split / f"9{path.name}").write_bytes(path.read_bytes())
    first, second = folder(photos, "denoise").decode(), folder(other, "denoise").decode()
    np.testing.assert_array_equal(first.test_a, second.test_a)
    noise = [(first.test_a[i].astype(int) - first.test_b[i]).ravel() for i in (0, 1)]
    assert abs(np.corrcoef(*noise)[0, 1]) < 0.1, "two images have two noises"


def test_a_task_uses_the_side_it_is_told_and_turns_round(tmp_path):
    for split in ("train", "test"):
        for domain, colour in (("A", (200, 10, 10)), ("B", (10, 10, 200))):
            (tmp_path / f"{split}{domain}").mkdir()
            Image.new("RGB", (8, 8), colour).save(tmp_path / f"{split}{domain}" / "1.png")
    make = lambda **p: Folder(FolderParams(path=str(tmp_path), layout="unpaired", task="colorize", size=8, **p))  # noqa: E731
    assert make().decode().test_b[0, 0, 0].tolist() == [200, 10, 10]
    assert make(task_on="B").decode().test_b[0, 0, 0].tolist() == [10, 10, 200]
    back = make(task_on="B", direction="BtoA").decode()
    assert back.test_a[0, 0, 0].tolist() == [10, 10, 200]
    assert back.test_b[0, 0, 0].tolist() == [27, 27, 27] or back.test_b[0, 0, 0].tolist() == [32, 32, 32]
    assert back.paired
    assert make().pairing == "paired"


def test_the_fingerprint_follows_the_task_and_its_keys(photos):
    prints = [
        folder(photos, given).fingerprint()
        for given in ("denoise", {"name": "denoise", "sigma": 10}, "colorize", "deblur")
    ]
    assert len(set(prints)) == 4
    assert folder(photos, {"name": "denoise", "sigma": 25.0}).fingerprint() == prints[0]


def test_images_without_splits_are_held_out_by_name(photos, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(40):
        Image.new("RGB", (8, 8), (i, i, i)).save(flat / f"{i}.png")
    source = folder(flat, "colorize", test_share=0.25)
    summary = source.summary()
    assert summary["train_a"] + summary["test_a"] == 40
    assert 4 <= summary["test_a"] <= 17
    before = {item.name for item in source.files["test_a"]}
    Image.new("RGB", (8, 8)).save(flat / "new.png")
    assert before <= {item.name for item in folder(flat, "colorize", test_share=0.25).files["test_a"]}


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ValidationError, match="did you mean 'colorize'"):
        task("colourise")
    with pytest.raises(ValidationError, match=r"unknown task; .*available: colorize, deblur"):
        task({"sigma": 3})


@pytest.mark.parametrize(
    "given",
    [
        {"name": "super-resolve", "scale": 3},
        {"name": "denoise", "sigma": 0},
        {"name": "inpaint", "share": 1.0},
        {"name": "colorize", "sigma": 1},
    ],
)
def test_keys_of_a_task_are_checked(given):
    with pytest.raises(ValidationError):
        task(given)


def test_a_size_that_the_scale_does_not_divide(photos):
    with pytest.raises(DataError, match="task super-resolve: 36 pixels cannot be divided by 8"):
        folder(photos, {"name": "super-resolve", "scale": 8}, size=32, load_size=36)


def test_single_images_need_a_task(photos):
    with pytest.raises(DataError, match="add one, such as task: colorize"):
        folder(photos, None)


def test_the_benchmark_file_names_the_place_of_a_mistake(photos, benchmark_file):
    from i2ibench import config, plan
    from i2ibench.errors import ConfigError

    text = "data:\n  x:\n    source: folder\n    path: PHOTOS\n    layout: images\n    task:\n      name: denoise\n      sigmo: 3\nmethods:\n  copy:\n"
    text = text.replace("PHOTOS", str(photos))
    with pytest.raises(
        ConfigError, match=r"benchmark.yaml:8: data.x.task.sigmo: unknown key 'sigmo'; did you mean 'sigma'"
    ):
        plan.make(config.load(benchmark_file(text)))
