"""How a connection ends well, for HTTP and the tunnel alike."""

import asyncio

# How long the other side may take to hang up after we have.
GOODBYE_SECONDS = 1


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says "no more from me" and waits a moment for the other side to do the same.

    To close while bytes still arrive resets the connection, and a reset can destroy the last words on their way.
    """
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await writer.drain()
            writer.write_eof()
            while await reader.read(65536):
                pass
    except TimeoutError:
        pass


async def finish(tasks: set[asyncio.Task[None]], seconds: float) -> int:
    """Waits for the tasks, then cancels what is left. Returns how many that were."""
    if not tasks:
        return 0
    _, stuck = await asyncio.wait(tasks, timeout=seconds)
    for task in stuck:
        task.cancel()
    if stuck:
        await asyncio.wait(stuck)
    return len(stuck)
