"""i2ibench: compare image-to-image translation methods on equal terms.

    import i2ibench

    i2ibench.run("benchmark.yaml")                    # as the command does; says where the report is
    i2ibench.results("benchmark.yaml")                # all scores and costs: a pandas DataFrame
    model = i2ibench.load("cyclegan")                 # a trained trial, or a packed folder
    model.translate("photo.jpg")                      # uint8 (H, W, 3), or (n, H, W, 3) with n=4

Each is loaded on first use, so that `import i2ibench` costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from i2ibench.benchmark import run as run
    from i2ibench.frames import results as results
    from i2ibench.use.trials import load as load

# By name and not by an import statement: what asks for the version alone shall not lean on all that these need.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"benchmark": ["run"], "frames": ["results"], "use.trials": ["load"]}
)
__all__ = ["__version__", "load", "results", "run"]
