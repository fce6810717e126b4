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
"""Fewest people that a site trains on, unless it sets another number: sums over few reveal their values."""
LEAST_FEWEST = 5
"""Lowest number that a site may set, and that the server accepts: sums over fewer nearly are their values."""
MOST_SCANS = 10_000_000
"""More scans than any federation has; larger counts are errors or false claims."""


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A learner's data and the protection that it insists on; none of this leaves the site.

    Parameters
    ----------
    learner
        The learner's name.
    cohort
        Its scans.
    members
        Ids of the scans that it trains on.
    secret
        The learners' secret key. A site that has one sends nothing unencrypted.
    keep
        Directory for the global models that it decrypts.
    fewest
        Fewest people that it must train on; otherwise it does not answer.
    device
        Device to train on: auto, cpu or cuda.
    agreed
        Digest of the settings that it agreed to (:attr:`Settings.digest`); it then refuses all others.
    code
        The factory of the network, if the site's own user named one; a server's message alone imports none.
    defence_seed
        Seed of its defence's random numbers, for simulations that can be resumed; by default a new secret
        seed in each round, which never leaves the site.
    """

    learner: str
    cohort: Cohort
    members: tuple[str, ...]
    secret: bytes | None = dataclasses.field(default=None, repr=False)
    keep: Path | None = None
    fewest: int = 1
    device: str = "auto"
    agreed: str | None = None
    code: str | None = None
    defence_seed: int | None = dataclasses.field(default=None, repr=False)

    def key(self) -> bytes:
        """Return the key; :class:`BadInputError` if there is none."""
        if self.secret is None:
            raise BadInputError(
                f"learner {self.learner} has no key for decryption; give it the learners' secret"
            )
        return self.secret

    @property
    def people(self) -> int:
        """Number of people that the site trains on."""
        return int(self.cohort.scans.loc[list(self.members), "subject_id"].nunique())

    def accept(self, content: RecordDict) -> Settings:
        """Return the settings in a message, if this site accepts them.

        Raises
        ------
        RefusedError
            If the settings protect less than this site insists on.
        BadInputError
            If the settings cannot be read, or are out of range.
        """
        settings = Settings.from_json(str(fact(content, "settings")))
        if self.agreed is not None and settings.digest != self.agreed:
            raise RefusedError(
                f"the server's settings have the digest {settings.digest}, but this site agreed to "
                f"{self.agreed}; if they were changed with your consent, change 'settings' in the node's "
                "configuration"
            )
        if self.secret is not None and settings.secure == "none":
            raise RefusedError(
                "the server asks for models without encryption, but this site has a key, so it sends nothing "
                "in the clear; start the federation with --secure ckks, or remove 'secret' from the node's "
                "configuration"
            )
        if self.people < self.fewest:
            raise RefusedError(
                f"this site would train on {self.people} people, fewer than the {self.fewest} that it "
                "insists on: sums over few people reveal their values"
            )
        return settings

    def protection(self, settings: Settings) -> str:
        """Describe what protects this site."""
        clear = settings.secure == "none"
        sent = "in the clear, so that the server can read them" if clear else "encrypted (CKKS)"
        agreed = "any settings within limits" if self.agreed is None else f"settings {self.agreed} only"
        return f"{self.learner} sends its models and moments {sent}; at least {self.fewest} people; {agreed}"
