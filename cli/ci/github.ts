// What the workflows say on GitHub: one comment on a pull request and one issue, each found again by a mark in it.

/** The repository that a run of GitHub Actions is of, by the variables that every run has. */
export interface Repository {
  /** Every entry of a list, page after page. */
  list: <T>(path: string) => Promise<T[]>;
  post: <T>(path: string, body: object) => Promise<T>;
  patch: <T>(path: string, body: object) => Promise<T>;
}

/** A comment or an issue, as far as it concerns these commands. */
export interface Entry {
  id: number;
  /** Of an issue alone. */
  number?: number;
  html_url: string;
  body: string | null;
  user: { login: string } | null;
  /** GitHub lists pull requests among the issues. */
  pull_request?: object;
}

/** Writes a comment on a pull request, or puts it in the place of the one with the same mark. */
export async function comment(repository: Repository, pullRequest: number, mark: string, text: string): Promise<Entry> {
  const comments = `/issues/${pullRequest}/comments`;
  const own = (await repository.list<Entry>(comments)).find((entry) => isOwn(entry, mark));
  const body = marked(mark, text);
  return own
    ? repository.patch<Entry>(`/issues/comments/${own.id}`, { body })
    : repository.post<Entry>(comments, { body });
}

/** What became of an issue. */
export type IssueResult = { what: "opened" | "updated" | "closed"; issue: Entry } | undefined;

/**
 * Opens an issue, or puts the text in the place of that of the open one with the same mark. Without a text, the open one
 * is closed with a last word.
 */
export async function issue(
  repository: Repository,
  mark: string,
  told: { title: string; text: string } | { lastWord: string },
): Promise<IssueResult> {
  const open = await repository.list<Entry>(`/issues?state=open&creator=${encodeURIComponent(AUTHOR)}`);
  const own = open.find((entry) => entry.pull_request === undefined && isOwn(entry, mark));
  if ("lastWord" in told) {
    if (own === undefined) return undefined;
    await repository.post(`/issues/${own.number}/comments`, { body: told.lastWord });
    return { what: "closed", issue: await repository.patch<Entry>(`/issues/${own.number}`, { state: "closed" }) };
  }
  const body = marked(mark, told.text);
  if (own) return { what: "updated", issue: await repository.patch<Entry>(`/issues/${own.number}`, { body }) };
  return { what: "opened", issue: await repository.post<Entry>("/issues", { title: told.title, body }) };
}

/** The run that speaks, as a link. */
export function thisRun(): string {
  return `[this run](${required("GITHUB_SERVER_URL")}/${required("GITHUB_REPOSITORY")}/actions/runs/${required("GITHUB_RUN_ID")})`;
}

/** The repository of this run. */
export function repository(): Repository {
  const base = `${required("GITHUB_API_URL")}/repos/${required("GITHUB_REPOSITORY")}`;
  const token = required("GITHUB_TOKEN");
  const ask = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: {
        Accept: "application/vnd.github+json",
        Authorization: `Bearer ${token}`,
        "X-GitHub-Api-Version": "2022-11-28",
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: Error) => {
      const reason = error.cause instanceof Error ? error.cause.message : error.message;
      throw new Error(`${method} ${base}${path}: no answer (${reason}): run the job again`);
    });
    if (answer.ok) return (await answer.json()) as T;
    const { message = "no reason given" } = (await answer.json().catch(() => ({}))) as { message?: string };
    throw new Error(`${method} ${base}${path} answered ${answer.status}, ${message}: ${cureOf(answer.status)}`);
  };
  return {
    list: async <T>(path: string) => {
      const all: T[] = [];
      for (let page = 1; ; page++) {
        const query = `${path.includes("?") ? "&" : "?"}per_page=${PER_PAGE}&page=${page}`;
        const entries = await ask<T[]>("GET", `${path}${query}`);
        all.push(...entries);
        if (entries.length < PER_PAGE) return all;
      }
    },
    post: (path, body) => ask("POST", path, body),
    patch: (path, body) => ask("PATCH", path, body),
  };
}

/** A variable that has to be there, and has none of the secrets in its message. */
export function required(variable: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable}: missing: GitHub Actions sets it, or the workflow's step has to`);
  return value;
}

/** Who writes with the token of a job; what others write is never touched, whatever mark it bears. */
const AUTHOR = "github-actions[bot]";

const TIMEOUT_MS = 30_000;
const PER_PAGE = 100;
/** What GitHub takes of a body. */
const BODY_MOST = 65_536;

function isOwn({ user, body }: Entry, mark: string): boolean {
  return user?.login === AUTHOR && (body ?? "").startsWith(hidden(mark));
}

/** A comment of Markdown, which readers do not see. */
function hidden(mark: string): string {
  return `<!-- bulkhead: ${mark} -->`;
}

function marked(mark: string, text: string): string {
  const whole = `${hidden(mark)}\n${text}`;
  if (whole.length <= BODY_MOST) return whole;
  const cut = "\n\n**The rest is left out: GitHub takes no more. All of it is in the log of the run.**\n";
  // What is open in Markdown where it is cut would swallow the last word.
  const kept = whole.slice(0, BODY_MOST - cut.length - FENCE.length);
  return `${kept}${kept.split(/^```/m).length % 2 === 0 ? FENCE : ""}${cut}`;
}

const FENCE = "\n```";

function cureOf(status: number): string {
  if (status === 401) return "GITHUB_TOKEN is not valid: give the job's own, ${{ github.token }}";
  if (status === 403) return "the job needs the permission for it, or is over GitHub's limit: docs/how-to/github.md";
  if (status === 404) return "it is not there, or the job has no permission to see it: docs/how-to/github.md";
  if (status === 410) return "issues are switched off: switch them on in the repository's settings";
  return "see GitHub's status, and run the job again";
}
