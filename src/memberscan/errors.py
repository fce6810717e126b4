"""Every refusal memberscan makes, as a type whose message says what to do next."""

from __future__ import annotations


class MemberscanError(Exception):
    """Base of all errors that a user can act on; ``exit_code`` is what the command line returns."""

    exit_code = 2


class BadInputError(MemberscanError):
    """Something the user gave cannot be read or does not make sense (exit code 2)."""


class RefusedError(MemberscanError):
    """The input is readable, but going on would lose work or give a misleading answer (exit code 3)."""

    exit_code = 3


class TooLargeError(BadInputError):
    """A file that others made declares or holds more than is ever read of its kind."""


class UntrustedCodeError(RefusedError):
    """A file asks to run code that nobody named on the command line or in the call."""


class BusyError(RefusedError):
    """Another process is at work in the output directory."""


class CohortError(BadInputError):
    """A dataset is missing, empty, or no scan of it survives."""


class ParticipantsError(CohortError):
    """Tabular data about the participants is missing or gives no ages."""


class AmbiguousScansError(CohortError):
    """Files of one session are versions of one scan, and it is not said which to take."""


class UnusableScanError(CohortError):
    """One scan cannot be used; the message becomes its reason in excluded.tsv, and the build goes on."""


class RolesError(BadInputError):
    """A roles file is malformed, or names nobody of the cohort."""


class DataLeakageError(RolesError):
    """One subject stands on two sides of a split that must be disjoint."""


class TranscriptError(BadInputError):
    """The transcript of a federation is incomplete, damaged, or of several models."""


class FederationError(RefusedError):
    """A federation cannot go on: too few learners answer, or their parts do not fit together."""


class EncryptionError(BadInputError):
    """A key or a ciphertext of a federation is damaged, foreign, or of other parameters."""


class TooFewSubjectsError(BadInputError):
    """Fewer subjects than an audit can say anything about."""


class ModelError(BadInputError):
    """A model cannot be built, loaded or run on this cohort."""


class UnsafeWeightsError(ModelError):
    """A weights file would have to execute code to be loaded."""


class PredictionsError(BadInputError):
    """A predictions file has wrong columns, duplicate ids, or values that are not numbers."""


class NonFiniteError(BadInputError):
    """A model or a file gives NaN or infinite predictions."""


class MissingExtraError(BadInputError):
    """What was asked needs a package of an extra that is not installed."""


class UnknownAttackError(BadInputError):
    """An attack is asked for by a name that is not registered."""


class AuditFileError(BadInputError):
    """An audit.json is missing, unreadable, or of a schema this version does not know."""


class MisalignedError(BadInputError):
    """Two things that must describe the same scans do not."""


class NotARegressorError(RefusedError):
    """The target looks like a classifier, or does not predict years; its residuals would mislead an audit."""


class OutputConflictError(RefusedError):
    """The output directory holds something that was made with another configuration."""


class StaleError(RefusedError):
    """What is on disk was made from other data than what it is now asked to work with."""


class DiskFullError(RefusedError):
    """The disk is full; everything finished so far is kept and the same command resumes."""
