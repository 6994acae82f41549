"""Skill packages: the check for their authors, and the export for other hosts."""
