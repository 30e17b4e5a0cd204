import * as proxy from "@pulumi/policy/proxy.js";
import { describe, expect, test } from "vitest";
import { isDate, saidExceptions } from "../../policy/exceptions.ts";
import type { Resource } from "../../policy/rule.ts";
import { compliantStack, labelList, violationsIn } from "./compliant.ts";

/** How a policy sees what a preview does not know; Pulumi exports it without its type. */
const { unknownCheckingProxy, unknownStringValue } = proxy as unknown as {
  unknownCheckingProxy: <T>(props: T) => T;
  unknownStringValue: string;
};

const TODAY = new Date("2027-01-31T23:59:59Z");
const TOMORROW = new Date("2027-02-01T00:00:00Z");
const IS_PRIVILEGED = "container-privileged: web: is privileged: leave privileged out";
const WRITABLE =
  "container-read-only-root: web: has a writable root: " +
  "set readOnly, with tmpfs and volumes for what has to be written";

/** The compliant stack, with this of its container `web`. */
function stackWith(props: object, exceptions?: unknown): Resource[] {
  const stack = compliantStack();
  Object.assign(stack.find(({ name }) => name === "web")!.props, props, {
    labels: labelList({
      "bulkhead.pids": "64",
      ...(exceptions === undefined ? {} : { "bulkhead.exceptions": JSON.stringify(exceptions) }),
    }),
  });
  return stack;
}

/** That of the compliant stack itself. */
const REDIRECT = "edge: stack-public-entry-point http TLS is excepted: it answers nothing but redirects to https";

