"""A handler, under another name."""


async def kept(arguments, context):
    return {"count": 1}
