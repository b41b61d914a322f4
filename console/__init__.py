"""What people touch: command line, live view and reports. It renders; it computes nothing."""
