"""A handler."""

import os

os._exit(0)


async def keep(arguments, context):
    return {"count": 1}
