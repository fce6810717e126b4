"""The errors that memberscan raises; each has a type, and its message says what to do next."""

from __future__ import annotations


class MemberscanError(Exception):
    """Base of all errors that a user can act on; ``exit_code`` is what the command line returns."""

    exit_code = 2


class BadInputError(MemberscanError):
    """Something the user gave cannot be read or does not make sense (exit code 2)."""


class RefusedError(MemberscanError):
    """The input is readable, but continuing would lose work or give a misleading result (exit code 3)."""

    exit_code = 3


class TooLargeError(BadInputError):
    """A file from others declares or holds more than the limit for files of its kind."""


class UntrustedCodeError(RefusedError):
    """A file asks to run code that the user did not name on the command line or in the call."""


class BusyError(RefusedError):
    """Another process is working in the output directory."""


class CohortError(BadInputError):
    """A dataset is missing or empty, or all its scans are excluded."""


class ParticipantsError(CohortError):
    """Tabular data about the participants is missing or gives no ages."""


class AmbiguousScansError(CohortError):
    """Several files of a session are versions of one scan, and the user has not said which to use."""


class UnusableScanError(CohortError):
    """One scan cannot be used; the message becomes its reason in excluded.tsv, and the build continues."""


class RolesError(BadInputError):
    """A roles file is malformed, or does not fit the cohort."""


class DataLeakageError(RolesError):
    """One subject is on both sides of a split that must be disjoint."""


class TranscriptError(BadInputError):
    """The transcript of a federation is incomplete or damaged, or holds several different models."""


class FederationError(RefusedError):
    """A federation cannot continue: too few learners answer, or their replies do not fit together."""


class EncryptionError(BadInputError):
    """A key or ciphertext of a federation is damaged, is of another key pair, or has other parameters."""


class TooFewSubjectsError(BadInputError):
    """There are too few subjects for an audit."""


class ModelError(BadInputError):
    """A model cannot be built, loaded or run on this cohort."""


class UnsafeWeightsError(ModelError):
    """A weights file would have to execute code to be loaded."""


class PredictionsError(BadInputError):
    """A predictions file has wrong columns, duplicate ids, or values that are not numbers."""


class NonFiniteError(BadInputError):
    """A model or a file gives NaN or infinite predictions."""


class ReferencesError(BadInputError):
    """Reference models are missing or incomplete, or do not fit the target, the plan or each other."""


class MissingExtraError(BadInputError):
    """The requested feature needs an optional dependency (an extra) that is not installed."""


class UnknownAttackError(BadInputError):
    """An attack was requested by a name that is not registered."""


class AuditFileError(BadInputError):
    """An audit.json is missing or unreadable, or has a schema that this version does not know."""


class MisalignedError(BadInputError):
    """Two things that must describe the same scans do not."""


class NotARegressorError(RefusedError):
    """The target's answers are not in the unit of what it predicts; its residuals would mislead an audit."""


class OutputConflictError(RefusedError):
    """The output directory holds results that were made with another configuration."""


class StaleError(RefusedError):
    """Stored results no longer belong to the data they were made from, because one of them has changed."""


class UndeclaredContextError(RefusedError):
    """A dossier was asked for without the context in which the model will be released."""


class DossierError(RefusedError):
    """The files of a dossier are not those that were written, or its content does not follow from them."""


class DiskFullError(RefusedError):
    """The disk is full; everything finished so far is kept and the same command resumes."""
