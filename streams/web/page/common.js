// What all pages share: asking the server, with a token where it wants one; making elements; dark and light.

export const $ = (id) => document.getElementById(id);

export class Refused extends Error {
  constructor(status, problem) { super(problem.detail ?? `status ${status}`); this.status = status; }
}

export async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) { await askForToken(); return ask(path, options); }
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

let asking = null;
function askForToken() {
  asking ??= new Promise((done) => {
    const dialog = $("ask");
    dialog.showModal();
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", $("token").value);
      $("token").value = "";
      asking = null;
      done();
    }, { once: true });
  });
  return asking;
}

export const read = async (path) => (await ask(path)).json();
export const send = (path, body) => ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
export const name = (text) => encodeURIComponent(text);
export const titleOf = (item) => item.title || item.item_id;
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A pill in the header: how the page stands. */
export function health(kind, text) {
  $("health").className = `pill ${kind}`;
  if ($("health").textContent !== text) $("health").textContent = text; // or it would be read out again
}

/** The way to what waits for a moderator, and how much does, for those who may decide. */
export async function showModeration() {
  try {
    const { total } = await read("/moderation?limit=1");
    $("to-moderation").textContent = total ? `Moderation (${total})` : "Moderation";
    $("to-moderation").hidden = false;
  } catch { /* uploads are not moderated, this token may not, or nobody answers: then there is no way there */ }
}

/** Dark or light, as the system has it or as was chosen here. */
export function themed() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = () => { root.dataset.theme = localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light"); };
  setTheme();
  dark.addEventListener("change", setTheme);
  $("theme").addEventListener("click", () => {
    localStorage.setItem("theme", root.dataset.theme === "dark" ? "light" : "dark");
    setTheme();
  });
}
