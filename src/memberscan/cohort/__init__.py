"""Who there is: scans, ages and covariates, and the inputs a model sees of them."""

from __future__ import annotations

from memberscan.cohort.cohort import Cohort
from memberscan.cohort.covariates import select_covariates

__all__ = ["Cohort", "select_covariates"]
