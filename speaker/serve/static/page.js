// What does Onepeer look like now? Asks v1/overview again and again, and shows what has changed since.
// Reads only. Text is set as text, never as HTML; nothing is styled from here (Content-Security-Policy).

const EVERY = 2000; // milliseconds
const PATIENCE = 5000;

const $ = (id) => document.getElementById(id);
const state = { tag: null, view: null, skew: 0, asked: 0, cell: null, timer: 0 };

// ---- small words

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function age(seconds) {
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  let rest = Math.max(0, Math.floor(seconds));
  for (let at = 0; at < units.length; at++) {
    const [unit, size] = units[at];
    if (rest < size) continue;
    const small = units[at + 1];
    const more = small ? Math.floor((rest % size) / small[1]) : 0;
    return `${Math.floor(rest / size)}${unit}` + (more ? `${more}${small[0]}` : "");
  }
  return "0s";
}

const now = () => Date.now() / 1000 + state.skew;
const count = (number, one, many = one + "s") => `${number} ${number === 1 ? one : many}`;

function since(at) {
  const made = el("time", { "data-at": at, datetime: new Date(at * 1000).toISOString(), title: new Date(at * 1000).toLocaleString() });
  made.textContent = age(now() - at);
  return made;
}

function tick() {
  for (const one of document.querySelectorAll("time[data-at]")) {
    const text = age(now() - Number(one.dataset.at));
    if (one.textContent !== text) one.textContent = text;
  }
}

// `code` between backticks
function prose(text) {
  const parts = text.split("`");
  return parts.map((part, at) => (at % 2 ? el("code", {}, part) : part));
}

// ---- parts of the page; each is made anew only when what it shows has changed

const shown = {};
function changed(part, value) {
  const text = JSON.stringify(value);
  if (shown[part] === text) return false;
  shown[part] = text;
  return true;
}

function sessions(view) {
  return view.routers.flatMap((router) => router.lanes);
}

const isUp = (lane) => lane.session.state === "Established";

function showVerdict(view) {
  const lanes = sessions(view);
  const up = lanes.filter(isUp);
  const sent = up.flatMap((lane) => lane.families).reduce((sum, out) => sum + out.paths_sent, 0);
  const routers = lanes.length === 1 ? `router ${up.length ? "up" : "down"}` : `${up.length} of ${lanes.length} router sessions up`;
  const waiting = view.waiting_for_nodes ? "; started a moment ago, waiting for its nodes" : "";
  const [first] = view.missing;
  const others = view.missing_of > 1 ? ` (and ${view.missing_of - 1} more)` : "";
  const why = first ? `${first.name}: ${first.why}${others}; ` : "";
  const text = `${why}${view.nodes_up} of ${count(view.nodes, "node")} up; ${routers}, ${count(sent, "path")} sent${waiting}`;
  if (!changed("verdict", [view.health, text])) return;
  $("health").textContent = view.health.toUpperCase();
  $("health").className = view.health;
  $("summary").textContent = text;
  document.title = `${view.missing_of ? `(${view.missing_of}) ` : ""}Onepeer: ${view.health}`;
}

function missingItem(one) {
  return el("li", {},
    el("strong", {}, one.name), " ", one.why,
    one.since === null ? null : el("span", { class: "quiet" }, ", for ", since(one.since)),
    el("span", { class: "next" }, ...prose(one.next_step)));
}

function showMissing(view) {
  if (!changed("missing", [view.missing, view.missing_of, view.told])) return;
  $("missing-count").textContent = view.missing_of ? String(view.missing_of) : "";
  $("told-box").hidden = !view.told.length;
  $("told-count").textContent = String(view.told.length);
  $("told").replaceChildren(...view.told.map(missingItem));
  const items = view.missing.map(missingItem);
  if (!items.length) items.push(el("li", { class: "none" }, "Nothing is missing."));
  const more = view.missing_of - view.missing.length;
  if (more > 0) items.push(el("li", {}, `and ${more} more: `, el("code", {}, "onepeer nodes"), " has them all"));
  $("missing").replaceChildren(...items);
}

