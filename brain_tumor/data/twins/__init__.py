"""Finds the images that show one and the same slice."""

from brain_tumor.data.twins.graph import THRESHOLD, TwinGraph, find_twins

__all__ = ["THRESHOLD", "TwinGraph", "find_twins"]
