"""What a view of a run shows of each scan: predictions, activations, per-sample gradients."""
