"""The actions: their registry (the one door) and their handlers, one module a theme."""
