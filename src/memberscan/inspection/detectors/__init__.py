"""What is looked for in files, one file each kind of finding; a new one is registered here."""

from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.code_in_data import CodeInData
from memberscan.inspection.detectors.cohort_data import CohortData
from memberscan.inspection.detectors.known_ids import KnownIds
from memberscan.inspection.detectors.people_tables import PeopleTables
from memberscan.inspection.detectors.personal_details import PersonalDetails
from memberscan.inspection.detectors.pictures import Pictures
from memberscan.inspection.detectors.training_rows import TrainingRows
from memberscan.inspection.detectors.training_traces import TrainingTraces
from memberscan.inspection.detectors.user_names import UserNames

DETECTORS: tuple[type[Detector], ...] = (
    CohortData,
    TrainingRows,
    PeopleTables,
    KnownIds,
    PersonalDetails,
    Pictures,
    TrainingTraces,
    UserNames,
    CodeInData,
)

__all__ = ["DETECTORS", "Detector", "FileContext"]