function laneChip(router, lane) {
  const name = router.lanes.length > 1 ? `lane ${lane.lane}: ` : "";
  if (!isUp(lane)) return el("span", { class: "lane down" }, `${name}${lane.session.state}, `, since(lane.session.since));
  const outs = lane.families
    .filter((out) => out.paths_sent || out.paths_pending || lane.families.length === 1)
    .map((out) => `${out.family} ${count(out.paths_sent, "path")}${out.mode ? ` by ${out.mode}` : ""}${out.paths_pending ? `, ${out.paths_pending} waiting` : ""}`);
  const made = el("span", { class: "lane" }, `${name}up `, since(lane.session.since), outs.length ? `: ${outs.join("; ")}` : "");
  made.title = lane.families.map((out) => `${out.family}: ${out.mode_reason ?? ""}`).join("\n");
  return made;
}

function showRouters(view) {
  if (!changed("routers", view.routers)) return;
  $("routers").replaceChildren(...view.routers.map((router) =>
    el("li", {},
      el("strong", {}, router.name),
      el("span", { class: "quiet" }, `${router.name === router.address ? "" : `${router.address}, `}AS ${router.asn}`),
      ...router.lanes.map((lane) => laneChip(router, lane)))));
}

function showChanges(view) {
  if (!changed("changes", view.changes)) return;
  const tone = (one) => ({ session_ended: "bad", session_established: "good" })[one.event] ?? (one.kind === "refusal" ? "warn" : "");
  const items = view.changes.map((one) =>
    el("li", {},
      since(one.at),
      el("span", {}, (one.node ?? one.router ?? one.address ?? "") + (one.lane && sessions(view).length > 1 ? `, lane ${one.lane}` : "")),
      el("span", { class: tone(one) }, ...prose(one.text))));
  $("changes").replaceChildren(...(items.length ? items : [el("li", {}, "Nothing yet.")]));
}

function showFacts(view) {
  const text = `Onepeer ${view.version}, AS ${view.asn}, router ID ${view.router_id}, roster from ${view.roster}. Read-only: onepeer status, nodes, routes and history say the same.`;
  if (changed("facts", [text, view.started])) $("facts").replaceChildren("Running for ", since(view.started), ". ", text);
}

// ---- prefixes by nodes

const MEANING = {
  a: (node, prefix) => `${node} announces ${prefix}`,
  r: (node, prefix, row) => `${node} announces ${prefix} and is refused: ${row.refused[node]}`,
  m: (node, prefix, row, why) => `${node} has no session${why ? `: ${why}` : ""}`,
  l: (node, prefix, row, why) => `${node} should announce ${prefix}${row.service ? ` (${row.service})` : ""} and does not${why ? `: ${why}` : ""}`,
  "-": (node, prefix) => `${node} does not announce ${prefix}; no endpoint there is reason enough`,
};

function cellText(view, row, at) {
  const node = view.matrix.columns[at];
  const why = [...view.missing, ...view.told].find((one) => one.name === node)?.why;
  return MEANING[row.cells[at]](node, row.prefix, row, why);
}

