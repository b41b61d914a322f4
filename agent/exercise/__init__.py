"""The campaign played with people: simulated clock, events, injects, and views for each role. Knows no screen."""
