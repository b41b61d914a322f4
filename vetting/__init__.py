"""Is this model poisoned? Detectors, data audit and the deployment gate."""
