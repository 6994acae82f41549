"""A handler."""


async def keep():
    return {"count": 1}
