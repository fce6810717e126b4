"""Attacks that compare a model with reference models, all computed for many models and scans at once."""
