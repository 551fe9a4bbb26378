// The live page: asks the server for what it shows, and keeps nothing but a token and the theme.

import { $, Refused, ask, element, health, name, read, send, showModeration, sleep, svg, themed, titleOf } from "./common.js";

const LOOK_EVERY = 1000; // ms between looks at the flow
const WINDOW = 8; // looks that rates are taken over
const HISTORY = 90; // looks that a curve shows
const STAGES = { queue: "waits", embed: "embedded", store: "stored", rank: "ranked", emit: "published" };
const MODALITIES = {
  text: ["words", "--word"], image: ["pictures", "--picture"], audio: ["sounds", "--sound"],
  speech: ["speech", "--voice"], video: ["films", "--film"],
};
const REASONS = {
  sequence: "often next", similar: "often together", moment: "often at once", neighbours: "people like you",
  embedding: "like your past", graph: "two steps away",
  stage: "users at your stage", popular: "popular", trending: "popular now", content: "like your taste",
  audience: "fits your profile", exploration: "new", knowledge: "in common",
  "passed over": "passed over before", bias: "the item itself",
};
/** The same, where a past item is named behind it. */
const REASONS_OF = {
  sequence: "often next after", similar: "often together with", moment: "often at once with",
  embedding: "like", graph: "two steps away from", content: "close to your taste, like", knowledge: "has in common with",
};
const LATE = 1; // seconds from event to list that are too many

// --- asking -------------------------------------------------------------------------------------------------------

/** The lists of a user as they come, until `signal` says stop; connects again when the line is cut. */
async function* lists(user, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await ask(`/users/${name(user)}/recommendations/stream`, { headers, signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        const messages = (rest + value).split("\n\n");
        rest = messages.pop();
        for (const message of messages) {
          const fields = Object.fromEntries(message.split("\n").map((line) => line.split(/: (.*)/s)));
          if (fields.event === "list") { last = fields.id; yield JSON.parse(fields.data); }
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status < 500) throw error;
    }
    await sleep(1000);
  }
}

// --- drawing ------------------------------------------------------------------------------------------------------

const files = new Map(); // path -> promise of an object URL, or of nothing
function file(item, modality) {
  const path = `/items/${name(item.item_id)}/media/${modality}`;
  if (!files.has(path)) {
    if (files.size > 500) { const [first] = files.keys(); files.get(first).then(URL.revokeObjectURL); files.delete(first); }
    files.set(path, ask(path).then(async (answer) => URL.createObjectURL(await answer.blob())).catch(() => ""));
  }
  return files.get(path);
}

/** The item's picture, or its initials while there is none. */
function picture(item) {
  const hue = [...item.item_id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  const words = titleOf(item).replace(/\(.*?\)/g, "").match(/[\p{L}\p{N}]+/gu) ?? [titleOf(item)];
  const initials = words.length > 1 ? words.slice(0, 2).map(([first]) => first).join("") : [...words[0]].slice(0, 2).join("");
  const made = element("span", { className: "picture", title: titleOf(item) }, initials);
  made.style.setProperty("--hue", hue);
  if (item.media?.includes("image")) {
    file(item, "image").then((url) => {
      if (!url) return;
      made.classList.add("shown");
      made.replaceChildren(element("img", { src: url, alt: "" }));
    });
  }
  return made;
}

const number = (value) => value >= 10 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
const ms = (seconds) => seconds === null ? "–" : seconds < 0.0095 ? `${(seconds * 1000).toFixed(1)}` : number(seconds * 1000);

// --- the stream ---------------------------------------------------------------------------------------------------

const NOTHING = { at: 0, events: {}, refused: {}, lists: 0, items: 0, waiting: {}, stages: {}, event_to_list: { count: 0, buckets: [] } };
const looks = [];
const curves = { events: [], latency: [], waiting: [] };

const sum = (record) => Object.values(record).reduce((total, each) => total + each, 0);

/** A quantile between two looks at a histogram, in seconds; null where nothing was added. */
function quantile(before, after, q) {
  const was = new Map(before?.buckets ?? []);
  const total = after.count - (before?.count ?? 0);
  if (total <= 0) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of after.buckets) {
    const upTo = count - (was.get(bound) ?? 0);
    if (upTo >= q * total) return lower + (bound - lower) * ((q * total - below) / (upTo - below));
    [lower, below] = [bound, upTo];
  }
  return lower;
}

