"""Corpora, poisoning, fine-tuning, dose sweeps and data-side defences."""
