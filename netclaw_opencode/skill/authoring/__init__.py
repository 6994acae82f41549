"""What authors of skill packages need: every check of a package (``package``) and the small package to start from (``creating``).

It reads files and runs nothing of a package unless told to. It knows no client, driver, server, action or terminal.
"""
