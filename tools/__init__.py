"""Evidence: what an investigator can look up about an alert, and the playbooks that say in which order."""
