"""Altair charts, one file a page; the palette is in `style`."""
