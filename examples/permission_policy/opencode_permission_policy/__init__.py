"""Lets the OpenCode agent work in named folders and refuses the rest."""
