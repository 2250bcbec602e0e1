"""Training: backbone, exits, counter, and whole studies."""
