"""The check of skills and skill packages: what each host says (``hosts``, ``rules``), one skill (``package``), many (``repository``).

It reads files and runs nothing of a package unless told to. It knows no client, driver, server, action or terminal.
"""
