"""The four contexts in which a model can be released, and the attackers that each implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from memberscan.dossier.content import Context, Sees
from memberscan.errors import BadInputError, UndeclaredContextError


@dataclass(frozen=True)
class Implied:
    """An attacker that a context implies.

    Parameters
    ----------
    name, means
        Who it is, and what it needs.
    sees
        What it sees of the model.
    who
        The attacker of an audit that stands for it.
    references
        Whether it trains reference models.
    how
        Options of ``memberscan audit`` that audit it.
    if_audited
        Whether it is listed only where an audit is about it.
    service
        Whether it gets the answers that a service gives, and cannot ask the model itself.
    """

    name: str
    sees: Sees
    means: str
    who: str = "outsider"
    references: bool = False
    how: str = ""
    if_audited: bool = False
    service: bool = False


@dataclass(frozen=True)
class ReleaseContext:
    """A context: its name, its meaning in words, and its attackers."""

    name: Context
    meaning: str
    attackers: tuple[Implied, ...]


_AUDIT = "memberscan audit RUN AUDIT"


def _of_outputs(who: str, *, service: bool = False) -> Implied:
    means = "It needs access to the answers, and a scan and the true value of the person it asks about."
    how = f"{_AUDIT} --access outputs"
    return Implied(f"{who} who queries the model", "outputs", means, how=how, service=service)


def _with_references(who: str, sees: Sees, *, service: bool = False) -> Implied:
    means = "It needs scans of similar people and some days of computing, beside what it sees."
    how = f"memberscan references train RUN REFERENCES, and {_AUDIT} --access {sees} --references REFERENCES"
    name = f"{who} who also trains reference models"
    return Implied(name, sees, means, references=True, how=how, service=service)


def _of_weights(who: str) -> Implied:
    means = "It needs the model's file, and a scan and the true value of the person it asks about."
    return Implied(f"{who} who reads the weights", "weights", means, how=f"{_AUDIT} --access weights")


def _of_files(who: str) -> Implied:
    means = "It needs no attack: it opens the files and looks for people in them."
    return Implied(f"{who} who reads all files", "files", means, how="memberscan inspect RELEASE --out DIR")


_PARTIES = (
    Implied(
        "another learner",
        "rounds",
        "It takes part in the training, and sees the global model of every round.",
        who="learner",
        how=f"{_AUDIT} --attacker learner",
    ),
    Implied(
        "the server",
        "updates",
        "It runs the federation, and sees what each learner sends in every round.",
        who="server",
        how=f"{_AUDIT} --attacker server",
    ),
    Implied(
        "a server that breaks the protocol",
        "updates",
        "It runs the federation, and changes the model that it sends out.",
        who="active-server",
        how=f"{_AUDIT} --attacker active-server",
    ),
    Implied(
        "whoever sees only sums",
        "sums",
        "It sees the sum of what all learners send, and no learner's own part.",
        who="aggregate",
        how=f"{_AUDIT} --attacker aggregate",
        if_audited=True,
    ),
)

CONTEXTS: Mapping[str, ReleaseContext] = MappingProxyType(
    {
        context.name: context
        for context in (
            ReleaseContext(
                "internal",
                "The model stays within the organisation that trained it. Only its own staff can query it or "
                "open its files.",
                (
                    _of_outputs("a colleague", service=True),
                    _of_weights("a colleague"),
                    _with_references("a colleague", "weights"),
                    _of_files("a colleague"),
                ),
            ),
            ReleaseContext(
                "api",
                "People outside send scans and get answers. The model and its files stay inside. If they get "
                "out, the context is open-weights.",
                (
                    _of_outputs("a client", service=True),
                    _with_references("a client", "outputs", service=True),
                ),
            ),
            ReleaseContext(
                "open-weights",
                "Anyone can download the model with all files of the release, and keep them for ever.",
                (
                    _of_outputs("a reader"),
                    _of_weights("a reader"),
                    _with_references("a reader", "weights"),
                    _of_files("a reader"),
                ),
            ),
            ReleaseContext(
                "federation",
                "Several sites train one model together. Each site and the server see a part of the "
                "training, and each site gets the final model with its files.",
                (*_PARTIES, _of_weights("a recipient"), _of_files("a recipient")),
            ),
        )
    }
)


def declared_context(name: str | None) -> ReleaseContext:
    """Return the context of that name.

    Raises
    ------
    UndeclaredContextError
        If none was given: what a model may give away depends on who will see what of it, and only the people
        who release it know that.
    BadInputError
        If there is none of that name.
    """
    if name is None:
        listed = "\n".join(f"  {each.name}: {each.meaning}" for each in CONTEXTS.values())
        raise UndeclaredContextError(
            "a dossier needs the context in which the model will be released, and it is never guessed; "
            f"declare it with --context, one of:\n{listed}"
        )
    if name not in CONTEXTS:
        raise BadInputError(f"--context {name!r} is not known; choose one of {', '.join(CONTEXTS)}")
    return CONTEXTS[cast("Context", name)]
