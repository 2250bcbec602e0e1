"""Networks: backbone, heads, exits, and their cost."""
