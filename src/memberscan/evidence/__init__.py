"""How sure we are: ROC, intervals, permutation, checks on the audit itself, the verdict."""
