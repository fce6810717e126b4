"""Make a copy of a release without what was found, where the formats allow it."""
