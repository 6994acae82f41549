"""What every room stands on and no user imports: documents, policy, redaction, time budget, validation."""
