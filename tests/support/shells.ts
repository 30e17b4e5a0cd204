import { spawnSync } from "node:child_process";

/** The shells of Debian's and of Alpine's images, as commands: those of them that this machine has. */
export const SHELLS = [["dash"], ["busybox", "sh"]].filter(
  ([shell]) => spawnSync(shell!, ["--help"]).error === undefined,
);
