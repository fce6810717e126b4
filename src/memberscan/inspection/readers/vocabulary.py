"""All classes whose pickles are known as data."""

from __future__ import annotations

from typing import Final

from memberscan.inspection.readers import (
    joblib_arrays,
    pickled_arrays,
    pickled_builtins,
    pickled_models,
    pickled_tables,
    pickled_tensors,
)
from memberscan.inspection.readers.pickle_machine import Vocabulary

VOCABULARY: Final = Vocabulary(
    calls={**pickled_builtins.CALLS, **pickled_arrays.CALLS, **pickled_tables.CALLS, **pickled_tensors.CALLS},
    builds={
        **pickled_arrays.BUILDS,
        **pickled_tables.BUILDS,
        **pickled_models.BUILDS,
        **joblib_arrays.BUILDS,
    },
    constants=pickled_tables.CONSTANTS,
)
"""The functions, classes and values of Python, numpy, scipy, pandas, scikit-learn, joblib and torch."""
