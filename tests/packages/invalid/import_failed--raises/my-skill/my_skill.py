"""A handler."""

raise SystemExit(3)


async def keep(arguments, context):
    return {"count": 1}
