"""What is known of OpenCode: its API (``wire``), its process (``process``), its configuration files (``trust``), its models."""
