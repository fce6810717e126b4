"""A learner's side of a federation: it trains on its own people, and sends only models.

Each site decides on its own protection. A message from the server is a request that is checked before
anything is done: it can neither lower the protection, nor choose code, devices or files.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import save
from torch import Tensor

from memberscan import seeds
from memberscan.defences import defence_from
from memberscan.defences.defence import Defence, Update, generator_of
from memberscan.errors import MemberscanError, ModelError, RefusedError
from memberscan.federation.records import (
    CIPHERTEXTS,
    FACTS,
    MODEL,
    ciphertext_record,
    fact,
    model_record,
    read_ciphertexts,
    read_model,
    whole_number,
)
from memberscan.federation.settings import Settings
from memberscan.federation.site import MOST_SCANS, Site
from memberscan.files import OWNER_ONLY, fingerprint, write_bytes
from memberscan.models import AgeRegressor, ModelSpec, build, load_weights
from memberscan.models.inputs import resolve_device
from memberscan.models.target_head import require_fits
from memberscan.training.loop import moments_of, train_epoch
from memberscan.training.optimizers import new_optimizer

_LOG = logging.getLogger("memberscan.federation")
REFUSED = 1
"""Code of an error that a learner reports itself."""


def client_app(locate: Callable[[Context], Site], *, confide: bool = False) -> ClientApp:
    """Return the app of all learners.

    Parameters
    ----------
    locate
        Returns the learner's site for a node's context.
    confide
        Whether the server gets full error messages, which may name people and paths. Only for simulations,
        where the server and the learners are on one machine.
    """
    app = ClientApp()
    handlers = {"introduce": introduce if confide else _logged_introduction, "start": start, "keep": keep}
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
    """Answer a message; if that fails, return a reason that the server may see."""
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


def introduce(content: RecordDict, site: Site) -> RecordDict:
    """Return the learner's name, its numbers of scans and people, and the moments of their labels."""
    settings = site.accept(content)
    network = regressor(settings, site.cohort.shape, site.code)
    target = site.cohort.target
    require_fits(network.head, target)
    defence = defence_from(settings.training.defence)
    defence.require(network, site.cohort)
    moments = moments_of(network, site.cohort, site.members, defence, _label_seed(site))
    facts = ConfigRecord(
        {
            "learner": site.learner,
            "samples": len(site.members),
            "people": site.people,
            "shape": json.dumps(site.cohort.shape),
            "protection": site.protection(settings),
            **({} if target.is_age else {"target": json.dumps(dataclasses.asdict(target))}),
        }
    )
    return RecordDict({FACTS: facts, **_protected(moments, settings, site)})


def _logged_introduction(content: RecordDict, site: Site) -> RecordDict:
    """Answer as :func:`introduce` does, and log at the site what protects it."""
    answer = introduce(content, site)
    # A warning, because Flower hides messages of lower levels from loggers that are not its own.
    _LOG.warning("this site takes part: %s", fact(answer, "protection"))
    return answer


def start(content: RecordDict, site: Site) -> RecordDict:
    """Give the initial model the scale of the encrypted moments, and return it encrypted."""
    settings = site.accept(content)
    if settings.secure == "none":
        raise RefusedError(
            "the server asks this site for an encrypted first model, but its settings have no encryption; "
            "start the federation with --secure ckks"
        )
    network = regressor(settings, site.cohort.shape, site.code)
    defence = defence_from(settings.training.defence)
    template = moments_of(network, site.cohort, site.members[:1], defence, _label_seed(site))
    load_weights(network, read_model(content, network.state_dict()), source="the server")
    network.calibrate(_decrypted(content, template, site), whole_number(content, "samples", 1, MOST_SCANS))
    return RecordDict({**_protected(network.state_dict(), settings, site)})


