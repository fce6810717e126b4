"""A learner's side of a federation: it trains on its own people, and only models leave.

What protects a site is decided at the site. A server's message is a request, which is checked before anything
is done: it can neither lower the protection, nor choose code, devices or files.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import save
from torch import Tensor

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, MemberscanError, ModelError, RefusedError
from memberscan.federation.records import FACTS, MODEL, SEALED, chunks, clear, fact, opened, sealed, whole
from memberscan.federation.settings import Settings
from memberscan.files import OWNER_ONLY, fingerprint, write_bytes
from memberscan.models import MODELS, AgeRegressor, ModelSpec, build, load_weights
from memberscan.models.inputs import resolve_device
from memberscan.training.loop import moments_of, train_epoch

_LOG = logging.getLogger("memberscan.federation")
REFUSED = 1
"""Code of an error that a learner reports itself."""
FEWEST_PEOPLE = 10
"""Fewest people that a site trains on, unless it sets another number: sums over few give their ages away."""
MOST_SCANS = 10_000_000
"""More scans than any federation has; larger counts are errors or lies."""


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """What a learner owns and what it insists on; nothing of it leaves the site.

    Parameters
    ----------
    learner
        Its name.
    cohort
        Its scans.
    members
        Ids of the scans that it trains on.
    secret
        The learners' key. A site that has one sends nothing unencrypted.
    keep
        Where it keeps the encrypted global models that it decrypts.
    fewest
        How many people it must train on before it answers at all.
    device
        What it trains on: auto, cpu or cuda.
    agreed
        Digest of the settings that it agreed to (:attr:`Settings.digest`); it then refuses all others.
    """

    learner: str
    cohort: Cohort
    members: tuple[str, ...]
    secret: bytes | None = dataclasses.field(default=None, repr=False)
    keep: Path | None = None
    fewest: int = 1
    device: str = "auto"
    agreed: str | None = None

    def key(self) -> bytes:
        """Return the key; :class:`BadInputError` if there is none."""
        if self.secret is None:
            raise BadInputError(
                f"learner {self.learner} has no key to decrypt with; give it the learners' secret"
            )
        return self.secret

    def accept(self, content: RecordDict) -> Settings:
        """Return the settings that a message asks to train with, if this site takes part in that.

        Raises
        ------
        RefusedError
            If they are less than this site insists on.
        BadInputError
            If they cannot be read, or are out of range.
        """
        settings = Settings.from_json(str(fact(content, "settings")))
        if self.agreed is not None and settings.digest != self.agreed:
            raise RefusedError(
                f"the server's settings have the digest {settings.digest}, and this site agreed to "
                f"{self.agreed}; if they were changed with your consent, change 'settings' in the node's "
                "configuration"
            )
        if self.secret is not None and settings.secure == "none":
            raise RefusedError(
                "the server asks for models without encryption, and this site has a key: it sends nothing in "
                "the clear; start the federation with --secure ckks, or take 'secret' out of the node's "
                "configuration"
            )
        people = self.cohort.scans.loc[list(self.members), "subject_id"].nunique()
        if people < self.fewest:
            raise RefusedError(
                f"this site would train on {people} people, fewer than the {self.fewest} that it insists "
                "on: sums over few people give their ages away"
            )
        return settings

    def protection(self, settings: Settings) -> str:
        """Say what protects this site."""
        sent = (
            "in the clear, so that the server can read them"
            if settings.secure == "none"
            else "encrypted (CKKS)"
        )
        agreed = "any settings within limits" if self.agreed is None else f"settings {self.agreed} only"
        return f"{self.learner} sends its models {sent}; at least {self.fewest} people; {agreed}"


def client_app(locate: Callable[[Context], Site], *, confide: bool = False) -> ClientApp:
    """Return the app of all learners.

    Parameters
    ----------
    locate
        Says from a node's context which learner it is.
    confide
        Whether the server gets full error messages, which may name people and paths. In a simulation both are
        on one machine.
    """
    app = ClientApp()
    handlers = {"hello": hello if confide else _logged_hello, "start": start, "keep": keep}
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
    """Answer a message; if that fails, give a reason that the server may read."""
    try:
        return Message(handler(message.content, locate(context)), reply_to=message)
    except Exception as error:  # of any type: its message may name people, and must not reach the server
        kind = type(error).__name__
        if confide:
            words = " ".join(str(error).split())
            said = words if isinstance(error, MemberscanError) else f"failed ({kind}: {words})"
            # The type alone is recorded; the last line is for the terminal of this machine.
            return Message(Error(REFUSED, f"{kind}\n{said}"), reply_to=message)
        _LOG.exception("this site could not answer the server")
        return Message(Error(REFUSED, f"{kind}; the log of its SuperNode says more"), reply_to=message)


def hello(content: RecordDict, site: Site) -> RecordDict:
    """Say who it is, how many scans it trains on, and the moments that the scale of ages is made of."""
    settings = site.accept(content)
    network = regressor(settings, site.cohort.shape)
    moments = moments_of(network, site.cohort, site.members)
    facts = ConfigRecord(
        {
            "learner": site.learner,
            "samples": len(site.members),
            "shape": json.dumps(site.cohort.shape),
            "protection": site.protection(settings),
        }
    )
    return RecordDict({FACTS: facts, **_protected(moments, settings, site)})


def _logged_hello(content: RecordDict, site: Site) -> RecordDict:
    """Answer as :func:`hello` does, and log at the site what protects it."""
    answer = hello(content, site)
    # A warning, because Flower hides messages of lower levels from loggers that are not its own.
    _LOG.warning("this site takes part: %s", fact(answer, "protection"))
    return answer


def start(content: RecordDict, site: Site) -> RecordDict:
    """Give the initial model the scale of the encrypted moments, and return it encrypted."""
    settings = site.accept(content)
    if settings.secure == "none":
        raise RefusedError(
            "the server asks this site for an encrypted first model, and its settings ask for no encryption; "
            "start the federation with --secure ckks"
        )
    network = regressor(settings, site.cohort.shape)
    template = moments_of(network, site.cohort, site.members[:1])
    load_weights(network, opened(content, network.state_dict()), source="the server")
    network.calibrate(_decrypted(content, template, site), whole(content, "samples", 1, MOST_SCANS))
    return RecordDict({**_protected(network.state_dict(), settings, site)})


def train(content: RecordDict, site: Site) -> RecordDict:
    """Train the global model on its own people for the local epochs, and return what became of it."""
    settings = site.accept(content)
    number = whole(content, "round", 1, settings.rounds)
    network = regressor(settings, site.cohort.shape)
    load_weights(network, _received(content, settings, network, site), source="the server")
    config = dataclasses.replace(
        settings.training,
        seed=seeds.integer(settings.training.seed, "learner", site.learner),
        device=site.device,
    )
    device = resolve_device(config.device)
    network.to(device)
    optimizer = config.optimizer_for(network)
    loss = 0.0
    for epoch in range((number - 1) * config.epochs, number * config.epochs):
        loss = train_epoch(network, optimizer, site.cohort, site.members, config, device, epoch)
    facts = ConfigRecord(
        {"samples": len(site.members), "steps": steps_of(settings, len(site.members)), "loss": loss}
    )
    return RecordDict({FACTS: facts, **_protected(network.state_dict(), settings, site)})


def steps_of(settings: Settings, samples: int) -> int:
    """Return how many steps a learner with so many scans takes in a round."""
    return settings.training.epochs * -(-samples // settings.training.batch_size)


def keep(content: RecordDict, site: Site) -> RecordDict:
    """Decrypt a global model and keep it here; only its digest goes back."""
    settings = site.accept(content)
    number = whole(content, "round", 0, settings.rounds)
    template = regressor(settings, site.cohort.shape).state_dict()
    data = save(_decrypted(content, template, site))
    if site.keep is not None:
        site.keep.mkdir(parents=True, exist_ok=True)
        write_bytes(site.keep / f"{number:04d}.safetensors", data, mode=OWNER_ONLY)
    return RecordDict({FACTS: ConfigRecord({"digest": fingerprint(data)})})


def regressor(settings: Settings, shape: tuple[int, ...]) -> AgeRegressor:
    """Return one of our networks with the initial weights that the seed gives.

    Raises
    ------
    ModelError
        If it is not one of ours, is too large, or does not fit the inputs. A federation never imports code.
    """
    spec = ModelSpec(settings.model, shape, dict(settings.options))
    if settings.model not in MODELS and ":" in settings.model:
        raise ModelError(
            f"{settings.model!r} is not one of our models; federate it with your own code, then use "
            "memberscan import --transcript"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(settings.training.seed, "weights"))
        network = build(spec)
    assert isinstance(network, AgeRegressor)
    return network


def _received(
    content: RecordDict, settings: Settings, network: AgeRegressor, site: Site
) -> dict[str, Tensor]:
    if settings.secure == "none":
        return opened(content, network.state_dict())
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
