"""Which runs one configuration asks for: seeds, folds of a cross-validation, or sites left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brain_tumor.config.train import Source, TrainConfig
from brain_tumor.data.class_folders import site_folders
from brain_tumor.errors import InputError


@dataclass(frozen=True)
class Member:
    """One of the runs: the keys of the configuration that are its own, "seed" and "protocol.fold" say."""

    changes: Mapping[str, Any]

    @property
    def label(self) -> str:
        """How the run is called beside its siblings: "seed 0, fold 2"."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.changes.items())


def members(config: TrainConfig) -> list[Member]:
    """The runs that a configuration asks for; none if it asks for a single one, as it stands."""
    seeds: list[dict[str, Any]] = [{"seed": seed} for seed in config.seeds or ()]
    parts: list[dict[str, Any]] = []
    if config.protocol.folds is not None and config.protocol.fold is None:
        parts = [{"protocol.fold": fold} for fold in range(config.protocol.folds)]
    elif config.protocol.name == "leave_one_site_out" and config.protocol.site is None:
        if config.data.source is not Source.folder:
            raise InputError(
                f"protocol=leave_one_site_out needs folders, one a site, and not data={config.data.source}: "
                "give data=folder 'data.root=[A,B]'"
            )
        parts = [{"protocol.site": site} for site in site_folders(config.data.root)]
    return [Member({**seed, **part}) for seed in seeds or [{}] for part in parts or [{}] if seed or part]


def refuse(config: TrainConfig) -> None:
    """Raise InputError for a trial, or a job of a multirun, that asks for several runs."""
    if members(config):
        folds = "protocol.folds=… without protocol.fold"
        sites = "protocol=leave_one_site_out without protocol.site"
        key = "seeds=[…]" if config.seeds else folds if config.protocol.folds else sites
        raise InputError(
            f"{key} asks for several runs, and -m for several of these: use seed=0,1,2 and the like with -m"
        )
