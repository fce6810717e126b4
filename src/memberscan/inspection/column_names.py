"""The names of columns and keys about people, as neuroimaging files spell them."""

from __future__ import annotations

import re

IDS = frozenset({
    "participantid", "participant", "participants", "subjectid", "subject", "subjects", "subjid",
    "subj", "subid", "subjectcode", "subjectkey", "subjectlabel", "srcsubjectid", "eid", "rid", "ptid",
    "patientid", "patient", "patients", "mrn", "naccid", "oasisid", "ixiid", "hcpid", "bblid",
    "participantcode", "personid", "anonid", "pseudonym", "pseudonymid", "subjectids", "participantids",
    "patientids",
})  # fmt: skip
"""Columns that tell one person from others."""
WEAK_IDS = frozenset({
    "id", "ids", "key", "index", "unnamed0", "sub", "name", "label", "code", "uid", "caseid", "file",
    "filename", "filepath", "guid", "imagedataid", "imageid", "imageuid", "niftipath", "path", "pid",
    "recordid", "scanid", "sessionid", "t1path",
})  # fmt: skip
"""Columns that may be ids of people, of files or of anything."""
ABOUT = frozenset({
    "age", "ages", "ageatscan", "ageyears", "agemonths", "agescan", "chronologicalage", "realage",
    "trueage", "sex", "gender", "dob", "diagnosis", "dx", "dxgroup", "dxbl", "group", "site",
    "handedness", "education", "edu", "educationyears", "iq", "fsiq", "viq", "piq", "mmse", "moca",
    "cdr", "cdrsb", "apoe", "apoe4", "bmi", "height", "ethnicity", "race", "weightkg", "updrs",
    "adascog", "bdi", "phq9", "hamd", "panss", "brainage", "predictedage", "predage", "agepred",
    "agepredicted", "brainpad", "pad", "brainagegap", "bag", "agegap", "brainagedelta", "tiv", "icv",
    "etiv", "scanner", "fieldstrength", "visit", "eyestatus", "diseasestatus", "clinicalstatus",
    "sessiondate",
})  # fmt: skip
"""Columns that describe a person."""
STRONG = frozenset({
    "age", "ages", "ageatscan", "ageyears", "agemonths", "agescan", "chronologicalage", "realage",
    "trueage", "sex", "gender", "diagnosis", "dx", "dxgroup", "mmse", "moca", "cdr", "cdrsb", "apoe",
    "apoe4", "brainage", "predictedage", "predage", "brainpad", "brainagegap",
})  # fmt: skip
"""Columns that are hardly about anything but people."""
BIRTH = frozenset({
    "dob", "dateofbirth", "birthdate", "birthday", "patientbirthdate", "birth", "yob", "yearofbirth",
})  # fmt: skip
"""Columns and tags with dates of birth."""
NAMES = frozenset({
    "firstname", "lastname", "surname", "familyname", "givenname", "fullname", "patientname",
    "patientsname", "otherpatientnames", "participantname", "subjectname", "patientaddress",
    "patienttelephonenumbers",
})  # fmt: skip
"""Columns and tags with names or addresses of people."""
SCANNED = frozenset({
    "acqtime", "acquisitiondate", "acquisitiondatetime", "acquisitiontime", "studydate", "seriesdate",
    "contentdate", "scandate", "examdate", "dateofscan", "visitdate", "sessiondate", "mridate",
    "acqdate",
})  # fmt: skip
"""Columns and tags with the day on which somebody was scanned."""

PEOPLE = IDS | ABOUT | BIRTH | NAMES | SCANNED
"""Columns that tell people apart or describe them."""

PREDICTED = re.compile(r"^(yhat|oof.*|y?pred.*|.*(pred|predicted|prediction|hat))$")
"""Columns with predictions, normalised."""
TRUE = re.compile(r"^(y|true|truth|target|targets|labels?|groundtruth|actual|observed|ages?|.*true)$")
"""Columns with what was predicted, normalised."""

FOLDS = re.compile(
    r"^((cv|k)?folds?(ids?)?|(cv)?splits?"
    r"|(train|training|val|valid|validation|test|heldout|fold\d*)(set)?"
    r"(idxs?|inds?|index|indexes|indices|ids?|subjects?|subs?|participants?|subjectids?|list))$"
)
"""Keys and columns that say who was trained on, normalised."""

TRAINING_ROWS = re.compile(
    r"^(x(train|fit)(ing)?|(train|fit)(ing)?xs?|svs?|supportvectors?"
    r"|train(ing)?(data|set|rows?|features|inputs?|images|samples|volumes|scans))$"
)
"""Names of arrays with rows of the training data, normalised."""
TRAINING_LABELS = re.compile(r"^(y(train|fit)(ing)?|(train|fit)(ing)?(ys?|labels?|targets?|ages?))$")
"""Names of arrays with labels of the training data, normalised."""
DATASET = re.compile(r"(Dataset|DataSet|DataModule|DataLoader|Subset)\w*$")
"""Names of classes that hold data rather than a model."""

EMBEDDED = re.compile(
    r"(embeddings?|embed|latents?|features?|representations?|encoded|encodings?|activations?|bottleneck)$"
)
"""Names of arrays with a vector for each person, normalised."""


def normalised(name: str) -> str:
    """Return a name in lower case, without anything but letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
