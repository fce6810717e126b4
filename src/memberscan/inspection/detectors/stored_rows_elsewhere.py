"""Which parts of models of R and ONNX hold training rows, labels, or values that are one for each row.

Sources: the reference manuals of the packages kernlab, e1071, caret, randomForest, ranger, mgcv and stats,
and the operators of ONNX's domain ai.onnx.ml. Unlike models of scikit-learn, they were not fitted here.
"""

from __future__ import annotations

from typing import Final

from memberscan.inspection.detectors.stored_rows import StoredRows


def _r(*names: str) -> str:
    """Return the pattern of class attributes, names between spaces, that name one of some classes."""
    return rf"(?:\S+ )*(?:{'|'.join(names)})(?: \S+)*"


_KERNELS: Final = _r("gausspr", "lssvm", "rvm")
_LINEAR: Final = _r("lm")
_FORESTS: Final = _r("randomForest", "ranger")

STORED_ROWS_ELSEWHERE: Final[tuple[StoredRows, ...]] = (
    StoredRows(_KERNELS, "xmatrix", "its training rows, perhaps scaled", "rows"),
    StoredRows(_KERNELS, "ymatrix", "the labels of its training rows, perhaps scaled", "labels"),
    StoredRows(_r("ksvm"), "xmatrix", "the training rows that are support vectors, perhaps scaled", "rows"),
    StoredRows(_r("ksvm"), "ymatrix", "the labels of its training rows, perhaps scaled", "labels"),
    StoredRows(_r("svm"), "SV", "the training rows that are support vectors, perhaps scaled", "rows"),
    StoredRows(_r("svm"), "fitted", "a prediction for each training row", "derived"),
    StoredRows(_r("svm"), "residuals", "an error for each training row", "derived"),
    StoredRows(_r("train"), "trainingData", "all training rows and labels", "rows"),
    StoredRows(_r("train"), "pred", "a held-out prediction for each training row", "derived"),
    StoredRows(_FORESTS, "y", "the labels of all training rows", "labels"),
    StoredRows(_FORESTS, "predicted", "an out-of-bag prediction for each training row", "derived"),
    StoredRows(_FORESTS, "predictions", "an out-of-bag prediction for each training row", "derived"),
    StoredRows(_FORESTS, "proximity", "the similarities of all pairs of training rows", "derived"),
    StoredRows(_LINEAR, "model", "all training rows and labels", "rows"),
    StoredRows(_LINEAR, "x", "all training rows", "rows"),
    StoredRows(_LINEAR, "y", "the labels of all training rows", "labels"),
    StoredRows(_LINEAR, "residuals", "an error for each training row", "derived"),
    StoredRows(_LINEAR, "fitted.values", "a prediction for each training row", "derived"),
    StoredRows(
        r"onnx\.SVM(Regressor|Classifier)",
        "support_vectors",
        "the training rows that are support vectors",
        "rows",
    ),
)
"""Functions ``lm``, ``glm`` and ``gam`` of R all make models of the class ``lm``, and keep the data unless
they are told not to."""
