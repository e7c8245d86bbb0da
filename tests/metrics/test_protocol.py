"""Protocols: every setting that could move a number changes the key, and mistakes are named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from i2ibench import assets
from i2ibench.errors import ConfigError
from i2ibench.metrics import protocol as module
from i2ibench.metrics.protocol import PROTOCOLS, Protocol, resolve

OFFLINE, STANDARD = PROTOCOLS["offline"], PROTOCOLS["standard"]


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": 96},
        {"lpips_net": "vgg"},
        {"kid_subsets": 10},
        {"kid_subset_size": 50},
        {"kid_seed": 1},
        {"resize": "clean"},
        {"neighbours": 4},
        {"density_neighbours": 4},
    ],
)
def test_each_setting_changes_the_key(change: dict[str, object]) -> None:
    assert OFFLINE.model_copy(update=change).key() != OFFLINE.key()


def test_key_depends_on_weights_and_revision_but_not_on_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    key = OFFLINE.key()
    assert resolve({"extractor": "vgg16-relu5_3", "input_size": 64}).key() == key
    assert Protocol.model_validate(OFFLINE.model_dump(mode="json")).key() == key
    monkeypatch.setattr(module, "REVISION", module.REVISION + 1)
    assert OFFLINE.key() != key
    monkeypatch.undo()
    monkeypatch.setitem(assets.ASSETS, "vgg16-features", replace(assets.ASSETS["vgg16-features"], sha256="0" * 64))
    assert OFFLINE.key() != key


def test_titles_name_the_network_unless_it_is_the_papers() -> None:
    names = ("fid", "recall", "lpips", "ms_ssim", "l1")
    assert [OFFLINE.title(name) for name in names] == ["FID (VGG16)", "Recall (VGG16)", "LPIPS", "MS-SSIM", "L1"]
    assert [STANDARD.title(name) for name in names] == ["FID", "Recall", "LPIPS", "MS-SSIM", "L1"]
    assert [PROTOCOLS["clean"].title(name) for name in names[:3]] == ["FID (clean)", "Recall (clean)", "LPIPS"]
    assert OFFLINE.model_copy(update={"resize": "clean"}).title("kid") == "KID (VGG16, clean)"
    assert OFFLINE.model_copy(update={"lpips_net": "vgg"}).title("lpips") == "LPIPS (VGG)"


def test_clean_is_the_standard_but_for_its_resize() -> None:
    clean = PROTOCOLS["clean"]
    assert resolve({"extractor": "inception-v3-compat", "resize": "clean"}).key() == clean.key() != STANDARD.key()
    assert clean.assets(["fid"]) == STANDARD.assets(["fid"])
    assert "clean-fid" in clean.resize_rule
    assert "clean-fid" not in STANDARD.resize_rule


def test_assets_are_only_those_that_the_metrics_need() -> None:
    assert OFFLINE.assets(["ssim", "psnr"]) == []
    assert OFFLINE.assets(["fid", "kid", "lpips"]) == ["vgg16-features", "alexnet-features"]
    assert OFFLINE.model_copy(update={"lpips_net": "vgg"}).assets(["kid", "lpips"]) == ["vgg16-features"]
    assert STANDARD.assets(["fid"]) == ["inception-v3-compat"]


@pytest.mark.parametrize(("counts", "size"), [((2, 2), 2), ((7, 100), 3), ((700, 700), 350), ((5000, 2001), 1000)])
def test_kid_subsets_follow_the_set_size(counts: tuple[int, int], size: int) -> None:
    assert OFFLINE.kid_size(*counts) == size


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("ofline", "unknown protocol 'ofline'; did you mean 'offline'"),
        ({"extractor": "vgg16-relu5_3", "name": "standard"}, "'standard' is a named protocol already"),
    ],
)
def test_mistakes_are_named_in_one_line(given: str | dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(given)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_planning_imports_no_torch() -> None:
    code = "import sys, i2ibench.metrics.protocol, i2ibench.assets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
