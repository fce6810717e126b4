"""A learner's side of a federation: it trains on its own people, and only models leave."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import save
from torch import Tensor

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, MemberscanError, ModelError
from memberscan.federation.records import FACTS, MODEL, SEALED, chunks, clear, fact, opened, sealed
from memberscan.federation.settings import Settings
from memberscan.files import fingerprint, write_bytes
from memberscan.models import AgeRegressor, ModelSpec, build, load_weights
from memberscan.models.inputs import resolve_device
from memberscan.training.loop import moments_of, train_epoch

_LOG = logging.getLogger("memberscan.federation")
REFUSED = 1
"""Code of an error that a learner reports itself, in words for the server's record."""


@dataclass(frozen=True, eq=False)
class Site:
    """What a learner has of its own; none of it leaves.

    Parameters
    ----------
    learner
        Its name.
    cohort
        Its scans.
    members
        Ids of the scans that it trains on.
    secret
        The learners' key, where updates are encrypted.
    keep
        Where it keeps the encrypted global models that it decrypts.
    """

    learner: str
    cohort: Cohort
    members: tuple[str, ...]
    secret: bytes | None = None
    keep: Path | None = None

    def key(self) -> bytes:
        """Return the key; :class:`BadInputError` if there is none."""
        if self.secret is None:
            raise BadInputError(
                f"learner {self.learner} has no key to decrypt with; give it the learners' secret"
            )
        return self.secret


def client_app(locate: Callable[[Context], Site], *, confide: bool = False) -> ClientApp:
    """Return the app of all learners.

    Parameters
    ----------
    locate
        Says from a node's context which learner it is.
    confide
        Whether the server is told errors word by word: they may name people and paths. In a simulation there
        is nobody to hide them from.
    """
    app = ClientApp()
    handlers = {"hello": hello, "start": start, "keep": keep}
    for action, handler in handlers.items():
        app.query(action)(functools.partial(_answer, handler, locate, confide))
    app.train()(functools.partial(_answer, train, locate, confide))
    return app


def _answer(
    handler: Callable[[RecordDict, Site], RecordDict],
    locate: Callable[[Context], Site],
    confide: bool,
    message: Message,
    context: Context,
) -> Message:
    """Answer a message, or say why not in words that the server may read."""
    try:
        return Message(handler(message.content, locate(context)), reply_to=message)
    except Exception as error:  # whatever it is, it must not carry words about people to the server
        if confide and not isinstance(error, MemberscanError):
            raise
        _LOG.exception("this site could not answer the server")
        # The server shows the last line of a reason, which in a traceback is the one that says it.
        words = " ".join(str(error).split())
        reason = words if confide else f"{type(error).__name__}; the log of its SuperNode says more"
        return Message(Error(REFUSED, reason), reply_to=message)


def hello(content: RecordDict, site: Site) -> RecordDict:
    """Say who it is, how many scans it trains on, and the moments that the scale of ages is made of."""
    settings = _settings(content)
    network = regressor(settings, site.cohort.shape)
    moments = moments_of(network, site.cohort, site.members)
    facts = ConfigRecord(
        {"learner": site.learner, "samples": len(site.members), "shape": json.dumps(site.cohort.shape)}
    )
    return RecordDict({FACTS: facts, **_protected(moments, settings, site)})


def start(content: RecordDict, site: Site) -> RecordDict:
    """Give the initial model the scale of the encrypted moments, and return it encrypted."""
    settings = _settings(content)
    network = regressor(settings, site.cohort.shape)
    template = moments_of(network, site.cohort, site.members[:1])
    load_weights(network, opened(content), source="the server")
    network.calibrate(_decrypted(content, template, site), int(fact(content, "samples")))
    return RecordDict({**_protected(network.state_dict(), settings, site)})


def train(content: RecordDict, site: Site) -> RecordDict:
    """Train the global model on its own people for the local epochs, and return what became of it."""
    settings, number = _settings(content), int(fact(content, "round"))
    network = regressor(settings, site.cohort.shape)
    load_weights(network, _received(content, settings, network, site), source="the server")
    config = dataclasses.replace(
        settings.training, seed=seeds.integer(settings.training.seed, "learner", site.learner)
    )
    device = resolve_device(config.device)
    network.to(device)
    optimizer = config.optimizer_for(network)
    loss = 0.0
    for epoch in range((number - 1) * config.epochs, number * config.epochs):
        loss = train_epoch(network, optimizer, site.cohort, site.members, config, device, epoch)
    steps = config.epochs * -(-len(site.members) // config.batch_size)
    facts = ConfigRecord({"samples": len(site.members), "steps": steps, "loss": loss})
    return RecordDict({FACTS: facts, **_protected(network.state_dict(), settings, site)})


def keep(content: RecordDict, site: Site) -> RecordDict:
    """Decrypt a global model and keep it here; only its digest goes back."""
    template = regressor(_settings(content), site.cohort.shape).state_dict()
    data = save(_decrypted(content, template, site))
    if site.keep is not None:
        site.keep.mkdir(parents=True, exist_ok=True)
        write_bytes(site.keep / f"{int(fact(content, 'round')):04d}.safetensors", data)
    return RecordDict({FACTS: ConfigRecord({"digest": fingerprint(data)})})


def regressor(settings: Settings, shape: tuple[int, ...]) -> AgeRegressor:
    """Return the network with the initial weights that the seed gives."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(settings.training.seed, "weights"))
        network = build(ModelSpec(settings.model, shape, dict(settings.options)))
    if not isinstance(network, AgeRegressor):
        raise ModelError(
            f"{settings.model!r} is not one of our models; federate it with your own code, then use "
            "memberscan import --transcript"
        )
    return network


def _settings(content: RecordDict) -> Settings:
    return Settings.from_json(str(fact(content, "settings")))


def _received(
    content: RecordDict, settings: Settings, network: AgeRegressor, site: Site
) -> dict[str, Tensor]:
    if settings.secure == "none":
        return opened(content)
    return _decrypted(content, network.state_dict(), site)


def _decrypted(content: RecordDict, template: Mapping[str, Tensor], site: Site) -> dict[str, Tensor]:
    from memberscan.federation.ckks import decrypt

    shapes = {name: tuple(tensor.shape) for name, tensor in template.items()}
    arrays = decrypt(chunks(content), shapes, site.key())
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _protected(state: Mapping[str, Tensor], settings: Settings, site: Site) -> dict[str, ConfigRecord]:
    if settings.secure == "none":
        return {MODEL: clear(state)}  # type: ignore[dict-item]
    from memberscan.federation.ckks import encrypt

    return {SEALED: sealed(encrypt({k: v.detach().cpu().float() for k, v in state.items()}, site.key()))}
