"""Reference models: which people each was trained on, and what each predicts for everybody."""
