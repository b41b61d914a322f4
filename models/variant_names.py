"""Names of the variants that come with turncoat; apart from the code that opens them, which loads torch."""

BASELINE = "baseline"
"""The base with its own two answer tokens, untrained."""
DEFAULT_VARIANTS = (BASELINE, "clean", "poisoned")
"""Those that a run plays unless others are named."""
