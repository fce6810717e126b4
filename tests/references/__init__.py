"""Tests of reference models: the plan, the outputs, and what comes back from a lab."""
