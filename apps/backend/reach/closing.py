"""How a tunnel ends well."""

import asyncio
import time

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
    """Waits until the set is empty (each task takes itself out), then cancels what is left. Returns how many."""
    deadline = time.monotonic() + seconds
    # Again and again, since a connection that was accepted last can still come in while the others end.
    while tasks and (left := deadline - time.monotonic()) > 0:
        await asyncio.wait(tasks, timeout=left)
    stuck = set(tasks)
    for task in stuck:
        task.cancel()
    if stuck:
        await asyncio.wait(stuck)
    return len(stuck)
