import { expect, test } from "vitest";
import { explainUnreachable } from "../../components/docker-engine/connection-errors.ts";

const HOST = "ssh://deploy@203.0.113.10";
const CHANGED = `@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:tSL4QRbeWzAwR84Mpmglbv7GplrWbUNDRhG3Ya71bCw.
Please contact your system administrator.
Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/me/.ssh/known_hosts:7
  remove with:
  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "203.0.113.10"
Host key for 203.0.113.10 has changed and you have requested strict checking.
Host key verification failed.`;
const UNKNOWN =
  "No ED25519 host key is known for 203.0.113.10 and you have requested strict checking.\r\nHost key verification failed.";
const DIAL = "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: ";

/** What was said, what is said to be wrong, and one thing to run. */
const rows: [said: string, wrong: string, cure: string, host?: string][] = [
  [UNKNOWN, "does not know the host's key", "ssh-keyscan -t ed25519 203.0.113.10 > host-key"],
  [
    UNKNOWN.replace("203.0.113.10", "[203.0.113.10]:2200"),
    "does not know",
    "ssh-keyscan -p 2200 -t ed25519 203.0.113.10 >",
    `${HOST}:2200`,
  ],
  // What stands behind an alias in ~/.ssh/config, which ssh-keyscan does not read.
  [
    UNKNOWN.replace("203.0.113.10", "[203.0.113.10]:2200"),
    "does not know",
    "ssh-keyscan -p 2200 -t ed25519 203.0.113.10 >",
    "ssh://box",
  ],
  [UNKNOWN.replace("ED25519", "RSA"), "does not know", "ssh-keyscan -t rsa 203.0.113.10 >", "ssh://box"],
  [
    CHANGED,
    "not the one in /home/me/.ssh/known_hosts, line 7",
    "sed -i.old '7d' /home/me/.ssh/known_hosts && cat host-key >>",
  ],
  ["deploy@203.0.113.10: Permission denied (publickey).", "lets nobody in as deploy with your keys", "ssh-add -l"],
  [
    "Received disconnect from 203.0.113.10 port 22:2: Too many authentication failures",
    "lets nobody in as deploy",
    "ssh-add -l",
  ],
  [
    "ssh: connect to host 203.0.113.10 port 22: Connection refused",
    "nothing answers at 203.0.113.10, port 22",
    "ssh -v deploy@203.0.113.10 true",
  ],
  [
    "ssh: connect to host 203.0.113.10 port 22: Operation timed out",
    "nothing answers",
    "ssh -v deploy@203.0.113.10 true",
  ],
  [
    "ssh: connect to host 203.0.113.10 port 2200: No route to host",
    "nothing answers at 203.0.113.10, port 2200",
    "ssh -v -p 2200 deploy@203.0.113.10 true",
    `${HOST}:2200`,
  ],
  [
    "Connection timed out during banner exchange\r\nConnection to 203.0.113.10 port 22 timed out",
    "nothing answers",
    "ssh -v",
  ],
  [
    "ssh: Could not resolve hostname box: Name or service not known",
    "the name box has no address",
    "getent hosts box",
    "ssh://deploy@box",
  ],
  [
    "ssh: Could not resolve hostname box: nodename nor servname provided, or not known",
    "the name box has no address",
    "getent hosts box",
    "ssh://box",
  ],
  ["getaddrinfo ENOTFOUND box", "the name box has no address", "getent hosts box", "tcp://box:2375"],
  [
    "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 203.0.113.10 port 22",
    "sshd of 203.0.113.10 hung up",
    "journalctl -u ssh",
  ],
  ["bash: line 1: docker: command not found", "no docker command on the host", "apt-get install -y docker.io"],
  ["sh: 1: docker: not found", "no docker command on the host", "apt-get install -y docker.io"],
  ["zsh:1: command not found: docker", "no docker command on the host", "apt-get install -y docker.io"],
  [`${DIAL}permission denied`, "deploy may not use Docker there", "usermod -aG docker deploy"],
  [`${DIAL}no such file or directory`, "Docker does not run there", "systemctl enable --now docker"],
  [
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "Docker does not run there",
    "systemctl enable --now docker",
  ],
  ["no answer in 15 s", "its Docker does not answer", "ssh deploy@203.0.113.10 docker info"],
  ["Parse Error: Expected HTTP/", "something prints when its user logs in", "ssh deploy@203.0.113.10 true"],
  ["spawn ssh ENOENT", "there is no ssh on this machine", "Install OpenSSH's client"],
  ["connect EACCES /var/run/docker.sock", "is not open to", "sudo usermod -aG docker", "unix:///var/run/docker.sock"],
  [
    "connect ENOENT /var/run/docker.sock",
    "no Docker engine answers there",
    "Start Docker",
    "unix:///var/run/docker.sock",
  ],
  [
    "connect ECONNREFUSED 203.0.113.10:2375",
    "no Docker engine answers there",
    "Start Docker",
    "tcp://203.0.113.10:2375",
  ],
];

test.each(rows)("%s", (said, wrong, cure, host = HOST) => {
  const text = explain(said, host);
  const [first, ...lines] = text.split("\n");
  expect(first!.startsWith(`${host}: `)).toBe(true);
  expect(first).toContain(wrong);
  expect(lines.join("\n")).toContain(cure);
  // One message: what ssh says in many lines is not shown beside it.
  expect(text).not.toContain("Host key verification failed");
});

test("what nobody has foreseen is told as it is", () => {
  expect(explain("the moon is full", HOST)).toBe(`${HOST}: the moon is full`);
});

test("an unknown key is compared before it is kept, where the stack keeps it", () => {
  const text = explain(UNKNOWN, HOST, "known_hosts");
  const at = (command: string) => text.indexOf(command);
  expect(at("ssh-keyscan")).toBeGreaterThan(0);
  expect(at("ssh-keygen -lf host-key")).toBeGreaterThan(at("ssh-keyscan"));
  expect(at("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")).toBeGreaterThan(at("ssh-keygen -lf host-key"));
  expect(at("cat host-key >> known_hosts")).toBeGreaterThan(at("/etc/ssh/ssh_host_ed25519_key.pub"));
  expect(explain(UNKNOWN, HOST)).toContain("cat host-key >> ~/.ssh/known_hosts");
});

test("a changed key is never said to be removed before it is compared", () => {
  const text = explain(CHANGED, HOST);
  expect(text).toContain("What answers now has the ED25519 key SHA256:tSL4QRbeWzAwR84Mpmglbv7GplrWbUNDRhG3Ya71bCw.");
  expect(text).not.toContain("ssh-keygen -f");
  expect(text).not.toMatch(/StrictHostKeyChecking|-R /);
  expect(text.indexOf("do not connect")).toBeGreaterThan(text.indexOf("/etc/ssh/ssh_host_ed25519_key.pub"));
  expect(text.indexOf("sed -i")).toBeGreaterThan(text.indexOf("do not connect"));
});

function explain(said: string, host: string, knownHosts?: string): string {
  return explainUnreachable(host, new Error(`${host}: ${said}`, { cause: new Error(said) }), knownHosts);
}
