"""A service between a model and an outsider: the only way by which a defence's answers reach an attack."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.defences import own_code
from memberscan.defences.answers import Answers, OwnPeople, digests_of
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, NonFiniteError
from memberscan.models.copies import Copies
from memberscan.models.inputs import batches
from memberscan.progress import progress
from memberscan.runs.run import SALT
from memberscan.salts import keyed, read_salt
from memberscan.targets.trained_scans import TrainedScans
from memberscan.training.kept_seeds import DEFENCE_SEED, stored_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import UInt8

    from memberscan.cohort import Cohort
    from memberscan.runs import Run

_BATCH = 8


@dataclass(frozen=True, eq=False)
class Service:
    """Changes what a model answers, and what the attacker's references answer, by the same defence.

    Parameters
    ----------
    name, defence
        The defences that change answers.
    run
        The model's run, which keeps the secret of the service.
    cohort, scan_ids
        The scans that the attacker asks about.
    seed
        Root seed of the audit, for the secrets of the attacker's own references.

    Raises
    ------
    BadInputError
        If the model predicts classes.
    """

    name: str
    defence: Defence
    run: Run
    cohort: Cohort
    scan_ids: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        if self.cohort.target.classes:
            raise BadInputError(
                f"{self.run.path} states the defence {self.name}, which changes answers that are numbers, "
                f"but its target {self.cohort.target.name!r} has classes; audit with --access weights"
            )

    def of_model(self, raw: np.ndarray, *, of_copies: bool, nearby: bool = False) -> np.ndarray:
        """Return what the service answers.

        Parameters
        ----------
        raw
            Predictions of the scans, (scans), or of their changed copies, (scans, copies).
        of_copies
            Whether they are of copies.
        nearby
            Whether the scans that are asked about differ in one bit from those of the cohort.
        """
        digests = self._digests_of_nearby if nearby else partial(self._digests_of, of_copies)
        return self._changed(
            raw,
            lambda: str(self._seed()).encode(),
            digests,
            lambda: self._trained_scans.asked(digests()),
        )

    def of_references(
        self, raw: np.ndarray, *, of_copies: bool, inside: np.ndarray | None = None
    ) -> np.ndarray:
        """Return what reference models answer behind services of their own.

        The attacker knows the defence, but not the secret of the target's service, so that each of its
        references has a secret that it drew itself.

        Parameters
        ----------
        raw
            Predictions of the scans, (references, scans), or of copies, (references, scans, copies).
        of_copies
            Whether they are of copies.
        inside
            Whether each reference was trained on each scan, (references, scans). A defence that moves the
            answers to people trained on needs it.
        """
        root = str(self.seed).encode()
        keys = [hmac.digest(root, f"reference/{k}".encode(), "sha256") for k in range(len(raw))]
        rows = []
        with progress("answers of references", len(raw)) as advance:
            for place, (row, key) in enumerate(zip(raw, keys, strict=True)):
                own = partial(self._reference_people, row, None if inside is None else inside[place])
                rows.append(
                    self._changed(row, partial(bytes, key), partial(self._digests_of, of_copies), own)
                )
                advance(1)
        return np.stack(rows)

    def _changed(
        self,
        raw: np.ndarray,
        secret: Callable[[], bytes],
        digests: Callable[[], UInt8[np.ndarray, "n 32"]],
        own: Callable[[], OwnPeople],
    ) -> np.ndarray:
        # A copy, because a defence of the user's own may change what it gets in place.
        values = np.array(raw, dtype=float)
        answers = Answers(values.reshape(-1), digests, secret, own=own)
        found = np.asarray(self.defence.answered(answers), dtype=float)
        if found.shape != answers.values.shape:
            raise BadInputError(
                f"{self.name} gives answers of shape {found.shape} for {len(answers.values)} predictions; "
                "return one for each"
            )
        if not np.isfinite(found).all():
            raise NonFiniteError(f"{self.name} gives answers that are NaN or infinite; return numbers")
        return found.reshape(values.shape)

    def _digests_of(self, of_copies: bool) -> UInt8[np.ndarray, "n 32"]:
        return (self._digests_of_copies if of_copies else self._digests_of_scans).reshape(-1, 32)

    def _reference_people(self, row: np.ndarray, inside: np.ndarray | None) -> OwnPeople:
        """Return what the service of a reference knows: the attacker trained it, and holds out all others."""
        if inside is None:
            raise BadInputError(
                f"{self.name} needs to know on whom each reference was trained; give inside, or audit "
                "without references"
            )
        labels = self.cohort.labels[list(self.scan_ids)].to_numpy(float)
        if row.ndim > 1:
            return OwnPeople(np.full(row.size, np.nan), np.zeros(1), np.zeros(1))
        residual = labels - row
        return OwnPeople(np.where(inside, labels, np.nan), residual[inside], residual[~inside])

    @cached_property
    def _trained_scans(self) -> TrainedScans:
        return TrainedScans.of(self.run, self.cohort)

    def _seed(self) -> int:
        found = stored_seed(self.run.path, DEFENCE_SEED)
        if found is None:
            raise BadInputError(
                f"{self.run.path} lacks the secret of {self.name} (defence_seed in request.json), so what a "
                "service answers is not known; restore the file, or audit with --access weights"
            )
        return found

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The defence, a digest of the user's own code, and one of the secret that shows nothing of it."""
        seed, code = stored_seed(self.run.path, DEFENCE_SEED), own_code(self.name)
        return {
            "defence": self.name,
            **({"code": code} if code else {}),
            "secret": None if seed is None else keyed(read_salt(self.run.path / SALT), str(seed)),
        }

    @cached_property
    def _digests_of_scans(self) -> UInt8[np.ndarray, "scans 32"]:
        return np.concatenate(self._of_batches("digests of scans", lambda x: digests_of(x.numpy())))

    def _digests_of_nearby(self) -> UInt8[np.ndarray, "scans 32"]:
        def moved(inputs: Any) -> np.ndarray:
            rows = inputs.numpy().astype(np.float32).reshape(len(inputs), -1)
            rows[:, 0] = np.nextafter(rows[:, 0], np.float32(np.inf))
            return digests_of(rows)

        return np.concatenate(self._of_batches("digests of nearly equal scans", moved))

    @cached_property
    def _digests_of_copies(self) -> UInt8[np.ndarray, "scans copies 32"]:
        copies = Copies.of(self.cohort)

        def each(inputs: Any) -> np.ndarray:
            return np.stack([digests_of(copy.numpy()) for copy in copies(inputs)], axis=1)

        return np.concatenate(self._of_batches("digests of changed copies", each))

    def _of_batches(self, what: str, digest: Callable[[Any], np.ndarray]) -> list[np.ndarray]:
        found = []
        with progress(what, len(self.scan_ids)) as advance:
            for inputs, _ in batches(self.cohort, self.scan_ids, _BATCH):
                found.append(digest(inputs))
                advance(len(inputs))
        return found
