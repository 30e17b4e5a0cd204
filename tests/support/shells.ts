import { spawnSync } from "node:child_process";

const COMMANDS: [string, ...string[]][] = [["dash"], ["busybox", "sh"]];

/** The shells of Debian's and of Alpine's images, as commands: those of them that this machine has. */
export const SHELLS = COMMANDS.filter(([shell]) => spawnSync(shell, ["--help"]).error === undefined);
