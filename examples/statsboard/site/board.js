// Shows each match as it stands, and each goal as it falls.
const state = document.querySelector("#state");
const list = document.querySelector("#matches");
const token = document.querySelector("#access [name=token]");
const shown = new Map();
let teams = new Map();

function say(text, isProblem = false) {
  state.textContent = text;
  state.className = isProblem ? "problem" : "";
}

async function ask(path, options = {}) {
  const answer = await fetch(`/api${path}`, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(typeof body.detail === "string" ? body.detail : `answered ${answer.status}`);
  return body;
}

function change(method, path, body) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` };
  return ask(path, { method, headers, body: JSON.stringify(body) });
}

function nameOf(id) {
  return teams.get(id) ?? `team ${id}`;
}

function show(match) {
  shown.get(match.id).score.textContent = `${match.home_score} : ${match.away_score}`;
}

function goal(match, side) {
  const button = document.createElement("button");
  button.textContent = "+1";
  button.title = `A goal of ${nameOf(match[`${side}_id`])}`;
  button.addEventListener("click", () => {
    const [home, away] = shown.get(match.id).score.textContent.split(" : ").map(Number);
    const score = { home_score: home + (side === "home"), away_score: away + (side === "away") };
    change("PUT", `/matches/${match.id}/score`, score).then(
      () => say("Saved"),
      (error) => say(error.message, true),
    );
  });
  return button;
}

function add(match) {
  const item = document.createElement("li");
  const score = document.createElement("output");
  const [home, away] = ["home", "away"].map((side) => {
    const team = document.createElement("span");
    team.append(`${nameOf(match[`${side}_id`])} `, goal(match, side));
    return team;
  });
  item.append(home, score, away);
  list.append(item);
  shown.set(match.id, { score });
  show(match);
  // The browser connects again by itself, to the next release too.
  const events = new EventSource(`/api/matches/${match.id}/live`);
  events.addEventListener("message", ({ data }) => {
    show(JSON.parse(data));
    say("Live");
  });
  events.addEventListener("error", () => say("Connecting again…"));
}

async function load() {
  teams = new Map((await ask("/teams")).map(({ id, name }) => [id, name]));
  for (const select of document.querySelectorAll("select"))
    select.replaceChildren(...[...teams].map(([id, name]) => new Option(name, id)));
  const matches = await ask("/matches");
  for (const match of matches) if (!shown.has(match.id)) add(match);
  say(matches.length > 0 ? "Live" : "No match yet");
}

function onSubmit(form, send) {
  document.querySelector(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await send(Object.fromEntries(new FormData(event.target)));
      await load();
      say("Saved");
    } catch (error) {
      say(error.message, true);
    }
  });
}

onSubmit("#access", async () => {});
onSubmit("#team", (team) => change("POST", "/teams", team));
onSubmit("#match", (ids) => change("POST", "/matches", { home_id: Number(ids.home_id), away_id: Number(ids.away_id) }));
load().catch((error) => say(error.message, true));
