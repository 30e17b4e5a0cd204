/**
 * How much an edge takes at once. Measured with Traefik 3.7: 60 MiB with nothing to do, 30 KiB for an open TLS connection, and
 * up to 500 KiB for one on which a client opens and resets streams of HTTP/2 in a loop, of which there are not many before it
 * is told from others. A request under way has a connection to its service, with 64 KiB each way, and 32 KiB in between: 200
 * KiB, if its client reads nothing of the answer, and 60 KiB of the kernel's, where those count (cgroup v2); clients that do so
 * never get all there is (tests/e2e/hostile.test.ts). Half of what is left is for connections, half for requests.
 */
export function edgeCapacity(memoryMb: number): { connections: number; requests: number } {
  const halfKib = ((memoryMb - 100) * 1024) / 2;
  return { connections: Math.floor(halfKib / 90), requests: Math.floor(halfKib / 170) };
}
