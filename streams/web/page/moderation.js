// What waits for a moderator: looks every few seconds, shows a file once asked to, and sends what is decided.

import { $, Refused, ask, element, health, name, read, send, sleep, themed, titleOf } from "./common.js";

const LOOK_EVERY = 3000; // ms
const ON_A_PAGE = 20;
const SHORT = 600; // characters of a text that are shown at once
const FILES = {
  image: ["picture", (src, alt) => element("img", { src, alt })],
  video: ["film", (src, label) => element("video", { src, controls: true, playsInline: true, ariaLabel: label })],
  audio: ["sound", (src, label) => element("audio", { src, controls: true, ariaLabel: label })],
  speech: ["speech", (src, label) => element("audio", { src, controls: true, ariaLabel: label })],
};
const PARTS = { text: "words", image: "picture", video: "film" };
const DONE = { allow: "allowed", refuse: "refused" };

let offset = 0;
let told = ""; // of what was decided, as it is shown
let turn = 0; // of the answers that are waited for, only the latest is shown
const cards = new Map(); // key of an upload -> its card
const sent = new Set(); // keys of what is being decided here
const decided = new Set(); // keys of what has been, here or elsewhere

/** The same upload may be held again. */
const keyOf = ({ fingerprint, held_at: at }) => `${fingerprint}-${at}`;

// --- drawing ------------------------------------------------------------------------------------------------------

function draw({ uploads, total, decided: past }) {
  const open = uploads.filter((upload) => !decided.has(keyOf(upload)));
  const there = new Set(open.map(keyOf));
  for (const key of cards.keys()) if (!there.has(key)) leave(key, total <= ON_A_PAGE);
  open.forEach((upload, at) => {
    const card = cards.get(keyOf(upload)) ?? cardOf(upload);
    cards.set(keyOf(upload), card);
    card.tell();
    if ($("uploads").children[at] !== card.drawn) $("uploads").insertBefore(card.drawn, $("uploads").children[at] ?? null);
  });
  const waiting = total - (uploads.length - open.length);
  health("well", `${grouped(waiting)} waiting`);
  if (!waiting && !$("news").textContent) say("Nothing waits.");
  $("pages").hidden = offset === 0 && total <= ON_A_PAGE;
  $("earlier").disabled = offset === 0;
  $("later").disabled = offset + ON_A_PAGE >= total;
  $("which").textContent = open.length ? `${grouped(offset + 1)} to ${grouped(offset + open.length)} of ${grouped(waiting)}` : "";
  $("past").hidden = !past.length;
  const lines = past.map(lineOf);
  if (lines.join("\n") !== told) $("decided").replaceChildren(...lines.map((line) => element("li", {}, line)));
  told = lines.join("\n");
}

const grouped = (number) => number.toLocaleString("en");

function lineOf({ item_id: item, decision, moderator, decided_at: at, note }) {
  return `“${item}” was ${DONE[decision]} ${moderator ? `by ${moderator}` : "by somebody unknown"} on ${moment(at)}${note ? `: ${note}` : "."}`;
}

