"""Passes of models over a target's scans, resumable, in bounded memory; imported only when one is needed."""
