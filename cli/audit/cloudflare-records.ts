// What the API of Cloudflare gives of a stack.

/** A DNS record, as the API gives it. */
export interface RecordState {
  id: string;
  name: string;
  type: string;
  content: string;
  comment?: string | null;
}

/** A token of the account, as the API gives it: without its value. */
export interface TokenState {
  id: string;
  name: string;
  status: string;
  policies: { effect: string; permission_groups: { id: string; name?: string }[]; resources: object }[];
  expires_on?: string | null;
  not_before?: string | null;
  condition?: object | null;
}

/** What is at Cloudflare of a stack. Whatever is not there is not in it. */
export interface CloudflareState {
  /** By the name of each in the program: what the API answers, by the name of the question. */
  answers: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** All at the stack's names, also other people's. */
  records: readonly RecordState[];
  /** All of the account, where the stack has one of its own. */
  tokens: readonly TokenState[];
  /** Names of tokens in the program whose value in the state is that of another token, or of none. */
  otherValues: readonly string[];
  /** What the ids of permission groups stand for. */
  permissions: ReadonlyMap<string, string>;
}
