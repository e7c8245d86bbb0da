"""i2ibench: compare image-to-image translation methods on equal terms."""

__version__ = "0.1.0"
