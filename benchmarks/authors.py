"""Training steps of the authors' own code, unmodified, from a checkout of theirs: what benchmarks compare with."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

Step = Callable[[], Any]


def step(method: str, folder: str | None, a: Tensor, b: Tensor, width: int) -> Step:
    """One step of the authors' trainer for images a and b, at their settings but for the networks' `width`.

    `folder` holds a checkout of github.com/junyanz/pytorch-CycleGAN-and-pix2pix (pix2pix),
    github.com/taesungp/contrastive-unpaired-translation (cyclegan: the authors' later release of their model) or
    github.com/NVlabs/MUNIT (munit, unit).
    """
    if method not in STEPS or folder is None or not Path(folder).is_dir():
        raise SystemExit(f"--reference authors needs --authors FOLDER, and a method of {', '.join(sorted(STEPS))}")
    sys.path.insert(0, folder)
    if a.device.type == "cpu":  # their code puts noise on the GPU
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # type: ignore[method-assign, assignment]
    return STEPS[method](a, b, width)


def _cyclegan(a: Tensor, b: Tensor, width: int) -> Step:
    model_of = importlib.import_module("models.cycle_gan_model").CycleGANModel
    device = [0] if a.device.type == "cuda" else []
    options = Namespace(
        amp=False, beta1=0.5, checkpoints_dir="", direction="AtoB", gan_mode="lsgan", gpu_ids=device, init_gain=0.02,
        init_type="normal", input_nc=3, isTrain=True, lambda_A=10.0, lambda_B=10.0, lambda_identity=0.5, lr=2e-4,
        n_layers_D=3, name="", ndf=width, netD="basic", netG="resnet_9blocks", ngf=width, no_antialias=True,
        no_antialias_up=True, no_dropout=True, normD="instance", normG="instance", output_nc=3, pool_size=50,
        preprocess="none",
    )  # fmt: skip
    model = model_of(options)

    def step() -> None:
        model.set_input({"A": a, "B": b, "A_paths": [], "B_paths": []})
        model.optimize_parameters()

    return step


def _pix2pix(a: Tensor, b: Tensor, width: int) -> Step:
    networks = importlib.import_module("models.networks")
    model_of = importlib.import_module("models.pix2pix_model").Pix2PixModel

    def define_generator(*_: Any, **__: Any) -> torch.nn.Module:  # theirs knows U-Nets for 128 and 256 pixels alone
        halvings = a.shape[-1].bit_length() - 1  # down to one pixel
        norm = networks.get_norm_layer("batch")
        return networks.init_net(networks.UnetGenerator(3, 3, halvings, width, norm, use_dropout=True), gpu_ids=device)

    networks.define_G = define_generator
    device = [0] if a.device.type == "cuda" else []
    model = model_of(Namespace(
        beta1=0.5, checkpoints_dir="", direction="AtoB", gan_mode="vanilla", gpu_ids=device, init_gain=0.02,
        init_type="normal", input_nc=3, isTrain=True, lambda_L1=100.0, lr=2e-4, n_layers_D=3, name="", ndf=width,
        netD="basic", netG="unet", ngf=width, no_dropout=False, norm="batch", output_nc=3, pool_size=0,
        preprocess="none",
    ))  # fmt: skip

    def step() -> None:
        model.set_input({"A": a, "B": b, "A_paths": [], "B_paths": []})
        model.optimize_parameters()

    return step


def _nvidia(trainer_name: str) -> Callable[[Tensor, Tensor, int], Step]:
    def build(a: Tensor, b: Tensor, width: int) -> Step:
        gone: Any = ModuleType("torch.utils.serialization")  # no longer part of torch; their VGG alone needs it
        gone.load_lua = None
        sys.modules["torch.utils.serialization"] = gone
        part = {"dim": width, "activ": "relu", "pad_type": "reflect"}
        settings = {
            "lr": 1e-4, "beta1": 0.5, "beta2": 0.999, "weight_decay": 1e-4, "init": "kaiming", "lr_policy": "step",
            "step_size": 100_000, "gamma": 0.5, "gan_w": 1, "recon_x_w": 10, "recon_s_w": 1, "recon_c_w": 1,
            "recon_x_cyc_w": 0 if trainer_name == "MUNIT_Trainer" else 10, "recon_kl_w": 0.01, "recon_kl_cyc_w": 0.01,
            "vgg_w": 0, "input_dim_a": 3, "input_dim_b": 3, "display_size": 1,
            "gen": {**part, "mlp_dim": 256, "style_dim": 8, "n_downsample": 2, "n_res": 4},
            "dis": {**part, "activ": "lrelu", "norm": "none", "n_layer": 4, "gan_type": "lsgan", "num_scales": 3},
        }  # fmt: skip
        trainer = getattr(importlib.import_module("trainer"), trainer_name)(settings).to(a.device)

        def step() -> None:
            trainer.dis_update(a, b, settings)
            trainer.gen_update(a, b, settings)

        return step

    return build


STEPS: dict[str, Callable[[Tensor, Tensor, int], Step]] = {
    "cyclegan": _cyclegan,
    "munit": _nvidia("MUNIT_Trainer"),
    "pix2pix": _pix2pix,
    "unit": _nvidia("UNIT_Trainer"),
}
