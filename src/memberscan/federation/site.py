"""What a site owns, what it insists on, and which of a server's requests it accepts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flwr.app import RecordDict

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, RefusedError
from memberscan.federation.records import fact
from memberscan.federation.settings import Settings

FEWEST_PEOPLE = 10
"""Fewest people that a site trains on, unless it sets another number: sums over few give their ages away."""
LEAST_FEWEST = 5
"""Least that a site may set it to, and that the server takes: sums over fewer are nearly their ages."""
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
    defence_seed
        Of the random numbers of its defence, for simulations that can be resumed; by default a new secret one
        in each round, which nobody else ever sees.
    """

    learner: str
    cohort: Cohort
    members: tuple[str, ...]
    secret: bytes | None = dataclasses.field(default=None, repr=False)
    keep: Path | None = None
    fewest: int = 1
    device: str = "auto"
    agreed: str | None = None
    defence_seed: int | None = dataclasses.field(default=None, repr=False)

    def key(self) -> bytes:
        """Return the key; :class:`BadInputError` if there is none."""
        if self.secret is None:
            raise BadInputError(
                f"learner {self.learner} has no key to decrypt with; give it the learners' secret"
            )
        return self.secret

    @property
    def people(self) -> int:
        """How many people it trains on."""
        return int(self.cohort.scans.loc[list(self.members), "subject_id"].nunique())

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
        if self.people < self.fewest:
            raise RefusedError(
                f"this site would train on {self.people} people, fewer than the {self.fewest} that it "
                "insists on: sums over few people give their ages away"
            )
        return settings

    def protection(self, settings: Settings) -> str:
        """Say what protects this site."""
        clear = settings.secure == "none"
        sent = "in the clear, so that the server can read them" if clear else "encrypted (CKKS)"
        agreed = "any settings within limits" if self.agreed is None else f"settings {self.agreed} only"
        return f"{self.learner} sends its models and moments {sent}; at least {self.fewest} people; {agreed}"
