import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Comment {
  id: number;
  body: string;
  user: { login: string };
}

export interface Issue extends Comment {
  number: number;
  title: string;
  state: "open" | "closed";
  pull_request?: object;
  comments: Comment[];
}

/** The few endpoints of GitHub's REST API that the commands speak to, for one repository, as its documentation says. */
export class GitHub {
  /** Issues and pull requests, which share their numbers. */
  readonly issues: Issue[] = [];
  /** What was asked: `POST /issues`. */
  readonly asked: string[] = [];
  /** Permissions that the token has not. */
  readonly denied = new Set<string>();
  readonly #server: Server = createServer((request, answer) => {
    void this.#answer(request).then(({ status, body }) => {
      answer.writeHead(status, { "Content-Type": "application/json" });
      answer.end(JSON.stringify(body));
    });
  });
  #ids = 1000;

  static async start(): Promise<GitHub> {
    const github = new GitHub();
    await new Promise<void>((done) => github.#server.listen(0, "127.0.0.1", done));
    return github;
  }

  /** What a run of Actions has in its environment. */
  get env() {
    return {
      GITHUB_ACTIONS: "true",
      GITHUB_API_URL: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_REPOSITORY: "you/reach",
      GITHUB_RUN_ID: "4711",
      GITHUB_TOKEN: TOKEN,
    };
  }

  /** An issue or a pull request, by whoever it is. */
  add(number: number, login: string, body = "", pullRequest = false): Issue {
    const issue: Issue = { ...this.#entry(login, body), number, title: "", state: "open", comments: [] };
    this.issues.push({ ...issue, ...(pullRequest ? { pull_request: {} } : {}) });
    return this.issues.at(-1)!;
  }

  addComment(issue: Issue, login: string, body: string): Comment {
    issue.comments.push(this.#entry(login, body));
    return issue.comments.at(-1)!;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #entry(login: string, body: string) {
    const id = this.#ids++;
    return { id, html_url: `https://github.com/you/reach/issues#${id}`, body, user: { login } };
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { pathname, searchParams } = new URL(request.url!, "http://here");
    const path = pathname.replace("/repos/you/reach", "");
    this.asked.push(`${request.method} ${path}`);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return failed(401, "Bad credentials");
    if (!pathname.startsWith("/repos/you/reach/")) return failed(404, "Not Found");
    const given = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as Partial<Issue>;
    if ((given.body ?? "").length > 65_536) return failed(422, "body is too long (maximum is 65536 characters)");
    return this.#route(`${request.method} ${path}`, searchParams, given);
  }

  #route(route: string, query: URLSearchParams, given: Partial<Issue>): { status: number; body: unknown } {
    const [, number, rest] = /^\w+ \/issues\/(\d+)(\/comments)?$/.exec(route) ?? [];
    const issue = this.issues.find((each) => each.number === Number(number));
    const writes = !route.startsWith("GET ");
    if (writes && this.denied.has(issue?.pull_request ? "pull-requests" : "issues"))
      return failed(403, "Resource not accessible by integration");
    const page = (entries: unknown[]) => {
      const [size, index] = [Number(query.get("per_page") ?? 30), Number(query.get("page") ?? 1)];
      return { status: 200, body: entries.slice(size * (index - 1), size * index) };
    };
    if (route === "GET /issues") {
      const [state, creator] = [query.get("state") ?? "open", query.get("creator")];
      const found = this.issues.filter((each) => each.state === state && [null, each.user.login].includes(creator));
      return page(found.toReversed());
    }
    if (route === "POST /issues") {
      const opened = this.add(Math.max(0, ...this.issues.map((each) => each.number)) + 1, BOT, given.body);
      return { status: 201, body: Object.assign(opened, { title: given.title }) };
    }
    const [, id] = /^PATCH \/issues\/comments\/(\d+)$/.exec(route) ?? [];
    const comment = this.issues.flatMap(({ comments }) => comments).find((each) => each.id === Number(id));
    if (comment) return { status: 200, body: Object.assign(comment, given) };
    if (issue && route.startsWith("PATCH ") && !rest) return { status: 200, body: Object.assign(issue, given) };
    if (issue && route.startsWith("GET ") && rest) return page(issue.comments);
    if (issue && route.startsWith("POST ") && rest)
      return { status: 201, body: this.addComment(issue, BOT, given.body ?? "") };
    return failed(404, "Not Found");
  }
}

/** Who writes with a job's token. */
export const BOT = "github-actions[bot]";

const TOKEN = "ghs_of-this-job";

function failed(status: number, message: string) {
  return { status, body: { message, documentation_url: "https://docs.github.com/rest" } };
}
