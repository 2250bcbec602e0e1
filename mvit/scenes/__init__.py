"""Drawn crowds, whose true count is known."""

from mvit.scenes.drawing import GROUNDS, LIGHTS, MAX_PEOPLE, Scene, moments, render

__all__ = ["GROUNDS", "LIGHTS", "MAX_PEOPLE", "Scene", "moments", "render"]
