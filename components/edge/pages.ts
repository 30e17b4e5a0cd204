import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { refuse } from "../host/refuse.ts";
import { EDGE_ITSELF } from "./route-auth.ts";

/** The pages that a program may have, by the names of their files. */
const PAGES = ["404.html", "502.html", "503.html", "504.html", "maintenance.html"] as const;
const MOST_KB = 64;

/**
 * Pages of the program in place of the edge's own words, by the names of their files.
 *
 * @param folder from the project's. Undefined: none.
 * @throws Error with all that is wrong with its files.
 */
export function pagesIn(edge: string, folder: string | undefined): Record<string, string> {
  if (folder === undefined) return {};
  const problems: string[] = [];
  const files = (() => {
    try {
      return readdirSync(folder).sort();
    } catch (error) {
      problems.push(`pages: ${folder} cannot be read (${(error as NodeJS.ErrnoException).code}): give a folder`);
      return [];
    }
  })();
  const known = `give ${PAGES.slice(0, -1).join(", ")} or ${PAGES.at(-1)}`;
  for (const file of files) {
    const at = `pages: ${join(folder, file)}`;
    if (!(PAGES as readonly string[]).includes(file)) problems.push(`${at} is none of the edge's pages: ${known}`);
    else if (!statSync(join(folder, file)).isFile()) problems.push(`${at} is not a file: ${known}`);
    else if (statSync(join(folder, file)).size > MOST_KB * 1024)
      problems.push(`${at} has more than ${MOST_KB} KiB: give a smaller page, with its styles and pictures in it`);
  }
  if (problems.length === 0 && files.length === 0) problems.push(`pages: ${folder} is empty: ${known}`);
  refuse(edge, problems);
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

/** Statuses of services that do not answer for which there is a page. */
export function statusesOf(pages: readonly string[]): string[] {
  return ["502", "503", "504"].filter((status) => pages.includes(`${status}.html`));
}

/** What the settings of the edge have for pages: one answers, the other asks it where a service has not answered. */
export function pageSettings(paths: Readonly<Record<string, string>>) {
  const status = statusesOf(Object.keys(paths));
  if (status.length === 0) return { routers: {}, middlewares: {}, services: {} };
  const files = Object.fromEntries(status.map((each) => [each, paths[`${each}.html`]!]));
  return {
    routers: {
      pages: {
        entryPoints: ["services"],
        rule: `PathPrefix(\`/pages/\`) && ClientIP(\`${EDGE_ITSELF}\`)`,
        service: "noop@internal",
        middlewares: ["page"],
      },
    },
    middlewares: {
      page: { plugin: { bulkhead: { kind: "page", pages: files } } },
      pages: { errors: { status, service: "pages", query: "/pages/{status}" } },
    },
    services: { pages: { loadBalancer: { servers: [{ url: `http://${EDGE_ITSELF}:8081` }] } } },
  };
}
