"""A TCP proxy that cuts its connections when it is told to."""

import asyncio
import random
import socket
import struct


class Cutter:
    """Passes bytes on between a port of its own and another port."""

    def __init__(self):
        self.port = None
        self._connections = set()

    async def start(self, target):
        """Begins to listen. Connections go on to the port `target`."""
        self._target = target
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def cut(self):
        """Cuts each connection, with a reset or without, and returns how many there were."""
        for writers in list(self._connections):
            for writer in writers:
                if random.random() < 0.5:
                    on_close_reset = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, on_close_reset)
                    writer.transport.abort()
                else:
                    writer.close()
        return len(self._connections)

    async def _serve(self, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        writers = (writer, there_writer)
        self._connections.add(writers)
        try:
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(writers)

    @staticmethod
    async def _pass(reader, writer):
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
