"""Which attributes of fitted models hold training rows, labels, or values that were made of single rows."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Held = Literal["rows", "labels", "derived"]
"""What an attribute holds: rows of the training data, their labels, or values derived from them that are one
for each person or equal to a person's values in some places."""


class StoredRows(NamedTuple):
    """An attribute of a class of models that holds something of each training row, or of some of them."""

    pattern: str
    """Regular expression of the full name of the class, in all versions that are known."""
    attribute: str
    """Name of the attribute."""
    what: str
    """What it holds, in words."""
    held: Held
    """What it holds, as a kind."""

    def matches(self, class_name: str) -> bool:
        """Return whether it is about the class of this full name."""
        return re.fullmatch(self.pattern, class_name) is not None


def _sklearn(package: str, *names: str) -> str:
    """Return the pattern of classes in a package of scikit-learn, whose modules changed with its versions."""
    return rf"sklearn\.{package}\.(\w+\.)*({'|'.join(names)})"


_NEIGHBORS: Final = _sklearn("neighbors", r"(K|Radius|Nearest)Neighbors\w*", "LocalOutlierFactor")
_NEIGHBOR_MODELS: Final = _sklearn("neighbors", r"(K|Radius)Neighbors(Classifier|Regressor)")
_TREES: Final = _sklearn("neighbors", r"(KD|Ball)Tree(32|64)?")
_SUPPORT_VECTORS: Final = _sklearn("svm", "SVR", "SVC", "NuSVR", "NuSVC", "OneClassSVM")
_PROCESSES: Final = _sklearn(
    "gaussian_process", "GaussianProcessRegressor", "_BinaryGaussianProcessClassifierLaplace"
)
_PROPAGATION: Final = _sklearn("semi_supervised", "LabelPropagation", "LabelSpreading")
_CLUSTERS: Final = _sklearn("cluster", r"\w*KMeans", "MeanShift", "Birch")
_CLUSTERINGS: Final = _sklearn("cluster", r"\w+")
_MANIFOLDS: Final = _sklearn("manifold", r"\w+")
_ENCODERS: Final = _sklearn("preprocessing", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_COVARIANCES: Final = _sklearn("covariance", "MinCovDet", "EllipticEnvelope")
_PLS: Final = _sklearn("cross_decomposition", "CCA", r"PLS\w+")
_ENSEMBLES: Final = _sklearn("ensemble", r"\w*(Forest|Trees|Bagging)(Classifier|Regressor)")
_SEARCHES: Final = _sklearn("model_selection", r"\w+SearchCV")
_RIDGES: Final = _sklearn("linear_model", "RidgeCV", "RidgeClassifierCV")
_POSITIONS: Final = "the positions of stored rows in the training data"
_WEIGHTS: Final = "one weight for each stored row"
_COORDINATES: Final = "the coordinates of each training row in the embedding"
_DISTANCES: Final = "the distances or similarities of all pairs of training rows"

STORED_ROWS: Final[tuple[StoredRows, ...]] = (
    StoredRows(_NEIGHBORS, "_fit_X", "all training rows", "rows"),
    StoredRows(_TREES, "data", "all training rows", "rows"),
    StoredRows(r"sklearn\.impute\.(\w+\.)*KNNImputer", "_fit_X", "all training rows", "rows"),
    StoredRows(_SUPPORT_VECTORS, "support_vectors_", "the training rows that are support vectors", "rows"),
    StoredRows(_PROCESSES, "X_train_", "all training rows", "rows"),
    StoredRows(r"sklearn\.kernel_ridge\.KernelRidge", "X_fit_", "all training rows", "rows"),
    StoredRows(
        _sklearn("decomposition", "KernelPCA"),
        "X_fit_",
        "all training rows; the kernel instead if it was given, as within Isomap",
        "rows",
    ),
    StoredRows(_PROPAGATION, "X_", "all training rows", "rows"),
    StoredRows(
        r"sklearn\.kernel_approximation\.Nystroem", "components_", "a sample of training rows", "rows"
    ),
    StoredRows(_sklearn("cluster", "AffinityPropagation"), "cluster_centers_", "training rows", "rows"),
    StoredRows(_sklearn("cluster", "HDBSCAN"), "_raw_data", "all training rows", "rows"),
    StoredRows(r"umap\.umap_\.UMAP", "_raw_data", "all training rows", "rows"),
    StoredRows(r"lightgbm\.basic\.Dataset", "data", "all training rows", "rows"),
    StoredRows(r"sklearn_rvm\.(\w+\.)*EMRV[RC]", "relevance_vectors_", "some training rows", "rows"),
    StoredRows(r"torch\.utils\.data\.dataset\.TensorDataset", "tensors", "training rows and labels", "rows"),
    StoredRows(_NEIGHBOR_MODELS, "_y", "the labels of all training rows", "labels"),
    StoredRows(_PROCESSES, "y_train_", "the labels of all training rows, perhaps standardised", "labels"),
    StoredRows(_PROPAGATION, "transduction_", "a label for each training row", "labels"),
    StoredRows(r"lightgbm\.basic\.Dataset", "label", "the labels of all training rows", "labels"),
    StoredRows(_SUPPORT_VECTORS, "support_", _POSITIONS, "derived"),
    StoredRows(_SUPPORT_VECTORS, "dual_coef_", _WEIGHTS, "derived"),
    StoredRows(
        _PROCESSES, "L_", "the Cholesky factor of the kernel of all pairs of training rows", "derived"
    ),
    StoredRows(_sklearn("gaussian_process", "GaussianProcessRegressor"), "alpha_", _WEIGHTS, "derived"),
    StoredRows(r"sklearn\.kernel_ridge\.KernelRidge", "dual_coef_", _WEIGHTS, "derived"),
    StoredRows(_sklearn("decomposition", "KernelPCA"), "eigenvectors_", _COORDINATES, "derived"),
    StoredRows(_sklearn("decomposition", "KernelPCA"), "alphas_", _COORDINATES, "derived"),
    StoredRows(r"sklearn\.kernel_approximation\.Nystroem", "component_indices_", _POSITIONS, "derived"),
    StoredRows(r"sklearn_rvm\.(\w+\.)*EMRV[RC]", "relevance_", _POSITIONS, "derived"),
    StoredRows(
        _CLUSTERS, "cluster_centers_", "means of clusters; where one holds one row, the row itself", "derived"
    ),
    StoredRows(
        _CLUSTERS,
        "subcluster_centers_",
        "means of clusters; where one holds one row, the row itself",
        "derived",
    ),
    StoredRows(_CLUSTERINGS, "labels_", "the cluster of each training row", "derived"),
    StoredRows(_CLUSTERINGS, "affinity_matrix_", _DISTANCES, "derived"),
    StoredRows(_CLUSTERINGS, "reachability_", "one distance for each training row", "derived"),
    StoredRows(_MANIFOLDS, "embedding_", _COORDINATES, "derived"),
    StoredRows(r"umap\.umap_\.UMAP", "embedding_", _COORDINATES, "derived"),
    StoredRows(_MANIFOLDS, "dist_matrix_", _DISTANCES, "derived"),
    StoredRows(_MANIFOLDS, "dissimilarity_matrix_", _DISTANCES, "derived"),
    StoredRows(_MANIFOLDS, "affinity_matrix_", _DISTANCES, "derived"),
    StoredRows(r"umap\.umap_\.UMAP", "graph_", _DISTANCES, "derived"),
    StoredRows(_COVARIANCES, "dist_", "one distance for each training row", "derived"),
    StoredRows(_COVARIANCES, "support_", "a flag for each training row", "derived"),
    StoredRows(_sklearn("neighbors", "LocalOutlierFactor"), "_lrd", "one density for each row", "derived"),
    StoredRows(
        _sklearn("neighbors", "LocalOutlierFactor"),
        "negative_outlier_factor_",
        "one score for each training row",
        "derived",
    ),
    StoredRows(_PLS, "_x_scores", _COORDINATES, "derived"),
    StoredRows(_PLS, "x_scores_", _COORDINATES, "derived"),
    StoredRows(_PLS, "_y_scores", "the coordinates of the label of each training row", "derived"),
    StoredRows(_PLS, "y_scores_", "the coordinates of the label of each training row", "derived"),
    StoredRows(_sklearn("linear_model", "HuberRegressor"), "outliers_", "a flag for each row", "derived"),
    StoredRows(_sklearn("linear_model", "RANSACRegressor"), "inlier_mask_", "a flag for each row", "derived"),
    StoredRows(_ENSEMBLES, "oob_prediction_", "an out-of-bag prediction for each training row", "derived"),
    StoredRows(
        _ENSEMBLES, "oob_decision_function_", "an out-of-bag prediction for each training row", "derived"
    ),
    StoredRows(_RIDGES, "cv_results_", "a left-out error or prediction for each training row", "derived"),
    StoredRows(_RIDGES, "cv_values_", "a left-out error or prediction for each training row", "derived"),
    StoredRows(_SEARCHES, "cv_results_", "scores of the folds of a cross-validation", "derived"),
    StoredRows(
        r"sklearn\.isotonic\.IsotonicRegression", "X_thresholds_", "values of the input of rows", "derived"
    ),
    StoredRows(
        r"sklearn\.isotonic\.IsotonicRegression",
        "y_thresholds_",
        "means of labels; where one is of one row, the label itself",
        "derived",
    ),
    StoredRows(
        _sklearn("preprocessing", "QuantileTransformer"),
        "quantiles_",
        "quantiles of each column; of few rows, all values of a column in order",
        "derived",
    ),
    StoredRows(_ENCODERS, "categories_", "all different values of each column", "derived"),
    StoredRows(
        r"sklearn\.tree\._tree\.Tree",
        "values",
        "means of the labels in each node; in a leaf of one row, the label itself",
        "derived",
    ),
)
"""What was found in models that were fitted and pickled: of scikit-learn 0.23, 1.2, 1.5 and 1.9, umap-learn
0.5, LightGBM 4.7, sklearn-rvm 0.1 and torch 2.13. Fitted models of XGBoost 3.2, LightGBM 4.7 and CatBoost 1.2
hold no rows."""


def stored_rows(class_name: str) -> tuple[StoredRows, ...]:
    """Return what the attributes of a class hold; empty if it is not known to hold anything of rows."""
    return tuple(entry for entry in STORED_ROWS if entry.matches(class_name))