const moment = (seconds) => new Date(seconds * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

/** A card goes; whoever had the keyboard on it goes on with the next one. `all`: what waits is all on this page. */
function leave(key, all) {
  const { drawn, title, forget } = cards.get(key);
  const next = drawn.nextElementSibling ?? drawn.previousElementSibling ?? $("moderation");
  const had = drawn.contains(document.activeElement);
  cards.delete(key);
  forget();
  drawn.remove();
  if (had) next.focus();
  if (all && !decided.has(key)) say(`“${title}” waits no more: somebody else decided, or it was uploaded anew.`);
}

function cardOf(upload) {
  const title = titleOf(upload);
  const heading = element("h2", { id: `of-${keyOf(upload)}` }, title);
  const at = new Date(upload.held_at * 1000);
  const since = element("time", { dateTime: at.toISOString() });
  const files = upload.media.filter((modality) => modality in FILES).map((modality) => fileOf(upload, title, modality));
  const note = element("input", { maxLength: 500, autocomplete: "off" });
  const decision = (kind, label) => {
    const button = element("button", { type: "button", className: kind, onclick: () => decide(upload, kind, note.value) }, label);
    button.setAttribute("aria-label", `${label} ${title}`);
    return button;
  };
  const drawn = element("section", { className: "held", tabIndex: 0 }, heading,
    element("p", { className: "hint" }, reason(upload), " Waits since ", since, "."),
    ...textOf(upload.text, title),
    ...(upload.attributes.length ? [element("p", { className: "hint" }, `Tags: ${upload.attributes.join(", ")}`)] : []),
    ...files.map(({ place }) => place),
    element("form", { onsubmit: (event) => event.preventDefault() },
      element("label", {}, "Note", note), decision("allow", "Allow"), decision("refuse", "Refuse")));
  drawn.setAttribute("aria-labelledby", heading.id);
  drawn.addEventListener("keydown", (event) => pressed(event, upload, drawn, files[0], note));
  return {
    drawn, title,
    tell: () => { since.textContent = `${moment(upload.held_at)}, ${ago((Date.now() - at) / 1000)}`; },
    forget: () => files.forEach(({ hide }) => hide()),
  };
}

function reason({ why, scores }) {
  const parts = why.length ? why : Object.keys(scores);
  return `Held for its ${parts.map((part) => `${PARTS[part] ?? part} (${scores[part].toFixed(2)})`).join(" and ")}.`;
}

function textOf(text, title) {
  if (!text) return [];
  const shown = element("p", { className: "text" }, text.slice(0, SHORT));
  if (text.length <= SHORT) return [shown];
  shown.append("…");
  const more = element("button", { type: "button", onclick: () => { shown.textContent = text; more.remove(); shown.tabIndex = -1; shown.focus(); } },
    `All ${text.length.toLocaleString("en")} characters`);
  more.setAttribute("aria-label", `${more.textContent} of ${title}`);
  return [shown, more];
}

/** A file that is fetched once it is asked for, and is hidden again by the same button. */
function fileOf(upload, title, modality) {
  const [kind, make] = FILES[modality];
  const button = element("button", { type: "button", onclick: () => toggle() });
  const place = element("div", { className: "file-of" }, button);
  let url = "";
  const label = (verb) => {
    button.textContent = `${verb} the ${kind}`;
    button.setAttribute("aria-label", `${verb} the ${kind} of ${title}`);
    button.setAttribute("aria-expanded", String(verb === "Hide"));
  };
  const hide = () => { URL.revokeObjectURL(url); url = ""; place.replaceChildren(button); label("Show"); };
  async function toggle() {
    if (place.children.length > 1) { hide(); return; }
    label("Hide");
    const made = element("p", { className: "hint", role: "status" }, "…");
    place.append(made);
    try {
      const fetched = await (await ask(`/moderation/${name(upload.item_id)}/media/${modality}`)).blob();
      if (!made.isConnected) return; // hidden meanwhile
      url = URL.createObjectURL(fetched);
      made.replaceWith(make(url, `The ${kind} of ${title}, as it was looked at`));
    } catch (error) {
      made.textContent = error.message;
    }
  }
  label("Show");
  return { place, toggle, hide };
}

function ago(seconds) {
  const [count, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"]
    : seconds < 172800 ? [seconds / 3600, "hour"] : [seconds / 86400, "day"];
  return new Intl.RelativeTimeFormat("en").format(-Math.max(0, Math.round(count)), unit);
}

function say(text) { $("news").textContent = text; }

// --- deciding -----------------------------------------------------------------------------------------------------

async function decide(upload, decision, note) {
  const [key, title] = [keyOf(upload), titleOf(upload)];
  if (sent.has(key)) return;
  sent.add(key);
  try {
    await send(`/moderation/${name(upload.item_id)}`, { decision, fingerprint: upload.fingerprint, note });
    decided.add(key);
    say(`“${title}” is ${DONE[decision]}.`);
  } catch (error) {
    if (error.status === 409) decided.add(key);
    say(`“${title}” was not ${DONE[decision]}: ${error.message}`);
  }
  sent.delete(key);
  if (decided.has(key) && cards.has(key)) leave(key, true);
  await look();
}

/** Keys that mean something on an upload that has the focus, and nowhere else. */
function pressed(event, upload, drawn, file, note) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, audio, video")) return;
  const keys = {
    j: () => drawn.nextElementSibling?.focus(),
    k: () => drawn.previousElementSibling?.focus(),
    s: () => file?.toggle(),
    a: () => decide(upload, "allow", note.value),
    r: () => decide(upload, "refuse", note.value),
  };
  const does = keys[event.key.toLowerCase()];
  if (does && !event.repeat) { event.preventDefault(); does(); }
}

// --- looking ------------------------------------------------------------------------------------------------------

async function look() {
  const mine = ++turn;
  try {
    const found = await read(`/moderation?order=${$("first").value}&offset=${offset}&limit=${ON_A_PAGE}`);
    if (mine !== turn) return;
    if (!found.uploads.length && offset) { offset = Math.max(0, offset - ON_A_PAGE); await look(); return; }
    draw(found);
  } catch (error) {
    if (mine !== turn) return;
    health("ill", error instanceof Refused ? "not allowed to look" : "no connection");
    if (error instanceof Refused) say(error.message);
  }
}

function turned(to) {
  offset = Math.max(0, to);
  say("");
  look();
  $("moderation").focus();
}

themed();
$("to-moderation").hidden = false;
$("first").addEventListener("change", () => turned(0));
$("earlier").addEventListener("click", () => turned(offset - ON_A_PAGE));
$("later").addEventListener("click", () => turned(offset + ON_A_PAGE));
for (;;) {
  if (!document.hidden) await look();
  await sleep(LOOK_EVERY);
}
