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
export const name = (text) => encodeURIComponent(text);
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
