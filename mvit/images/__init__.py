"""Pictures: the one way in, and what is drawn over them."""

from mvit.images.limits import MAX_BYTES, MAX_PIXELS, ImageError
from mvit.images.reader import read_image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageError", "read_image"]
