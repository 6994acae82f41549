"""The actions: their registry, which dispatches them, and their handlers, one module a theme."""
