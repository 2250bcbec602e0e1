"""What exits cost and save on this machine."""
