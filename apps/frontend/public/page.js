// What the browser does: asks the API once, listens to the stream, and sends files where there is a storage.

const LINES = 8;
const RETRY_MS = 2000;

const apiStatus = find("#api-status");
const streamState = find("#stream-state");
const stream = find("#stream");
// The release that sent the last event.
let release = "";

void showApiStatus();
listen();
document.querySelector("#files")?.addEventListener("submit", (event) => {
  event.preventDefault();
  void sendFile(/** @type {HTMLFormElement} */ (event.target));
});

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

/**
 * The API says where; the file itself goes from the browser to the storage.
 * @param {HTMLFormElement} form
 */
async function sendFile(form) {
  const state = find("#files-state");
  const fields = new FormData(form);
  const file = /** @type {File} */ (fields.get("file"));
  setState(state, "waiting", `Sending ${file.name} …`);
  try {
    const { name, type, size } = file;
    const headers = { authorization: `Bearer ${fields.get("key")}` };
    const response = await fetch("/api/files", { method: "POST", headers, body: JSON.stringify({ name, type, size }) });
    const offer = await response.json();
    if (!response.ok) throw new Error(offer.error);
    const sent = await fetch(offer.upload.url, { method: "PUT", headers: offer.upload.headers, body: file });
    if (!sent.ok) throw new Error(`the storage said ${sent.status}`);
    const link = document.createElement("a");
    link.href = offer.download.url;
    link.textContent = name;
    const line = document.createElement("li");
    line.append(link);
    find("#sent").prepend(line);
    setState(state, "ok", `${name} is there. Its link is good for a day.`);
  } catch (error) {
    setState(state, "failed", `It was not sent: ${error instanceof Error ? error.message : error}`);
  }
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