function drawFlow(flow) {
  looks.push(flow);
  if (looks.length > WINDOW) looks.shift();
  drawRates(looks[0], flow);
  const workers = Object.entries(flow.workers);
  const ill = workers.filter(([, wrong]) => wrong);
  const well = workers.length - ill.length;
  health(well ? "well" : "ill", `${well} ${well === 1 ? "worker" : "workers"}${ill.length ? `, ${ill.length} not answering` : ""}`);
  $("flow-note").hidden = !ill.length;
  const mend = well ? "" : "No worker answers: start one with `anabranch worker`. ";
  $("flow-note").textContent = mend + ill.map(([worker, wrong]) => `${worker}: ${wrong}`).join("; ");
}

function drawRates(first, flow) {
  const seconds = Math.max(flow.at - first.at, 0.001);
  const rate = (get) => looks.length > 1 ? Math.max(0, get(flow) - get(first)) / seconds : 0;
  const long = (q) => quantile(first.event_to_list, flow.event_to_list, q);
  const events = rate((look) => sum(look.events));
  keep(curves.events, events);
  keep(curves.latency, long(0.5) ?? 0);
  const waiting = sum(flow.waiting);
  keep(curves.waiting, waiting);
  const [refused, most] = [rate((look) => sum(look.refused)), long(0.99)];
  figures([
    ["events", number(events), "/s", curves.events],
    ["lists refreshed", number(rate((look) => look.lists)), "/s"],
    ["event to list, half within", ms(long(0.5)), "ms", curves.latency],
    ["99 of 100 within", ms(most), "ms", null, most > LATE],
    ["waiting in Kafka", number(waiting), waiting === 1 ? "event" : "events", curves.waiting],
    ["refused", number(refused), "/s", null, refused > 0],
  ]);
  stages(flow, first, events);
}

function keep(curve, value) {
  curve.push(value);
  if (curve.length > HISTORY) curve.shift();
}

function figures(rows) {
  $("figures").replaceChildren(...rows.map(([label, value, unit, curve, ill]) => element("div", { className: ill ? "ill" : "" },
    element("dt", {}, label),
    element("dd", {}, value, " ", element("small", {}, unit), ...(curve ? [sparkline(curve)] : [])))));
}

/** What was, with now at the right. */
function sparkline(values) {
  const top = Math.max(...values, 1e-9);
  const step = 100 / (Math.max(values.length, 30) - 1);
  const begin = 100 - (values.length - 1) * step;
  const line = values.map((value, at) => `${(begin + at * step).toFixed(2)} ${(23 - (value / top) * 21).toFixed(2)}`).join("L");
  return svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: `M${begin.toFixed(2)} 24L${line}L100 24Z`, class: "below" }), svg("path", { d: `M${line}` }));
}

function stages(flow, first, events) {
  const timed = Object.entries(STAGES).map(([stage, label]) => {
    const after = flow.stages[stage];
    const of = (q) => after ? quantile(first.stages[stage], after, q) : null;
    return { label, half: of(0.5), most: of(0.99) };
  });
  const longest = Math.max(...timed.map(({ half }) => half ?? 0), 1e-9);
  const list = $("stages");
  if (!list.children.length) {
    list.append(element("li", { className: "end" }, element("b", {}, "events"), element("span"), element("span")),
      ...timed.map(({ label }) => element("li", {}, element("b", {}, label), element("span"), element("span"), element("i"))),
      element("li", { className: "end" }, element("b", {}, "lists"), element("span"), element("span")));
  }
  list.classList.toggle("still", events < 0.05);
  list.style.setProperty("--pace", `${Math.min(3, Math.max(0.25, 8 / (events + 1))).toFixed(2)}s`);
  const say = (item, ...lines) => lines.forEach((line, at) => { item.children[at + 1].textContent = line; });
  const kinds = Object.entries(flow.events).sort(([, one], [, other]) => other - one);
  say(list.firstChild, ...kinds.slice(0, 2).map(([topic, count]) => `${number(count)} ${topic.split(".")[1]}s`));
  timed.forEach(({ half, most }, at) => {
    const item = list.children[at + 1];
    say(item, half === null ? "idle" : `${ms(half)} ms`, half === null ? "" : `99%: ${ms(most)} ms`);
    item.lastChild.style.width = `${((half ?? 0) / longest) * 100}%`;
  });
  say(list.lastChild, `${number(flow.lists)} in all`, `of ${number(flow.items)} items`);
}