function showMatrix(view) {
  const matrix = view.matrix;
  if (!changed("matrix", [matrix, view.missing, view.told, view.nodes])) return;
  const focused = document.activeElement?.dataset?.cell ?? null;
  $("services-count").textContent = extent(matrix);
  const bad = (at) => matrix.rows.some((row) => "ml".includes(row.cells[at]));
  $("matrix").tHead.replaceChildren(
    el("tr", {}, el("th", { scope: "col" }, "prefix"), el("th", { scope: "col", class: "of" }, "nodes"),
      ...matrix.columns.map((name, at) => el("th", { scope: "col", class: bad(at) ? "node bad" : "node", title: name }, el("span", {}, name)))));
  const rows = matrix.rows.map((row, y) =>
    el("tr", {}, el("th", { scope: "row" }, row.prefix, row.service ? el("span", { class: "quiet" }, ` ${row.service}`) : null),
      el("td", { class: "of" }, `${row.announced}/${row.wanted ?? view.nodes}`),
      ...matrix.columns.map((name, x) => {
        const text = cellText(view, row, x);
        const kind = row.cells[x] === "-" ? "n" : row.cells[x];
        return el("td", {}, el("span", { class: `cell ${kind}`, role: "img", "aria-label": text, tabindex: -1, "data-cell": `${row.prefix} ${name}`, "data-x": x, "data-y": y }));
      })));
  if (!rows.length) rows.push(el("tr", {}, el("td", { class: "empty", colspan: matrix.columns.length + 2 }, $("find").value ? "Nothing is called so." : "No node announces anything.")));
  $("matrix").tBodies[0].replaceChildren(...rows);
  enter(document.querySelector(`[data-cell="${CSS.escape(focused ?? state.cell ?? "")}"]`) ?? document.querySelector("[data-cell]"), focused !== null);
}

function extent(matrix) {
  const part = (some, all, one, many) => (some < all ? `${some} of ${count(all, one, many)}` : count(all, one, many));
  return `${part(matrix.rows.length, matrix.rows_of, "prefix", "prefixes")}, ${part(matrix.columns.length, matrix.columns_of, "node")}`;
}

// One cell at a time can be reached with Tab; arrows move it.
function enter(cell, focus) {
  if (!cell) return;
  document.querySelector('[data-cell][tabindex="0"]')?.setAttribute("tabindex", "-1");
  cell.setAttribute("tabindex", "0");
  state.cell = cell.dataset.cell;
  if (focus) cell.focus({ preventScroll: false });
}

const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

$("matrix").addEventListener("keydown", (event) => {
  const move = MOVES[event.key];
  const cell = event.target.closest("[data-cell]");
  if (!move || !cell) return;
  const next = document.querySelector(`[data-x="${Number(cell.dataset.x) + move[0]}"][data-y="${Number(cell.dataset.y) + move[1]}"]`);
  event.preventDefault();
  enter(next, true);
});

for (const kind of ["focusin", "mouseover", "click"]) {
  $("matrix").addEventListener(kind, (event) => {
    const cell = event.target.closest("[data-cell]");
    if (cell) $("detail").textContent = cell.getAttribute("aria-label");
  });
}

// ---- live

function show(view) {
  for (const part of [showVerdict, showMissing, showRouters, showMatrix, showChanges, showFacts]) part(view);
}

async function ask() {
  clearTimeout(state.timer);
  const asked = ++state.asked;
  const find = $("find").value.trim();
  try {
    const response = await fetch(`v1/overview?${new URLSearchParams(find ? { find } : {})}`, {
      cache: "no-store",
      headers: state.tag ? { "If-None-Match": state.tag } : {},
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (asked !== state.asked) return;
    state.skew = Date.parse(response.headers.get("Date")) / 1000 - Date.now() / 1000;
    if (response.status === 200) {
      state.view = await response.json();
      state.tag = response.headers.get("ETag");
    } else if (response.status !== 304) throw new Error(`status ${response.status}`);
    document.body.classList.remove("stale");
    $("live").textContent = "live";
    if (state.view) show(state.view);
  } catch {
    if (asked !== state.asked) return;
    if (!document.body.classList.contains("stale")) {
      document.body.classList.add("stale");
      $("live").replaceChildren("no answer for ", since(now()), "; this is how it was");
    }
  }
  tick();
  if (!document.hidden) state.timer = setTimeout(ask, EVERY);
}

document.addEventListener("visibilitychange", () => document.hidden || ask());
$("find").addEventListener("input", () => {
  state.tag = null;
  ask();
});
setInterval(tick, 1000);
ask();
