import { CloudflareApi } from "./cloudflare-api.ts";
import { kinds } from "./cloudflare-fields.ts";
import type { CloudflareState, RecordState, TokenState } from "./cloudflare-records.ts";
import type { ExpectedAtCloudflare, ExpectedCloudflare } from "./expected-state.ts";

/** Looks and changes nothing. */
export async function cloudflareState(promised: ExpectedCloudflare): Promise<CloudflareState> {
  const api = new CloudflareApi(promised);
  const ownRecords = ofType(promised, "DnsRecord");
  const ownTokens = ofType(promised, "AccountToken");
  const names = new Set(ownRecords.map(({ inputs: { zoneId, name } }) => `${String(zoneId)} ${String(name)}`));
  const accounts = [...new Set(ownTokens.map(({ inputs }) => String(inputs["accountId"])))];
  const [answers, records, tokens, values, permissions] = await Promise.all([
    Promise.all(promised.all.map(async (one) => [one.name, await answersOf(api, one)] as const)),
    Promise.all(
      [...names].map((key) => {
        const [zone, name] = key.split(" ") as [string, string];
        return api.list<RecordState>(`/zones/${zone}/dns_records?name.exact=${encodeURIComponent(name)}&per_page=100`);
      }),
    ),
    Promise.all(accounts.map((account) => api.list<TokenState>(`/accounts/${account}/tokens?per_page=50`))),
    Promise.all(
      ownTokens.map(async ({ name, id, inputs, outputs }) => {
        const found = await api.idOfToken(String(inputs["accountId"]), String(outputs["value"]));
        return found === id ? [] : [name];
      }),
    ),
    Promise.all(
      accounts.map((account) => api.find<PermissionGroup[]>(`/accounts/${account}/tokens/permission_groups`)),
    ),
  ]);
  return {
    answers: Object.fromEntries(answers),
    records: records.flat(),
    tokens: tokens.flat(),
    otherValues: values.flat(),
    permissions: new Map(permissions.flatMap((groups) => (groups ?? []).map(({ id, name }) => [id, name]))),
  };
}

interface PermissionGroup {
  id: string;
  name: string;
}

/** Those of one kind. */
export function ofType({ all }: ExpectedCloudflare, wanted: string): ExpectedAtCloudflare[] {
  return all.filter(({ type }) => type === wanted);
}

async function answersOf(api: CloudflareApi, one: ExpectedAtCloudflare): Promise<Record<string, unknown>> {
  const questions: Record<string, string> = kinds[one.type]?.questions(one) ?? {};
  const { jurisdiction } = one.inputs as { jurisdiction?: string };
  const headers: Record<string, string> = jurisdiction === undefined ? {} : { "cf-r2-jurisdiction": jurisdiction };
  const found = await Promise.all(
    Object.entries(questions).map(async ([name, path]) => [name, await api.find(path, headers)] as const),
  );
  return Object.fromEntries(found.filter(([, answer]) => answer !== undefined));
}
