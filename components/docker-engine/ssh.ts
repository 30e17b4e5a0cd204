// How a host is reached by the `ssh` of the user.
import { spawn } from "node:child_process";
import { lstatSync, mkdirSync } from "node:fs";

/**
 * One connection carries all calls, so that an update with many containers does not run into sshd's MaxStartups; a
 * host key that is not known is an error and never a question. The text is the same for every user and machine, because
 * the provider's settings are in the state: another one would be a change.
 *
 * @param shared false to come in anew, though there may be a connection already.
 */
export function sshOptions(host: string, knownHosts?: string, shared = true): string[] {
  if (!host.startsWith("ssh:")) return [];
  makeOwnFolder(sshDirectory);
  const options = {
    BatchMode: "yes",
    StrictHostKeyChecking: "yes",
    ConnectTimeout: "10",
    // Three of them without an answer end the connection.
    ServerAliveInterval: "5",
    ...(shared
      ? { ControlMaster: "auto", ControlPath: "/tmp/bulkhead-ssh-%i/%C", ControlPersist: "60" }
      : { ControlPath: "none" }),
    ...(knownHosts === undefined ? {} : { UserKnownHostsFile: knownHosts }),
  };
  return Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/**
 * Where the shared connections of this user are: ssh puts its number in place of %i. Not in TMPDIR, which is so long on
 * some systems that no socket's name fits (103 letters on macOS).
 */
export const sshDirectory = `/tmp/bulkhead-ssh-${process.getuid!()}`;

/** Arguments for `ssh`: the host of an `ssh://` URL, and a command to run there. */
export function sshArguments(host: string, options: readonly string[], ...command: string[]): string[] {
  const url = new URL(host);
  const destination = [...(url.username ? ["-l", url.username] : []), ...(url.port ? ["-p", url.port] : [])];
  return [...options, ...destination, "--", url.hostname.replace(/^\[|\]$/g, ""), ...command];
}

/** Whoever can write where the sockets are can answer in the host's place. */
export function makeOwnFolder(folder: string): void {
  mkdirSync(folder, { mode: 0o700, recursive: true });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid!() || (found.mode & 0o077) !== 0)
    throw new Error(
      `${folder}: is not a folder of this user alone, and connections to hosts are kept there: remove it`,
    );
}

/** Takes the shared connection, if there is one, out of use. A run that is under way on it keeps it. */
export function leaveSharedConnection(host: string, options: readonly string[]): Promise<boolean> {
  if (!host.startsWith("ssh:")) return Promise.resolve(false);
  return new Promise((resolve) => {
    const ssh = spawn("ssh", ["-O", "stop", ...sshArguments(host, options)], { stdio: "ignore" });
    ssh.on("error", () => resolve(false));
    ssh.on("close", (code) => resolve(code === 0));
  });
}
