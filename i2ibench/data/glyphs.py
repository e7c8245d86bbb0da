"""glyphs: the same characters drawn by fonts that matplotlib ships. Real paired data with nothing to download."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from i2ibench.data.images import Allocate, Images, Progress, in_memory
from i2ibench.data.items import held_out
from i2ibench.data.labels import ClassLabels
from i2ibench.data.source import DomainParams, Pairing, Source
from i2ibench.disk import sha256_of
from i2ibench.errors import DataError
from i2ibench.lazy import np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

VERSION = 1  # part of the fingerprint: raise it when anything below changes a pixel or the split
TEST_SHARE = 0.27  # of the characters, by hash
FEWEST = 100  # characters that two fonts must share to make a data set
REFERENCES = (64, 32)  # image sizes at which drawings are compared with each other; each rounds in its own way
ALIKE = 16.0  # mean squared difference (of 255^2) below which two drawings count as the same: rounding, not design
FAMILY = {
    "regular": "DejaVu Sans",
    "bold": "DejaVu Sans Bold",
    "oblique": "DejaVu Sans Oblique",
    "mono": "DejaVu Sans Mono",
    "serif": "DejaVu Serif",
}
FONT_KEYS = ("source_font", "target_font")
FILL = 1.25  # em over image size: a capital fills the image; what is larger is drawn smaller


class GlyphParams(DomainParams):
    source_font: str = Field("DejaVu Sans", description="font of domain A, one that matplotlib ships")
    target_font: str = Field("DejaVu Serif", description="font of domain B, one that matplotlib ships")
    domains: tuple[str, ...] | None = Field(
        None,
        description="in place of two fonts, several: regular, bold, oblique, mono, serif (of DejaVu), or any by name",
    )

    @model_validator(mode="after")
    def _fonts_are_named_once(self) -> GlyphParams:
        if self.domains and any(getattr(self, key) != GlyphParams.model_fields[key].default for key in FONT_KEYS):
            raise ValueError("domains stands in place of source_font and target_font: leave those out")
        return self


class Glyphs(Source):
    """One image per character that all fonts draw, black on white, on one baseline; split by character.

    Of more than two fonts, the split and the drawings do not hang on which two are A and B.
    """

    name = "glyphs"
    description = "characters drawn by two fonts that matplotlib ships (DejaVu Sans to DejaVu Serif)"
    Params = GlyphParams

    def __init__(self, params: GlyphParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        names = params.domains or (params.source_font, params.target_font)
        self.fonts = tuple(_font_file(FAMILY.get(name, name)) for name in names)
        for i, name in enumerate(names):
            if self.fonts[i] in self.fonts[:i]:
                twin = names[self.fonts.index(self.fonts[i])]
                what = "domains" if params.domains else "source_font and target_font"
                raise DataError(f"glyphs: {what}: {twin!r} and {name!r} are one font: name two fonts")
        shared = len(_shared_characters(*self.fonts))
        if shared < FEWEST:
            raise DataError(
                f"glyphs: {' and '.join(map(repr, names))} share {shared} printable characters, "
                f"which is fewer than {FEWEST}: choose fonts of the same alphabets"
            )

    @property
    def pairing(self) -> Pairing:
        return "paired"

    def class_labels(self) -> ClassLabels:
        """The writing system of each character (Latin, Greek, ...; signs that belong to none are a class as well)."""
        from fontTools import unicodedata  # type: ignore[import-untyped]

        train, test = ([unicodedata.script_name(unicodedata.script(c)) for c in part] for part in _split(*self.fonts))
        return ClassLabels.of({"train_a": train, "train_b": train, "test_b": test}, self.name)

    def summary(self) -> dict[str, int]:
        train, test = _split(*self.fonts)
        return {"train_a": len(train), "train_b": len(train), "test_a": len(test), "test_b": len(test)}

    def fingerprint(self, cache_dir: Path | None = None) -> str:
        """Over all that decides a pixel: fonts (their bytes), rasteriser, characters, and the version of this file."""
        from PIL import features

        content = [
            VERSION,
            features.version("freetype2"),
            [sha256_of(font) for font in self.fonts],
            "".join(_shared_characters(*self.fonts)),
        ]
        if len(self.fonts) > 2:
            content.append(self.params.ends)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def decode(self, allocate: Allocate = in_memory, progress: Progress | None = None) -> Images:
        train, test = _split(*self.fonts)
        ends = list(self.params.ends)
        done, total = 0, len(train) + len(test)
        arrays: dict[str, np.ndarray] = {}
        for split, characters, size in (("train", train, self.params.train_size), ("test", test, self.params.size)):
            a, b = (allocate(f"{split}_{domain}", (len(characters), size, size, 3)) for domain in "ab")
            arrays |= {f"{split}_a": a, f"{split}_b": b}
            first, second = (a, b) if self.params.direction == "AtoB" else (b, a)
            for i, character in enumerate(characters):
                first[i], second[i] = _draw(character, self.fonts, size)[ends, ..., None]
                done += 1
                if progress and (done % 100 == 0 or done == total):
                    progress(done, total)
        names = tuple(f"U+{ord(character):04X}" for character in test)
        return Images(**arrays, test_names=names, paired=True, fingerprint=self.fingerprint(), hidden_pairs=False)


def font_names() -> dict[str, Path]:
    """The fonts that matplotlib ships, by file name without its ending, such as DejaVuSans-Bold."""
    spec = find_spec("matplotlib")  # finds the folder without importing matplotlib, which takes long
    if spec is None or not spec.submodule_search_locations:
        raise DataError("glyphs: matplotlib, whose fonts it draws, is not installed: pip install matplotlib")
    folder = Path(spec.submodule_search_locations[0], "mpl-data", "fonts", "ttf")
    return {path.stem: path for path in sorted(folder.glob("*.ttf"))}


def _font_file(name: str) -> Path:
    """The file of a font, however its name is spaced: "DejaVu Sans Bold", "DejaVuSans-Bold"."""

    def plain(text: str) -> str:
        return text.replace(" ", "").replace("-", "").lower()

    fonts = {plain(stem): path for stem, path in font_names().items()}
    if plain(name) in fonts:
        return fonts[plain(name)]
    close = get_close_matches(plain(name), fonts, n=1, cutoff=0.4)
    hint = f"did you mean {fonts[close[0]].stem}?" if close else f"there are {', '.join(font_names())}"
    raise DataError(f"glyphs: matplotlib ships no font {name!r}: {hint}")


@lru_cache
def _shared_characters(*fonts: Path) -> tuple[str, ...]:
    """Characters that all fonts map to a glyph, without spaces, control and private characters and combining marks."""
    import unicodedata

    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    maps = []
    for path in fonts:
        with TTFont(path, lazy=True) as font:
            font.setGlyphOrder(range(font["maxp"].numGlyphs))  # else it reads all glyphs' names, which nobody asks for
            maps.append(set(font.getBestCmap() or ()))
    shared = (chr(point) for point in sorted(set.intersection(*maps)))
    return tuple(c for c in shared if unicodedata.category(c)[0] not in "ZCM")


@lru_cache
def _split(*fonts: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Train and test characters, each in the order of their code points; the same whatever the image size.

    Characters that look alike in any font (Latin A, Greek Alpha, Cyrillic A) stay on one side of the split, or a
    test image would have been seen in training. One that looks like an earlier one in all fonts is left out, and so
    is one that looks the same in two of them (box drawing): there is nothing to translate. The hash of a group's first
    character decides its side.
    """
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    characters = [c for c in _shared_characters(*fonts) if all(_ink(font, 32, c)[1].size for font in fonts)]
    drawn = {(f, s): np.stack([_draw(c, (f,), s)[0] for c in characters]) for f in fonts for s in REFERENCES}
    differ = [_difference(drawn[f, s], drawn[g, s]) > ALIKE for s in REFERENCES for f, g in combinations(fonts, 2)]
    kept = np.flatnonzero(np.all(differ, axis=0))
    alike = {key: _alike(images[kept]) for key, images in drawn.items()}
    repeats = np.tril(np.all([alike[font, 64] for font in fonts], axis=0), -1).any(axis=1)
    _, groups = connected_components(np.any(list(alike.values()), axis=0), directed=False)
    _, firsts = np.unique(groups, return_index=True)
    train: list[str] = []
    test: list[str] = []
    for i, group, repeat in zip(kept, groups, repeats, strict=True):
        if not repeat:
            first = characters[kept[firsts[group]]]
            (test if held_out(first, TEST_SHARE) else train).append(characters[i])
    return tuple(train), tuple(test)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared difference (N,) of uint8 images (N, size, size)."""
    return ((a.astype(np.int32) - b) ** 2).mean(axis=(1, 2))


def _alike(images: np.ndarray) -> np.ndarray:
    """Which of N uint8 images (N, size, size) look alike: bool (N, N), compared at 16 x 16.

    All numbers are whole and below 2^53, so that this is exact, and the split the same on every machine.
    """
    n, size, _ = images.shape
    block = size // 16
    x = (255 - images).reshape(n, 16, block, 16, block).sum(axis=(2, 4), dtype=np.float64).reshape(n, 256)
    norms = (x * x).sum(axis=1)
    return norms[:, None] + norms - 2 * (x @ x.T) < ALIKE * 256 * block**4


def _draw(character: str, fonts: tuple[Path, ...], size: int) -> np.ndarray:
    """A character in each of the fonts, uint8 (fonts, size, size), black on white.

    All at one scale, as large as fits, and on one baseline; centred, each in width and all together in height.
    """
    room = size - 2 * max(1, size // 32)
    em = int(FILL * size)
    while True:
        boxes, inks = zip(*(_ink(font, em, character) for font in fonts), strict=True)
        top, bottom = min(box[1] for box in boxes), max(box[3] for box in boxes)
        extent = max(bottom - top, *(ink.shape[1] for ink in inks))
        if extent <= room:
            break
        em = min(em - 1, em * room // extent)  # hinting rounds, so that this may take a second try
    images = np.full((len(fonts), size, size), 255, np.uint8)
    for image, box, ink in zip(images, boxes, inks, strict=True):
        y, x = (size - (bottom - top)) // 2 + box[1] - top, (size - ink.shape[1]) // 2
        image[y : y + ink.shape[0], x : x + ink.shape[1]] -= ink
    return images


@lru_cache(maxsize=64)
def _ink(font: Path, em: int, character: str) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Where a character leaves ink (left, top, right, bottom; from the baseline's left end), and how much (0-255)."""
    from PIL import Image, ImageDraw

    face = _face(font, em)
    left, top, right, bottom = (int(edge) for edge in face.getbbox(character, anchor="ls"))  # with some white around
    image = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=face, anchor="ls")
    box = image.getbbox() or (0, 0, 0, 0)
    return (left + box[0], top + box[1], left + box[2], top + box[3]), np.asarray(image.crop(box))


@cache
def _face(path: Path, em: int) -> FreeTypeFont:
    from PIL import ImageFont

    # The basic layout draws one character as every build of Pillow does; Raqm is not always there.
    return ImageFont.truetype(str(path), em, layout_engine=ImageFont.Layout.BASIC)
