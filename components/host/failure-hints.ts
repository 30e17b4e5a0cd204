/** Where something that tells of a fault is found: what Docker keeps of the last health check, or what the container wrote. */
export type Told = "health" | "lines";

/** What to do about a container that failed, by what it shows; each once. Of a fault that it does not know, nothing. */
export function hintsOn(told: Told, text: string): string[] {
  return HINTS.filter((hint) => hint.told.includes(told) && hint.pattern.test(text)).map(({ cure }) => `\n${cure}`);
}

const HINTS: readonly { told: readonly Told[]; pattern: RegExp; cure: string }[] = [
  {
    told: ["health"],
    // As Docker says that it could not start a health command.
    pattern: /"\/bin\/sh": (stat \/bin\/sh: )?no such file/,
    cure: "Its image has no /bin/sh, by which a service that hangs is ended: give reviveAfterHangs: 0 to do without that.",
  },
  {
    told: ["lines"],
    // As Docker's init says that there is nothing by that name.
    pattern: /exec \/bin\/sh failed: No such file/,
    cure:
      "Its image has no /bin/sh, by which this runs: give it an image that has one, such as another target of the same " +
      "Dockerfile: preDeploy.image of a service, image of a scheduled job.",
  },
  {
    told: ["health"],
    // Node; curl, wget and Python.
    pattern: /ECONNREFUSED|Connection refused|Failed to connect|Could not connect/i,
    cure: "Nothing listens there: give the port that the service listens on, and let it listen on 0.0.0.0.",
  },
  {
    told: ["health"],
    pattern: /answered 4\d\d|error: 4\d\d|HTTP Error 4\d\d|HTTP\/1\.\d 4\d\d/,
    cure: "Give healthPath one that the service answers with 200, without a login.",
  },
  {
    told: ["health"],
    pattern: /redirect count exceeded|Maximum \(\d+\) redirects|too many redirects|infinite loop/i,
    cure: "It redirects for ever: give healthPath one that the service answers with 200.",
  },
  {
    told: ["health"],
    pattern: /^Killed$/m,
    cure: "Processes in it are killed, as it has too little memory: give it more memoryMb.",
  },
  {
    told: ["health", "lines"],
    pattern: /Resource temporarily unavailable|can't start new thread|EAGAIN|read init-p: connection reset/,
    cure: "It cannot start another process or thread: give it more pids.",
  },
  {
    told: ["lines"],
    pattern: /EROFS|read-only file system/i,
    cure:
      "Its root is read-only. /tmp is writable, in memory; `tmpfsMb` makes another path so, and a DataVolume keeps what is " +
      "written to it.",
  },
  {
    told: ["lines"],
    pattern: /EACCES|EPERM|permission denied|operation not permitted/i,
    cure:
      "It runs as uid 1000, or as its `user`, without capabilities: let that user own the files (COPY --chown), and change no " +
      "owner when it starts.",
  },
  {
    told: ["lines"],
    // As the job that tries a release on the edge says it.
    pattern: /the edge \S+ answered 502/,
    cure:
      "Its own health check was answered, so it may listen on 127.0.0.1 alone: let it listen on 0.0.0.0, where the edge " +
      "reaches it.",
  },
];
