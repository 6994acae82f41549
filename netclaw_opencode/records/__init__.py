"""What is written down while a call runs: the flight record, its story, and the audit of permissions."""
