"""The simulated world: campaign files become alerts, facts that tools find, and separate ground truth."""
