"""Writes the model card of a packed model: what it does, its data, its scores and their protocol, licences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench.data.images import evenly_spaced
from i2ibench.data.recipes import recipes
from i2ibench.disk import read_json, write_json
from i2ibench.metrics.catalog import METRICS, decimal, headed
from i2ibench.metrics.protocol import titled
from i2ibench.report import grids
from i2ibench.report.tables import plain
from i2ibench.show_scores import shared, short
from i2ibench.store import Trial
from i2ibench.use.packed import OWN_METHOD, Config

if TYPE_CHECKING:
    from i2ibench.data.images import Images, ImageSet
    from i2ibench.spec import TrialSpec
    from i2ibench.use.exported import Exported

SHOWN = 6  # test images in the grid
BUILT_IN = {
    "glyphs": "drawn from the fonts that come with matplotlib (DejaVu: a free licence of its own; STIX: OFL 1.1)",
    "shapes": "drawn by i2ibench (MIT)",
}


def write(
    folder: Path,
    config: Config,
    spec: TrialSpec,
    trial: Trial,
    images: Images | None,
    exports: Sequence[Exported] = (),
) -> None:
    """Write README.md, samples.png (where the test images are at hand) and scores.json into the folder.

    Raises:
        StoreError: the trial's scores are damaged.
    """
    files = sorted((trial.path / "scores").glob("*.json"))
    scores = [content for file in files if (content := read_json(file)) is not None]
    if scores:
        write_json(folder / "scores.json", {"scores": scores})
    outputs = trial.outputs()
    grid = images is not None and outputs is not None and len(outputs) == len(images.test_a)
    if grid:
        assert images is not None
        assert outputs is not None
        _samples(folder / "samples.png", images, outputs, with_targets=images.scores_pairs and spec.scores_pairs)
    (folder / "README.md").write_text(_text(config, spec, trial, scores, exports, grid=grid), encoding="utf-8")


def _text(
    config: Config,
    spec: TrialSpec,
    trial: Trial,
    scores: list[dict[str, Any]],
    exports: Sequence[Exported],
    *,
    grid: bool,
) -> str:
    lines = [
        *("---", "library_name: i2ibench", "pipeline_tag: image-to-image", "tags: [image-to-image]", "---", ""),
        f"# {plain(spec.label)} on {plain(spec.data)}",
        "",
        *_about(config, spec, trial),
        *_use(config),
        *(["## Samples", "", "![Test images: input, output, and target where there is one](samples.png)", ""] * grid),
        *_scores(scores),
        *_exported(exports),
        *_licences(spec, config),
    ]
    return "\n".join(lines)


def _about(config: Config, spec: TrialSpec, trial: Trial) -> list[str]:
    result = trial.result() or {}
    cost, git = result.get("cost", {}), result.get("provenance", {}).get("git", {})
    packages = result.get("provenance", {}).get("packages", {})
    size = config.task.size
    takes = {way: f"multiples of {m}" if m else f"{size} alone" for way, m in config.multiples.items()}
    settings = {k: v for k, v in spec.source_params.items() if k not in ("path", "labels") and v is not None}
    changed = " with changes" if git.get("dirty") else ""
    rows = {
        "method": f"{spec.method if config.method != OWN_METHOD else 'its own, in method.py'}"
        + (f" ({config.about['paper']})" if config.about.get("paper") else ""),
        "trial": trial.id,
        "directions": ", ".join(config.directions) + (" (the first is its own)" if len(config.directions) > 1 else ""),
        "image size in training": f"{size} x {size}",
        "image edges that the network takes, in pixels": "; ".join(f"{way}: {rule}" for way, rule in takes.items()),
        "styles": "several, drawn from noise" if config.about.get("multimodal") else "one",
        "data": f"{spec.data} (source {spec.source}, fingerprint {spec.fingerprint[:12]}…)",
        "data settings": ", ".join(f"{key} {value}" for key, value in settings.items()),
        "seed": spec.seed,
        "training": f"{cost.get('steps', 0)} steps of {spec.training.get('batch_size')} images"
        + (f", {cost['train_seconds']:.0f} s on {cost.get('device', 'cpu')}" if "train_seconds" in cost else ""),
        "parameters packed": f"{config.about.get('parameters', 0):,}",
        "made by": ", ".join(f"{name} {packages[name]}" for name in ("i2ibench", "torch") if name in packages)
        + (f", revision {git['revision'][:12]}{changed}" if git.get("revision") else ""),
    }
    for flag in result.get("flags", []):
        rows[f"warning: {flag['flag']}"] = flag["reason"]
    table = [f"| {plain(key)} | {plain(value)} |" for key, value in rows.items()]
    return ["| | |", "| --- | --- |", *table, "", "All settings stand in `config.json`.", ""]


def _use(config: Config) -> list[str]:
    trust = ", trust_code=True" if config.method == OWN_METHOD else ""
    flag = " --trust-code" if trust else ""
    return [
        "## Use",
        "",
        "```python",
        "import i2ibench",
        "",
        f'model = i2ibench.load("."{trust})  # this folder',
        'output = model.translate("photo.jpg")  # uint8 (H, W, 3), at the size of the photo',
        "```",
        "",
        f"or `i2ibench translate . IN OUT{flag}`. Images are uint8 RGB in and out, of any size: what the network does "
        "not take is mirrored at its borders or cut into tiles (`fit`).",
        "",
    ]


def _scores(scores: list[dict[str, Any]]) -> list[str]:
    lines = ["## Scores", ""]
    if not scores:
        return [*lines, "It was not scored.", ""]
    for found in scores:
        stamp = found["protocol"]
        lines += [
            f"On the test split of its data, under the protocol {plain(stamp.get('name', '?'))} (key "
            f"{plain(stamp.get('key', '?'))}); numbers of other protocols do not compare. One training, so no "
            "spread over seeds.",
            "",
            *("| metric | value | 95% interval |", "| --- | ---: | --- |"),
        ]
        for name, value in found["values"].items():
            arrow = "↑" if METRICS[name].higher_is_better else "↓"
            title = f"{headed(titled(name, stamp['metrics'][name]), METRICS[name].unit)} {arrow}"
            reach = found.get("intervals", {}).get(name) or {}
            known = reach.get("low") is not None and reach.get("high") is not None
            places = METRICS[name].places(*() if value is None else [value])
            interval = " to ".join(decimal(reach[end], places) for end in ("low", "high")) if known else ""
            interval += f" ({reach.get('kind', '')})" if known else ""
            number = "–" if value is None else decimal(value, places)
            lines.append(f"| {plain(title)} | {number} | {plain(interval)} |")
        lines.append("")
        for names, facts in shared(stamp["metrics"]):
            of = ", ".join(METRICS[name].title for name in names)
            lines.append(f"- {of}: " + ", ".join(f"{key} {plain(short(value))}" for key, value in facts.items()))
        lines += [f"- **note**: {plain(warning)}" for warning in stamp.get("warnings", [])]
        lines.append("")
    return [*lines, "`scores.json` has the whole stamps.", ""]


def _exported(exports: Sequence[Exported]) -> list[str]:
    if not exports:
        return []
    lines = ["| file | takes | checked against eager | latency |", "| --- | --- | --- | --- |"]
    for each in exports:
        takes = "; ".join(f"{name}: {what}" for name, what in each.inputs.items())
        sizes = ", ".join(" x ".join(map(str, size)) for size in each.sizes)
        checked = f"within {each.difference:.1e} at {sizes} (N x H x W)"
        latency = f"{each.milliseconds:.1f} ms, eager {each.eager_milliseconds:.1f} ms (one image, CPU of the packer)"
        lines.append(f"| `{each.file}` | {plain(takes)} | {plain(checked)} | {plain(latency)} |")
    after = "Outputs are float32 (N, 3, H, W) in [-1, 1]. Images of other sizes are for you to pad: see above."
    return ["## Exported networks", "", *lines, "", after, ""]


def _licences(spec: TrialSpec, config: Config) -> list[str]:
    recipe = recipes().get(spec.source)
    data = recipe.licence if recipe else BUILT_IN.get(spec.source, "not known here: look it up before you publish")
    lines = [
        "## Licences",
        "",
        f"- Data {plain(spec.data)}: {plain(data)}. Whether weights trained on it may be used as you mean to is "
        "for that licence to say.",
        "- Weights: no licence was chosen; name one here before you give them away.",
        "- Code: i2ibench is MIT; the method is that of its paper, whose authors' code may have another licence.",
    ]
    if config.method == OWN_METHOD:
        lines.append("- `method.py` comes with this model and is run when it is loaded with trust: read it first.")
    return [*lines, ""]


def _samples(file: Path, images: Images, outputs: ImageSet, *, with_targets: bool) -> None:
    """Test images evenly spaced over the split, a row each: input, output and target."""
    rows = evenly_spaced(len(outputs), SHOWN)
    columns = [images.test_a, outputs, *([images.test_b] if with_targets else [])]
    titles = ["input", "output", "target"][: len(columns)]
    names = [images.test_names[i] for i in rows]
    grids.draw([[np.asarray(column[i]) for column in columns] for i in rows], titles, names, {}).savefig(file)
