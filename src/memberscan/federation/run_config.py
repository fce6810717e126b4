"""A federation's settings as Flower's run configuration: flat, with a key for each declared option."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memberscan.configuration import Option, options_of
from memberscan.errors import BadInputError
from memberscan.federation.settings import LOCAL, Settings
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

LOCAL_NAMES = {"epochs": "local_epochs"}
"""Names of training options that differ in a federation."""
NOT_FOR_LEARNERS = ("keep", "patience")
"""Training options that do not apply to learners, which always keep their last local epoch."""
SITES_OWN = ("device",)
"""Options that each site of a deployed federation sets in its node's configuration."""
_OF_SERVER = ("run", "model", "learners", "public")
_UNSET: Mapping[type, object] = {int: 0, float: 0.0, str: ""}
"""The values that mean "the model's default", because TOML has no null."""

Flat = Mapping[str, bool | int | float | str]


def run_config(
    settings: Settings, *, run: Path, learners: int, public: Path | None = None
) -> dict[str, bool | int | float | str]:
    """Return the settings as Flower's run config.

    Zero and "" mean the model's default. No key is left out, since ``flwr run --run-config`` can only change
    existing keys. Paths are absolute, because the server's app runs wherever its SuperLink was started.
    """
    config: dict[str, Any] = {
        "run": str(run.absolute()),
        "model": settings.model,
        "learners": learners,
        "public": str(public.absolute()) if public else "",
    }
    values = {**settings.options, **dataclasses.asdict(settings.training), **dataclasses.asdict(settings)}
    for key, option in _keys():
        value = values.get(option.name)
        config[key] = _UNSET[option.kind] if value is None else value
    return {**config, "seed": settings.training.seed}


def settings_of(config: Flat) -> Settings:
    """Return the settings in a run configuration; zero and "" mean the default.

    Raises
    ------
    BadInputError
        If a key is unknown, the model is missing, or a value is out of range.
    """
    keys = dict(_keys())
    if unknown := sorted(config.keys() - keys.keys() - {*_OF_SERVER, "seed"}):
        raise BadInputError(
            f"the run's configuration has {unknown[0]!r}, which is unknown; it can have "
            f"{', '.join((*_OF_SERVER, *keys, 'seed'))}"
        )
    stated: dict[str, Any] = {
        option.name: config[key]
        for key, option in keys.items()
        if key in config and not (option.optional and config[key] == _UNSET[option.kind])
    }

    def part(kind: type) -> dict[str, Any]:
        return {name: stated[name] for option in options_of(kind) if (name := option.name) in stated}

    seed: Any = config.get("seed", 0)
    training = dataclasses.replace(LOCAL, seed=seed, **part(TrainingConfig))
    options: Any = part(ModelOptions)
    return Settings(str(given(config, "model")), options, training, **part(Settings), everyone_keeps=True)


def given(config: Flat, name: str) -> bool | float | int | str:
    """Return a value of a configuration; :class:`BadInputError` if it has none."""
    if not config.get(name):
        raise BadInputError(
            f"the configuration has no {name!r}; give it to flwr run, or in the node's config"
        )
    return config[name]


def _keys() -> Iterator[tuple[str, Option]]:
    """Yield every option with its key in Flower's spelling."""
    for kind in (ModelOptions, Settings, TrainingConfig):
        for option in options_of(kind, omit=(*NOT_FOR_LEARNERS, *SITES_OWN)):
            yield LOCAL_NAMES.get(option.name, option.name).replace("_", "-"), option
