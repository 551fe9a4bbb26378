// The experiments: looks at the report every few seconds; its figures hold however often that is.

import { $, Refused, element, health, read, showModeration, sleep, svg, themed } from "./common.js";

const LOOK_EVERY = 3000; // ms
const KINDS = { arms: "each user has one arm", interleaving: "each list is drawn from both arms" };
const SAID = { control: "compared with", better: "better", worse: "worse", open: "not decided" };

const percent = (value, digits = 1) => `${(value * 100).toFixed(digits)}%`;
const signed = (value) => `${value < 0 ? "−" : "+"}${percent(Math.abs(value))}`;
const number = (value) => value.toLocaleString("en");

function draw({ experiments, outcomes }) {
  health("well", `${number(outcomes)} lists`);
  $("experiments").replaceChildren(...(experiments.length ? experiments.map(experiment) : [element("p", { className: "note" },
    "Nothing is tried: workers and this server have no plan, or an empty one. ANABRANCH_WORKER__EXPERIMENTS names it.")]));
}

function experiment(each) {
  const title = element("h2", {}, each.name, " ", element("small", { className: "hint" }, each.stopped ? "stopped" : KINDS[each.kind]));
  title.id = `of-${each.name}`;
  const section = element("section", {}, title,
    ...each.alarms.map((alarm) => element("p", { className: "alarm", role: "alert" }, alarm)),
    table(each), element("p", { className: "hint" }, ...notes(each)));
  section.setAttribute("aria-labelledby", title.id);
  return section;
}

function table(each) {
  const mixed = each.kind === "interleaving";
  const heads = ["arm", "verdict", mixed ? "preferred" : "difference", "interval", "users", "lists", mixed ? "clicked of its items" : "lists clicked"];
  const reach = Math.max(0.05, ...each.arms.flatMap(({ against }) => [against?.low ?? 0, against?.high ?? 0].map(Math.abs)));
  const made = element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...each.arms.map((arm) => row(arm, mixed, reach))));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `arms of ${each.name}` }, made);
}

function row(arm, mixed, reach) {
  const { against } = arm;
  const known = against && against.low !== null;
  const told = known ? `${signed(against.estimate)} (${signed(against.low)} to ${signed(against.high)})` : against ? "too few users" : "";
  return element("tr", {},
    element("th", { scope: "row" }, arm.name),
    element("td", {}, element("span", { className: `verdict ${arm.verdict}` }, SAID[arm.verdict])),
    element("td", { className: "told" }, told),
    element("td", {}, ...(known ? [interval(against, reach)] : [])),
    ...[number(arm.users), number(arm.lists), mixed ? number(arm.clicks) : percent(arm.click_through, 2)].map((text) => element("td", {}, text)));
}

/** Where the difference may lie: a bar, with a line at none. */
function interval({ estimate, low, high }, reach) {
  const at = (value) => 60 + (Math.max(-reach, Math.min(reach, value)) / reach) * 56;
  return svg("svg", { viewBox: "0 0 120 20", width: 120, height: 20, class: "interval", "aria-hidden": "true" },
    svg("path", { d: "M60 1V19", class: "none" }),
    svg("path", { d: `M${at(low)} 10H${at(high)}` }),
    svg("circle", { cx: at(estimate), cy: 10, r: 4 }));
}

function notes(each) {
  if (each.kind === "interleaving") return ["Clicks on the second arm's items less those on the first's, by all of them. The interval holds at any moment."];
  return ["The interval holds at any moment, however often you look. ",
    each.saved > 0.005 ? `What users did before has taken away ${percent(each.saved, 0)} of the variance. ` : "",
    `Dealt out as planned: p ${each.mismatch.toFixed(2)}.`];
}

themed();
showModeration();
for (let drawn = ""; ;) {
  if (!document.hidden) {
    try {
      const found = await read("/experiments");
      const text = JSON.stringify(found);
      if (text !== drawn) draw(found); // an alarm is read out once
      drawn = text;
    } catch (error) {
      drawn = "";
      health("ill", error instanceof Refused ? "not allowed to look" : "no connection");
    }
  }
  await sleep(LOOK_EVERY);
}
