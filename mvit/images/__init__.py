"""Pictures: the one way in, and what is drawn over them."""

from mvit.images.picture import MAX_PIXELS, ImageError
from mvit.images.reader import MAX_BYTES, read_image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageError", "read_image"]
