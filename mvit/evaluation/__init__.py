"""What was measured on test sets, and what it says."""
