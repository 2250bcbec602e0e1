"""`python -m mvit`: one file a command."""
