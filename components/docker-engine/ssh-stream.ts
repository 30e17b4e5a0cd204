import { spawn } from "node:child_process";
import { Duplex } from "node:stream";

/** What goes to `ssh` and comes from it, as a socket; and what ssh has complained of so far. */
export function sshStream(sshArguments: readonly string[]): { stream: Duplex; complaint: () => string } {
  const ssh = spawn("ssh", sshArguments, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  ssh.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
  const stream = new Duplex({
    read: () => ssh.stdout.resume(),
    // A broken pipe only says that ssh has ended; "close" says why.
    write: (chunk, encoding, callback) => ssh.stdin.write(chunk, encoding, (error) => error ?? callback()),
    final: (callback) => ssh.stdin.end((error?: Error | null) => error ?? callback()),
    destroy: (error, callback) => {
      ssh.kill();
      callback(error);
    },
  });
  ssh.stdout.on("data", (chunk) => stream.push(chunk) || ssh.stdout.pause());
  // Not at the end of stdout: why it ended is known only when the process is gone.
  ssh.on("close", (code) => {
    if (code === 0) stream.push(null);
    else stream.destroy(new Error(complaint.trim() || `ssh ended with ${code}`));
  });
  ssh.on("error", (error) => stream.destroy(error));
  // The other end has hung up: http.Agent would otherwise send the next request over what is left.
  stream.on("end", () => stream.destroy());
  ssh.stdin.on("error", () => undefined);
  // http.Agent lets idle connections go, so that a program which is done can end.
  const parts = [ssh, ssh.stdin, ssh.stdout, ssh.stderr] as unknown as { ref(): void; unref(): void }[];
  // http.Agent treats what it gets as a socket; a process has no such settings to change.
  Object.assign(stream, {
    setKeepAlive: () => stream,
    setNoDelay: () => stream,
    setTimeout: () => stream,
    ref: () => parts.forEach((part) => part.ref()),
    unref: () => parts.forEach((part) => part.unref()),
  });
  return { stream, complaint: () => complaint.trim() };
}
