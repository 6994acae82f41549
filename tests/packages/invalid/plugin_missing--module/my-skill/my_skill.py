"""No package."""