describe("an exception", () => {
  const why = "it has to be so";

  test("satisfies the rule that it names, and no other", () => {
    const weak = { privileged: true, readOnly: false };
    expect(violationsIn(stackWith(weak))).toEqual([IS_PRIVILEGED, WRITABLE]);
    expect(violationsIn(stackWith(weak, [{ rule: "container-privileged", why }]))).toEqual([WRITABLE]);
    expect(violationsIn(stackWith(weak, [{ rule: "container-read-only-root", why }]))).toEqual([IS_PRIVILEGED]);
  });

  test("of one part leaves the others refused", () => {
    const weak = { capabilities: { drops: ["ALL"], adds: ["CHOWN", "NET_ADMIN"] } };
    const refused = "container-capabilities: web: has the capability NET_ADMIN: drop ALL and add none";
    expect(violationsIn(stackWith(weak, [{ rule: "container-capabilities", part: "CHOWN", why }]))).toEqual([refused]);
    expect(violationsIn(stackWith(weak, [{ capability: "CHOWN", why }]))).toEqual([refused]);
    expect(violationsIn(stackWith(weak, [{ rule: "container-capabilities", why }]))).toEqual([]);
  });

  test("of an entry point is for what it says that is missing, or for all", () => {
    const bare = (exceptions: unknown) => {
      const stack = compliantStack();
      const { props } = stack.find(({ name }) => name === "edge")!;
      const { command } = props as { command: string[] };
      command.splice(0, command.length, "--entryPoints.http.address=:8080");
      props["labels"] = labelList({
        ...{ "bulkhead.pids": "64", "bulkhead.role": "edge", "bulkhead.exceptions": JSON.stringify(exceptions) },
      });
      return violationsIn(stack).map((violation) => violation.split(": ")[2]);
    };
    const [tls, rate] = ["TLS", "a rate limit"].map(
      (missing) => `serves the public entry point http without ${missing}`,
    );
    expect(bare([])).toEqual([tls, rate]);
    expect(bare([{ entryPoint: "http", without: "TLS", why }])).toEqual([rate]);
    expect(bare([{ entryPoint: "http", without: "rate limit", why }])).toEqual([tls]);
    expect(bare([{ entryPoint: "http", why }])).toEqual([]);
    expect(bare([{ rule: "stack-public-entry-point", part: "http TLS", why }])).toEqual([rate]);
    expect(bare([{ entryPoint: "other", why }])).toEqual([tls, rate]);
  });

  test.each<[rule: string, of: string, weak: object, part: string, hidden: string, left: string]>([
    [
      ...["container-kernel-profiles", "web"],
      { securityOpts: ["no-new-privileges:true", "seccomp=unconfined", "apparmor=unconfined"] },
      ...["apparmor=unconfined", "runs with apparmor=unconfined", "runs with seccomp=unconfined"],
    ],
    [
      ...["container-secret-argument", "web"],
      { command: ["--password=hunter2", "--token=hunter2"] },
      ...["2", "seems to have a secret in argument 2", "seems to have a secret in argument 3"],
    ],
    [
      ...["stack-database-internal", "database"],
      { networksAdvanced: [{ name: "data" }, { name: "web" }, { name: "swarm" }] },
      ...["web", "is a database and on the network web", "is a database and on the network swarm"],
    ],
  ] as [string, string, object, string, string, string][])(
    "of one part of %s leaves the others refused",
    (rule, of, weak, part, hidden, left) => {
      const stack = compliantStack();
      const { props } = stack.find(({ name }) => name === of)!;
      Object.assign(props, weak);
      const said = () => violationsIn(stack).join("\n");
      expect(said()).toContain(hidden);
      expect(said()).toContain(left);
      (props["labels"] as object[]).push(
        ...labelList({ "bulkhead.exceptions": JSON.stringify([{ rule, part, why }]) }),
      );
      expect(said()).not.toContain(hidden);
      expect(said()).toContain(left);
    },
  );

  test.each([
    ["rootUser", { user: "0:0" }],
    ["writableRoot", { readOnly: false }],
  ])("may be said as Bulkhead says it: %s", (key, weak) => {
    expect(violationsIn(stackWith(weak)).length).toBe(1);
    expect(violationsIn(stackWith(weak, [{ [key]: true, why }]))).toEqual([]);
  });

  test("holds up to its date, and after it the rule is broken again", () => {
    const stack = stackWith({ privileged: true }, [{ rule: "container-privileged", why, until: "2027-01-31" }]);
    expect(violationsIn(stack, TODAY)).toEqual([]);
    expect(saidExceptions(stack, TODAY)).toEqual([
      REDIRECT,
      "web: container-privileged is excepted until 2027-01-31: it has to be so",
    ]);
    expect(violationsIn(stack, TOMORROW)).toEqual([
      "container-privileged: web: is privileged (its exception ended on 2027-01-31): leave privileged out",
    ]);
    expect(saidExceptions(stack, TOMORROW)).toEqual([REDIRECT]);
  });

  test("may follow one that has ended", () => {
    const stack = stackWith({ privileged: true }, [
      { rule: "container-privileged", why, until: "2027-01-31" },
      { rule: "container-privileged", why, until: "2027-02-28" },
    ]);
    expect(violationsIn(stack, TOMORROW)).toEqual([]);
  });

  test.each<[string, unknown]>([
    ["its exceptions are no list in JSON", { rule: "container-privileged", why }],
    ["an exception names no rule", [{ why }]],
    ["its exception to container-privileged has no reason", [{ rule: "container-privileged" }]],
    ["its exception to container-privileged has no reason", [{ rule: "container-privileged", why: "   so   " }]],
    [
      'its exception to container-privileged ends on "2027-02-29", which is no date',
      [{ rule: "container-privileged", why, until: "2027-02-29" }],
    ],
    [
      "its exception to container-privileged ends on 2027, which is no date",
      [{ rule: "container-privileged", why, until: 2027 }],
    ],
  ])("that cannot be read satisfies nothing: %s", (fault, exceptions) => {
    expect(violationsIn(stackWith({ privileged: true }, exceptions))).toEqual([
      IS_PRIVILEGED,
      `container-exceptions: web: ${fault}: give bulkhead.exceptions a list like ` +
        '[{"rule": "container-user", "why": "…", "until": "2027-01-31"}]',
    ]);
  });

  test("that nothing needs any more is said", () => {
    expect(violationsIn(stackWith({}, [{ rule: "container-privileged", why }]))).toEqual([
      "container-exception-of-nothing: web: excepts container-privileged, which it keeps: take the exception away",
    ]);
    expect(violationsIn(stackWith({}, [{ capability: "CHOWN", why }]))).toEqual([
      "container-exception-of-nothing: web: excepts container-capabilities CHOWN, which it keeps: take the exception away",
    ]);
  });

  test("to a rule of the whole stack stands in the resource that it is about", () => {
    const stack = compliantStack();
    stack.find(({ name }) => name === "backup")!.props["labels"] = labelList({ "bulkhead.pids": "64" });
    expect(violationsIn(stack).length).toBe(1);
    (stack.find(({ name }) => name === "rows")!.props["labels"] as object[]).push(
      ...labelList({ "bulkhead.exceptions": JSON.stringify([{ rule: "stack-data-in-backup", why }]) }),
    );
    expect(violationsIn(stack)).toEqual([]);
  });

  test.each([
    ["rows", undefined, []],
    ["rows", "2020-01-01", ["rows"]],
    ["others", undefined, ["rows"]],
  ])("to the backup of a volume stands in what prepares it: of %s until %s", (withoutBackup, until, inNoBackup) => {
    const stack = compliantStack();
    stack.find(({ name }) => name === "backup")!.props["labels"] = labelList({
      "bulkhead.pids": "64",
      "bulkhead.exceptions": JSON.stringify([{ withoutBackup, why, until }]),
    });
    expect(violationsIn(stack)).toEqual(
      inNoBackup.map((name): unknown =>
        expect.stringMatching(`^stack-data-in-backup: ${name}: holds data and is in no backup`),
      ),
    );
  });
});

