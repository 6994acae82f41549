"""A handler."""


def keep(arguments, context):
    return {"count": 1}
