"""Phantom sets, drawn in this process: each process of `ensure_phantom`'s own takes 4 s to load the template."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.phantom import ensure_phantom, generate


def drawn(config: PhantomConfig, cache: Path) -> Path:
    """What `ensure_phantom` returns, by this process alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(workers))
        return ensure_phantom(config, cache, workers=1)
