"""A handler."""


async def keep(arguments, context):
    return {"count": 1}
