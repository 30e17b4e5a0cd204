import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { composedOf, composedProblems, exporting } from "../../components/host/composed.ts";

const env = { USER: "ann", HOST: "db" };
const secrets = { PASSWORD: "a/b@c:d%e f'(*)!" };

const valueOf = (output: pulumi.Output<string>) => new Promise((resolve) => output.apply(resolve));

test("a URL is made of settings and secrets, percent-encoded, and is a secret", async () => {
  const { URL: made } = composedOf({ composed: { URL: "pg://{USER}:{PASSWORD}@{HOST}/x" }, env, secrets });
  expect(await pulumi.isSecret(made!)).toBe(true);
  const url = new URL((await valueOf(made!)) as string);
  expect(decodeURIComponent(url.password)).toBe(secrets.PASSWORD);
  expect({ user: url.username, host: url.host, path: url.pathname }).toEqual({ user: "ann", host: "db", path: "/x" });
  expect(url.href).not.toMatch(/['()*!]/);
});

test("what others' secrets make is left out", () => {
  const composed = { URL: "pg://{USER}:{PASSWORD}@{HOST}", OTHER: "redis://{TOKEN}@cache" };
  expect(Object.keys(composedOf({ composed, env, secrets }))).toEqual(["URL"]);
});

test("all that is wrong is told at once", () => {
  const composed = { URL: "pg://{USER}:{PASWORD}@{HOST}", HOST: "{USER}", FIXED: "x", "a-b": "{USER}" };
  expect(composedProblems({ composed, env, secrets, exportSecrets: ["NONE", "URL"] })).toEqual([
    "composed.URL: {PASWORD} is in neither env nor secrets: give one of USER, HOST, PASSWORD",
    "composed.HOST: is in env or secrets too: leave one of them out",
    "composed.FIXED: has no {NAME} in it: give it in env",
    "composed.a-b: is no name of a setting: give one like DATABASE_URL",
    "exportSecrets: NONE is in neither secrets nor composed: give one of PASSWORD, URL, HOST, FIXED, a-b",
    "exportSecrets: needs command, as the image's own entry point does not run: give the program and its arguments, as " +
      "`docker inspect` of the image has them",
  ]);
  expect(composedProblems({ secrets: { "a-b": "x" }, exportSecrets: ["a-b"], command: ["x"] })).toEqual([
    "exportSecrets: a-b is no name of a variable: give it one like DATABASE_URL",
  ]);
  expect(composedProblems({ composed: { URL: "{USER}" }, env, exportSecrets: ["URL"], command: ["x"] })).toEqual([]);
});

test("the entry point gives files to the program as variables, whatever is in them, and its arguments as they are", () => {
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-composed-"));
  const value = "a $(id) `id` \"quoted\" 'too'\nof two lines";
  writeFileSync(join(folder, "url"), value);
  const [shell, ...rest] = exporting(["URL"]);
  const program = ["sh", "-c", 'printf "%s|%s|%s" "$URL" "$1" "$2"', "x", "one argument", "--"];
  const run = (file: string) => spawnSync(shell!, [...rest, ...program], { env: { ...process.env, URL_FILE: file } });
  expect(String(run(join(folder, "url")).stdout)).toBe(`${value}|one argument|--`);
  expect(run(join(folder, "none"))).toMatchObject({ status: 1, stdout: Buffer.from("") });
  rmSync(folder, { recursive: true });
  expect(exporting([])).toEqual([]);
});
