"""Drawn crowds, whose true count is known."""
