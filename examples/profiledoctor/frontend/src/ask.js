/** What the API answers; with a body, a POST of it. @throws Error that a reader understands. */
export async function ask(path, body) {
  const answer = await fetch(path, body && post(body)).catch(() => {
    throw new Error("There is no connection. Try again.");
  });
  if (answer.ok) return answer.json();
  throw new Error(SAYS[answer.status] ?? "This did not work. Try again in a minute.");
}

const SAYS = {
  404: "There is no such check of yours.",
  413: "This is too long: give at most 20,000 characters.",
  422: "This is no profile: give some words, at most 20,000 characters.",
  429: "Too many checks at once. Try again in a minute.",
};

function post(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}
