"""Trained weights on disk: cards, tensors, loading, export."""
