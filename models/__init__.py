"""Base models, the two-token head, the classifier engine, the prompt, variants, provenance and metrics."""
