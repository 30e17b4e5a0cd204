import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, expect, test, vi } from "vitest";
import { ask } from "../src/ask.js";
import { Checks, Findings, ProfileForm } from "../src/parts.jsx";

afterEach(() => vi.unstubAllGlobals());

test("a list has a link to each check, and says how many findings it has", () => {
  const finding = { id: "short", says: "Write more." };
  const checks = [
    { id: "a1", title: "Ada", findings: [finding] },
    { id: "b2", title: "Bob", findings: [] },
  ];
  const page = renderToStaticMarkup(<Checks checks={checks} />);
  expect(page).toContain('<a href="/checks/a1">Ada</a><span>1 finding</span>');
  expect(page).toContain('<a href="/checks/b2">Bob</a><span>nothing is missing</span>');
  expect(renderToStaticMarkup(<Checks checks={[]} />)).toContain("None yet");
});

test("what a profile says is text, never markup", () => {
  const check = { title: "<script>alert(1)</script>", made: "2027-01-31T12:00:00", findings: [] };
  expect(renderToStaticMarkup(<Findings check={check} />)).toContain("&lt;script&gt;");
});

test("a form says what went wrong, and waits while it is busy", () => {
  const page = renderToStaticMarkup(<ProfileForm busy problem="There is no connection." />);
  expect(page).toContain("There is no connection.");
  expect(page).toContain('<button disabled="">');
});

test("the API is asked as it wants to be, and its refusals are words", async () => {
  const asked = vi.fn(async () => new Response('{"id":"a1"}', { status: 201 }));
  vi.stubGlobal("fetch", asked);
  expect(await ask("/api/checks", { text: "Ada" })).toEqual({ id: "a1" });
  expect(asked.mock.calls[0]).toEqual([
    "/api/checks",
    expect.objectContaining({ method: "POST", body: '{"text":"Ada"}' }),
  ]);
  vi.stubGlobal("fetch", async () => new Response("", { status: 429 }));
  await expect(ask("/api/checks")).rejects.toThrow("Too many checks at once");
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("fetch failed")));
  await expect(ask("/api/checks")).rejects.toThrow("There is no connection");
});
