"""The people of an audit: their scans, ages and covariates, and the inputs that a model sees."""

from __future__ import annotations

from memberscan.cohort.cohort import Cohort
from memberscan.cohort.covariates import select_covariates

__all__ = ["Cohort", "select_covariates"]