def train(content: RecordDict, site: Site) -> RecordDict:
    """Train the global model on the site's own people for the local epochs, and return the trained model."""
    settings = site.accept(content)
    number = whole_number(content, "round", 1, settings.rounds)
    network = regressor(settings, site.cohort.shape, site.code)
    load_weights(network, _received(content, settings, network, site), source="the server")
    config = dataclasses.replace(
        settings.training,
        seed=seeds.integer(settings.training.seed, "learner", site.learner),
        device=site.device,
    )
    device = resolve_device(config.device)
    network.to(device)
    # The seed is secret: a server that knew it could remove the defence's noise.
    secret = seeds.secret() if site.defence_seed is None else site.defence_seed
    # The training's seed is another one for each broadcast of an active server: equal noise in two answers
    # would cancel in their difference.
    defence_seed = seeds.integer(secret, "learner", site.learner, settings.training.seed, number)
    after = {name: p for name, p in network.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in after.items()}
    optimizer = new_optimizer(config, network)
    loss = 0.0
    for epoch in range((number - 1) * config.epochs, number * config.epochs):
        loss = train_epoch(
            network,
            optimizer,
            site.cohort,
            site.members,
            config,
            device,
            epoch,
            defence_seed=defence_seed,
            label_seed=_label_seed(site),
            rounds=settings.rounds,
        )
    generator = generator_of(seeds.integer(defence_seed, "update"), device)
    update = Update(before, after, len(site.members), number, settings.rounds, generator)
    _defend(defence_from(config.defence), update)
    facts = ConfigRecord(
        {"samples": len(site.members), "steps": steps_of(settings, len(site.members)), "loss": loss}
    )
    return RecordDict({FACTS: facts, **_protected(network.state_dict(), settings, site)})


def _label_seed(site: Site) -> int | None:
    """Return the seed of a defence's labels, the same in every round; None if the site keeps no seed."""
    return None if site.defence_seed is None else seeds.integer(site.defence_seed, "labels", site.learner)


@torch.no_grad()
def _defend(defence: Defence, update: Update) -> None:
    """Let the defence change the parameters before they are sent."""
    for name, sent in defence.update(update).items():
        update.after[name].copy_(sent)


def steps_of(settings: Settings, samples: int) -> int:
    """Return how many steps a learner with so many scans takes in a round."""
    return settings.training.epochs * -(-samples // settings.training.batch_size)


def keep(content: RecordDict, site: Site) -> RecordDict:
    """Decrypt a global model and keep it at the site; only its digest is sent back."""
    settings = site.accept(content)
    number = whole_number(content, "round", 0, settings.rounds)
    template = regressor(settings, site.cohort.shape, site.code).state_dict()
    data = save(_decrypted(content, template, site))
    if site.keep is not None:
        site.keep.mkdir(parents=True, exist_ok=True)
        write_bytes(site.keep / f"{number:04d}.safetensors", data, mode=OWNER_ONLY)
    return RecordDict({FACTS: ConfigRecord({"digest": fingerprint(data)})})


def regressor(settings: Settings, shape: Sequence[int], code: str | None = None) -> AgeRegressor:
    """Return the network with the initial weights that follow from the seed.

    Parameters
    ----------
    settings
        Of the federation; they may come from a message.
    shape
        Of one input.
    code
        The factory that the user of this machine named, if any: only this one may be executed.

    Raises
    ------
    ModelError
        If it is neither a built-in model nor that factory, is too large, or does not fit the inputs.
    """
    if ":" in settings.model and settings.model != code:
        raise ModelError(
            f"{settings.model!r} is not a built-in model, and the settings of a federation alone import no "
            "code; record your own Flower app (memberscan.federation.recorded), then use memberscan import "
            "--transcript"
        )
    spec = ModelSpec.to_train(settings.model, shape, settings.options)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(settings.training.seed, "weights"))
        network = build(spec, code=spec.code)
    assert isinstance(network, AgeRegressor)
    return network


def _received(
    content: RecordDict, settings: Settings, network: AgeRegressor, site: Site
) -> dict[str, Tensor]:
    if settings.secure == "none":
        return read_model(content, network.state_dict())
    return _decrypted(content, network.state_dict(), site)


def _decrypted(content: RecordDict, template: Mapping[str, Tensor], site: Site) -> dict[str, Tensor]:
    from memberscan.federation.ckks import decrypt

    shapes = {name: tuple(tensor.shape) for name, tensor in template.items()}
    arrays = decrypt(read_ciphertexts(content), shapes, site.key())
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _protected(state: Mapping[str, Tensor], settings: Settings, site: Site) -> dict[str, ConfigRecord]:
    if settings.secure == "none":
        return {MODEL: model_record(state)}  # type: ignore[dict-item]
    from memberscan.federation.ckks import encrypt

    return {
        CIPHERTEXTS: ciphertext_record(
            encrypt({k: v.detach().cpu().float() for k, v in state.items()}, site.key())
        )
    }
