"""Building blocks shared by the methods: networks, losses, the image pool. Loaded on first use (they import torch)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
