"""The exercise in a terminal: one person plays every role at one desk."""