async function watchFlow() {
  for (;;) {
    if (!document.hidden) {
      try {
        drawFlow(await read("/flow"));
      } catch (error) {
        health("ill", error instanceof Refused ? "not allowed to look" : "no connection");
      }
    }
    await sleep(LOOK_EVERY);
  }
}

// --- people -------------------------------------------------------------------------------------------------------

const recent = new Map(); // user -> lists seen, in the order they came to be known

async function watchPeople() {
  for (;;) {
    if (!document.hidden && !$("recent").matches(":hover, :focus-within")) {
      try {
        const { refreshed } = await read("/activity");
        for (const { user_id: user } of refreshed.reverse()) { recent.delete(user); recent.set(user, true); }
        while (recent.size > 24) recent.delete(recent.keys().next().value);
        if (recent.size) $("recent-hint").textContent = "Their lists were refreshed last; pick one.";
        drawPeople();
        if (!shown && recent.size && !location.hash) show([...recent.keys()].at(-1));
      } catch (error) {
        if (error instanceof Refused && error.status === 403) { $("recent-hint").textContent = "This token may not see who is there."; return; }
      }
    }
    await sleep(LOOK_EVERY);
  }
}

function drawPeople() {
  redraw($("recent"), [...recent.keys()].reverse().map((user) => {
    const button = element("button", { type: "button", textContent: user, onclick: () => show(user) });
    button.setAttribute("aria-pressed", String(user === shown));
    button.dataset.key = user;
    return element("li", {}, button);
  }));
}

/** New children in place of the old; whoever had the keyboard on one of them has it on the new one of the same key. */
function redraw(place, children) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...children);
  if (key !== undefined) [...place.querySelectorAll("button")].find((button) => button.dataset.key === key)?.focus();
}

// --- one user -----------------------------------------------------------------------------------------------------

let shown = "";
let following = new AbortController();
let before = []; // ids of the list that was shown
let sentAt = 0; // when the last click left
let newest = null; // the user's list

async function show(user) {
  shown = user;
  location.hash = name(user);
  $("user").value = user;
  $("list-title").textContent = `List of ${user}`;
  $("taste-title").textContent = `Taste of ${user}`;
  drawPeople();
  following.abort();
  following = new AbortController();
  const { signal } = following;
  before = [];
  sentAt = 0;
  newest = null;
  back();
  $("list").replaceChildren();
  try {
    for await (const list of lists(user, signal)) {
      if (signal.aborted) return;
      newest = list;
      if (!asked) drawList(list);
      drawUser(user, signal);
    }
  } catch (error) {
    $("news").textContent = error.message;
  }
}

function drawList(list) {
  const fresh = before.length > 0;
  const focused = [...$("list").querySelectorAll(".card")].indexOf(document.activeElement);
  $("list").replaceChildren(...list.items.map((item, at) => card(list, item, at, fresh ? before.indexOf(item.item_id) : at)));
  $("list").querySelectorAll(".card")[focused]?.focus({ preventScroll: true });
  $("news").textContent = told(list, fresh ? before : null, sentAt ? performance.now() - sentAt : 0);
  $("list").dataset.version = list.list_version;
  before = list.items.map((item) => item.item_id);
  sentAt = 0;
}

/** What is to be said of a list: how it differs from the one before, where there was one; `took` ms after a click. */
function told({ items, list_version: version, user_id: user }, previous, took) {
  if (!items.length) return "There are no items yet. Once some are uploaded, they are listed here.";
  if (!version) return "Nothing is known of this user yet, so here is what is popular and new. Click something as them.";
  if (!previous) return `Click an item as ${user}, and watch the list change.`;
  const came = items.filter(({ item_id: id }) => !previous.includes(id)).length;
  const moved = items.filter(({ item_id: id }, at) => previous.includes(id) && previous.indexOf(id) !== at).length;
  return `Refreshed${took ? ` ${Math.round(took)} ms after your click` : ""}: ${came} new, ${moved} moved.`;
}

