"""A handler."""


async def keep(:
