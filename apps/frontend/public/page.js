// What the browser does: asks the API once, then listens to the stream.

const LINES = 8;
const RETRY_MS = 2000;

const apiStatus = find("#api-status");
const streamState = find("#stream-state");
const stream = find("#stream");
// The release that sent the last event.
let release = "";

void showApiStatus();
listen();

async function showApiStatus() {
  try {
    const response = await fetch("/api/status");
    if (!response.ok) throw new Error(`it said ${response.status}`);
    const status = await response.json();
    for (const field of apiStatus.querySelectorAll("[data-field]")) {
      field.textContent = status[field.getAttribute("data-field") ?? ""] ?? "–";
    }
    setState(apiStatus, "ok", "The API answered your browser.");
  } catch (error) {
    setState(apiStatus, "failed", `The API did not answer: ${error instanceof Error ? error.message : error}`);
    setTimeout(showApiStatus, RETRY_MS);
  }
}

function listen() {
  const source = new EventSource("/sse");
  source.addEventListener("open", () => setState(streamState, "ok", "Connected."));
  source.addEventListener("message", (event) => {
    const { counter, release: sender, timestamp } = JSON.parse(event.data);
    // Another release has taken over: what is shown of the old one is out of date.
    if (release && release !== sender) void showApiStatus();
    release = sender;
    const line = document.createElement("li");
    line.textContent = `${counter} from ${sender} at ${timestamp}`;
    stream.prepend(line);
    while (stream.children.length > LINES) stream.lastElementChild?.remove();
  });
  source.addEventListener("bye", () => setState(streamState, "waiting", "The server said goodbye. Reconnecting …"));
  source.addEventListener("error", () => {
    setState(streamState, "waiting", "Reconnecting …");
    // The browser tries again by itself when a stream breaks off, but not when the answer was an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  });
}

/** @type {(element: Element, state: "ok" | "waiting" | "failed", text: string) => void} */
function setState(element, state, text) {
  element.setAttribute("data-state", state);
  (element.querySelector(".state") ?? element).textContent = text;
}

/** @param {string} selector */
function find(selector) {
  const element = document.querySelector(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}