function card(list, item, at, was) {
  const because = item.because_title || item.because;
  const came = was < 0 ? "new" : was > at ? `▲${was - at}` : "";
  const button = element("button", { className: "card", type: "button", onclick: () => choose(list, item, at, row) },
    picture(item),
    element("span", { className: "words" },
      element("strong", {}, titleOf(item)),
      element("em", {}, (because && REASONS_OF[item.reason]) || (REASONS[item.reason] ?? item.reason ?? "")),
      ...(because ? [element("em", { className: "past", title: because }, because)] : []),
      ...(item.shared ? [element("em", { title: item.shared }, item.shared.replace("=", ": "))] : [])));
  const row = element("li", { className: was < 0 ? "fresh" : "" }, button,
    element("span", { className: "place" }, `${at + 1} `, element("span", { className: "came" }, came)));
  const played = ["video", "audio", "speech"].find((modality) => item.media?.includes(modality));
  if (played) {
    const video = played === "video";
    const play = element("button", { className: "play", type: "button", textContent: "▶", onclick: () => video ? watch(item) : hear(item, played) });
    play.setAttribute("aria-label", `${video ? "Watch" : "Hear"} ${titleOf(item)}`);
    row.append(play);
  }
  if (list.user_id) {
    const asks = element("button", { className: "asks", type: "button", textContent: "Why?", onclick: () => why(list.user_id, item) });
    asks.setAttribute("aria-label", `Why ${titleOf(item)}?`);
    row.append(asks);
  }
  return row;
}

let whys = 0; // explanations asked for
/** Why an item is where it is: in a sentence, in bars, and where it would be without each of the user's latest clicks. */
async function why(user, item) {
  const mine = ++whys;
  $("why-title").textContent = `Why ${titleOf(item)}?`;
  $("why-sentence").textContent = "…";
  $("why-bars").replaceChildren();
  $("why").showModal();
  try {
    const found = await read(`/users/${name(user)}/explanations/${name(item.item_id)}?past=8`);
    if (mine !== whys) return;
    $("why-sentence").textContent = found.sentence;
    $("why-bars").replaceChildren(
      ...bars("Added to the score", Object.entries(found.parts).map(([part, value]) => [REASONS[part] ?? part, value])),
      ...bars("Added to the closeness to the taste",
        Object.entries(found.closeness).map(([modality, value]) => [MODALITIES[modality]?.[0] ?? modality, value])),
      ...bars("Lost without a click of the past, and the place then",
        found.past.map((past) => [titleOf(past), past.effect, past.place === null ? "in no list" : `place ${past.place}`])));
  } catch (error) {
    if (mine === whys) $("why-sentence").textContent = error.message;
  }
}

