"""Facts to figures: the metric catalogue, the projections, the projector, the read model and its rebuild."""