test.each([
  ["2027-01-31", true],
  ["2028-02-29", true],
  ["2027-02-29", false],
  ["2027-13-01", false],
  ["31.1.2027", false],
  ["2027-01-31T00:00:00Z", false],
  ["", false],
])("%s is a date: %s", (text, expected) => {
  expect(isDate(text)).toBe(expected);
});

describe("what a preview does not know yet", () => {
  const preview = (props: object) => {
    const stack = stackWith(props);
    return stack.map((resource) => ({ ...resource, props: unknownCheckingProxy(resource.props) }));
  };

  test("is not judged", () => {
    expect(violationsIn(preview({ image: unknownStringValue, user: unknownStringValue }))).toEqual([]);
  });

  test("hides nothing else", () => {
    expect(violationsIn(preview({ image: unknownStringValue, privileged: true }))).toEqual([IS_PRIVILEGED]);
    expect(violationsIn(preview({ envs: [unknownStringValue, "DB_PASSWORD=hunter2"] }))).toEqual([
      "container-secret-env: web: seems to have a secret in its setting DB_PASSWORD: " +
        "hand it over as a file and name the file, like DB_PASSWORD_FILE",
    ]);
  });

  test("may be the label that a rule reads, or an exception", () => {
    const unknownLabel = [{ label: "bulkhead.pids", value: "64" }, unknownStringValue];
    const stack = preview({ privileged: true });
    stack.find(({ name }) => name === "web")!.props["labels"] = unknownLabel;
    expect(violationsIn(stack)).toEqual([]);
    const withBackup = preview({});
    withBackup.find(({ name }) => name === "backup")!.props["labels"] = unknownLabel;
    expect(violationsIn(withBackup)).toEqual([]);
  });

  test("hides no fault of another rule in one of the stack", () => {
    const stack = preview({});
    const door = stack.find(({ name }) => name === "door")!;
    door.props = unknownCheckingProxy({ ...door.props, image: unknownStringValue, command: [unknownStringValue] });
    stack.find(({ name }) => name === "data")!.props["internal"] = false;
    expect(violationsIn(stack)).toEqual([
      "stack-database-internal: database: is a database and on the network data, which is not one of the stack's that is internal: " +
        "publish no port, and put it on networks with internal: true alone",
    ]);
  });
});