/** A table whose numbers are drawn, too; nothing where there are none. */
function bars(caption, rows) {
  if (!rows.length) return [];
  const longest = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-9);
  const inOrder = rows.sort(([, one], [, other]) => Math.abs(other) - Math.abs(one));
  return [element("table", { className: "bars" }, element("caption", {}, caption),
    element("tbody", {}, ...inOrder.map(([label, value, note]) => {
      const bar = element("i", { className: value < 0 ? "against" : "" });
      bar.style.width = `${Math.abs(value) / longest * 100}%`;
      return element("tr", {}, element("th", { scope: "row" }, label),
        element("td", {}, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`),
        element("td", { className: "bar", ariaHidden: "true" }, bar),
        ...(note ? [element("td", {}, note)] : []));
    })))];
}

// --- searching ----------------------------------------------------------------------------------------------------

const FOUND = 20; // items on a page of what was found
const DEEPEST = 900; // items that a query may leave out before the first
const LARGEST = 512; // pixels, wide and high, of a picture that is searched with
const VALUES = 6; // of a name, that are offered to narrow down by

let asked = null; // what is shown in place of the list: { text, image, filters, offset }
let turn = 0; // of the answers that are waited for, only the latest is shown

/** What words and picture find, best for this user first, in place of their list. */
async function search(wanted) {
  const [user, mine] = [shown, ++turn];
  const { text, image, filters, offset } = wanted;
  const query = { text, filters, offset, limit: FOUND, media: image ? { image } : {}, user_id: user || null };
  try {
    const answer = await (await send("/search", query)).json();
    const items = await Promise.all(answer.items.map((hit) => read(`/items/${name(hit.item_id)}`).catch(() => hit)));
    if (mine !== turn) return;
    asked = wanted;
    before = [];
    const list = { user_id: user, query_id: answer.query_id };
    $("list").replaceChildren(...items.map((item, at) => card(list, item, offset + at, offset + at)));
    drawAsked(answer);
  } catch (error) {
    if (mine === turn) $("news").textContent = error.message;
  }
}

function drawAsked({ items, total, facets, did_you_mean: meant, refused }) {
  const { text, image, filters, offset } = asked;
  $("list-title").textContent = `Found for ${[text && `“${text}”`, image && "a picture"].filter(Boolean).join(" and ")}`;
  const lost = Object.entries(refused).map(([part, why]) => ` The ${part} was left out: ${why.slice(0, 200)}.`).join("");
  const from = total > items.length && items.length ? `, ${offset + 1} to ${offset + items.length} shown` : "";
  $("news").textContent = (total ? `${total} found${from}.` : "Nothing was found.") + lost;
  $("words").value = text;
  $("back").hidden = false;
  $("drop").hidden = !image;
  $("meant").hidden = !meant || meant === text;
  $("meant").textContent = `Did you mean “${meant}”?`;
  $("meant").onclick = () => search({ ...asked, text: meant, offset: 0 });
  $("pages").hidden = offset === 0 && total <= FOUND;
  $("earlier").disabled = offset === 0;
  $("later").disabled = offset + FOUND >= total || offset + FOUND > DEEPEST;
  redraw($("narrow"), Object.keys({ ...filters, ...facets }).flatMap((label) => narrowing(label, facets[label] ?? {})));
}

/** The values of a name: those that are asked for, and the most frequent of what was found. */
function narrowing(label, counts) {
  const chosen = asked.filters[label] ?? [];
  const values = [...new Set([...chosen, ...Object.keys(counts).slice(0, VALUES)])];
  if (!chosen.length && values.length < 2) return [];
  return [element("ul", { className: "chips", ariaLabel: label }, element("li", { className: "hint" }, label),
    ...values.map((value) => {
      const button = element("button", { type: "button", onclick: () => narrow(label, value) }, `${value} ${counts[value] ?? 0}`);
      button.setAttribute("aria-pressed", String(chosen.includes(value)));
      button.dataset.key = `${label}=${value}`;
      return element("li", {}, button);
    }))];
}

function narrow(label, value) {
  const chosen = new Set(asked.filters[label]);
  if (!chosen.delete(value)) chosen.add(value);
  const { [label]: _, ...others } = asked.filters;
  search({ ...asked, offset: 0, filters: chosen.size ? { ...others, [label]: [...chosen] } : others });
}

/** A picture as small as an encoder needs it, as a `data:` URI. */
async function shrunk(picked) {
  const bitmap = await createImageBitmap(picked);
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

async function searchWithPicture() {
  const [picked] = $("like").files;
  $("like").value = ""; // the same may be picked again
  if (!picked) return;
  try {
    search({ text: $("words").value.trim(), image: await shrunk(picked), filters: {}, offset: 0 });
  } catch {
    $("news").textContent = `${picked.name} is no picture that this browser can show.`;
  }
}

/** What is typed, with the picture that is searched with; nothing at all is the way back to the list. */
function searchAnew(image) {
  const text = $("words").value.trim();
  if (text || image) search({ text, image, filters: {}, offset: 0 }); else back();
}

const turned = (pages) => { search({ ...asked, offset: Math.max(0, asked.offset + pages * FOUND) }); $("list-title").focus(); };

function back() {
  asked = null;
  turn++;
  for (const id of ["back", "drop", "meant", "pages"]) $(id).hidden = true;
  $("narrow").replaceChildren();
  $("words").value = "";
  $("list-title").textContent = shown ? `List of ${shown}` : "List";
  if (newest) drawList(newest);
}

let player = null;
async function hear(item, modality) {
  player?.pause();
  player = new Audio(await file(item, modality));
  player.play().catch(() => cannotPlay(item));
}

/** In a dialogue above the list; closing it, by Escape too, stops the film. */
async function watch(item) {
  player?.pause();
  player = $("film-player");
  player.src = await file(item, "video");
  player.onerror = () => { $("film").close(); cannotPlay(item); };
  $("film-title").textContent = titleOf(item);
  $("film").onclose = () => player.pause();
  $("film").showModal();
  player.play().catch(() => {}); // where it may not begin by itself, it has a button for that
}

function cannotPlay(item) { $("news").textContent = `${titleOf(item)} cannot be played here.`; }

/** A click; one on what was found names the query, and so counts for no list. */
async function choose({ user_id: user, query_id }, item, position, row) {
  if (!user) { $("news").textContent = "Pick a user first: a click is somebody's."; return; }
  row.classList.add("sent");
  sentAt = query_id ? 0 : performance.now();
  $("news").textContent = `${user} clicked ${titleOf(item)}${query_id ? "." : " …"}`;
  const event = { event_id: crypto.randomUUID(), ts: Date.now() / 1000, user_id: user, item_id: item.item_id, position, query_id };
  try {
    await send("/events/click", event);
  } catch (error) {
    row.classList.remove("sent");
    sentAt = 0;
    $("news").textContent = `The click was not taken: ${error.message}`;
  }
}

async function drawUser(user, signal) {
  try {
    const found = await read(`/users/${name(user)}`);
    if (signal.aborted) return;
    drawTaste(found);
    $("history-title").hidden = false;
    $("history").replaceChildren(...found.history.slice(0, 14).map((touch) => element("li", { className: touch.weight < 0.5 ? "weak" : "" }, picture(touch))));
  } catch (error) {
    const said = error.status === 404 ? "Nothing is known of this user yet." : error.message;
    $("taste").replaceChildren(element("p", { className: "note" }, said));
    $("history-title").hidden = true;
    $("history").replaceChildren();
  }
}

/** Each modality a stream as wide as it speaks for this user, and all of them joined to one taste. */
function drawTaste({ taste }) {
  if (!taste.length) {
    $("taste").replaceChildren(element("p", { className: "note" }, "No item that they touched has been understood yet."));
    return;
  }
  const [row, width] = [76, 100];
  const height = row * taste.length;
  const thick = Math.min(56, height - 16);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, preserveAspectRatio: "none", "aria-hidden": "true" });
  let joined = (height - thick) / 2;
  const bands = element("div", { className: "bands" });
  taste.forEach(({ modality, weight, evidence, typical }, at) => {
    const [label, colour] = MODALITIES[modality] ?? [modality, "--word"];
    const [share, middle] = [Math.max(2, weight * thick), row * (at + 0.5)];
    const [top, bottom, end] = [middle - share / 2, middle + share / 2, joined + weight * thick];
    const bend = width * 0.55;
    drawing.append(svg("path", {
      d: `M0 ${top}C${bend} ${top} ${width - bend} ${joined} ${width} ${joined}V${end}C${width - bend} ${end} ${bend} ${bottom} 0 ${bottom}Z`,
      fill: `var(${colour})`, opacity: (0.35 + 0.6 * evidence / (evidence + 4)).toFixed(2),
    }));
    joined = end;
    const band = element("div", { className: "band" },
      element("b", {}, `${label} ${Math.round(weight * 100)}%`), element("div", {}, ...typical.map(picture)));
    band.style.setProperty("--colour", `var(${colour})`);
    bands.append(band);
  });
  bands.append(drawing);
  $("taste").replaceChildren(element("p", { className: "hint" }, "How much each has a say, and what of theirs is most typical of it."), bands);
}

// --- start --------------------------------------------------------------------------------------------------------

drawRates(NOTHING, NOTHING); // so that all has its place before it is seen
themed();
$("who").addEventListener("submit", (event) => { event.preventDefault(); show($("user").value.trim()); });
$("find").addEventListener("submit", (event) => { event.preventDefault(); searchAnew(asked?.image); });
$("like").addEventListener("change", searchWithPicture);
$("drop").addEventListener("click", () => searchAnew());
$("earlier").addEventListener("click", () => turned(-1));
$("later").addEventListener("click", () => turned(1));
$("back").addEventListener("click", back);
const named = () => decodeURIComponent(location.hash.slice(1));
addEventListener("hashchange", () => { if (named() && named() !== shown) show(named()); });
if (named()) show(named());
watchFlow();
watchPeople();
showModeration();
