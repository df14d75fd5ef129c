"""Synthetic slices with known lesions: anatomy from the MNI152 template, everything else simulated."""

from brain_tumor.data.phantom.generate import ensure_phantom

__all__ = ["ensure_phantom"]
