// Draws the graph with Cytoscape. The server says what there is; the panel beside it says
// in words what is drawn.
import cytoscape from "./lib/cytoscape.esm.min.mjs";
import dagre from "./lib/cytoscape-dagre.min.mjs";

cytoscape.use(dagre);

// Above so many services dagre takes too long, and rings are drawn instead, with the most
// critical services in the middle.
const dagreMost = 250;

const board = document.getElementById("cy");
const note = document.getElementById("drawn");
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let cy;

const marks = { good: "--patched", bad: "--bad", wait: "--wait", busy: "--busy", none: "--former" };

function colourOf(node) {
  switch (board.dataset.colour) {
    case "rollout":
      return style(marks[node.data("rollout")] ?? "--line");
    case "health":
      return style(node.data("sick") > 0 ? "--bad" : "--patched");
    default:
      return style(node.data("critical") ? "--bad" : node.data("score") > 0.3 ? "--wait" : "--former");
  }
}

const sizeOf = (node) => 14 + 22 * Math.sqrt(node.data("score"));

// What is marked is seen however far away the graph is: it is at least so many pixels of
// the screen.
const atLeast = (pixels, size) => Math.max(size, pixels / cy.zoom());

function sheet() {
  return [
    { selector: "node", style: {
      "background-color": colourOf, label: "data(id)", "font-size": 11, color: style("--ink"), "text-valign": "bottom", "text-margin-y": 3,
      "min-zoomed-font-size": 7, width: sizeOf, height: sizeOf,
      shape: (n) => (n.data("kind") ? "diamond" : "ellipse"), "border-width": 0,
    } },
    { selector: "edge", style: {
      width: (e) => 1 + Math.min(4, Math.log10(1 + (e.data("rate") ?? 0))), "line-color": style("--line"), "target-arrow-color": style("--line"), "target-arrow-shape": "triangle",
      "arrow-scale": 0.8, "curve-style": cy && cy.nodes().length > dagreMost ? "haystack" : "bezier",
    } },
    { selector: "edge[state = 'declared_only'], edge[state = 'declared_stale'], edge[state = 'unknown']", style: { "line-style": "dashed" } },
    { selector: "edge[state = 'observed_denied']", style: { "line-color": style("--bad"), "target-arrow-color": style("--bad") } },
    { selector: ".away", style: { opacity: 0.18 } },
    { selector: "node.one, node.hurt, node.perhaps", style: {
      width: (n) => atLeast(10, sizeOf(n)), height: (n) => atLeast(10, sizeOf(n)), "border-width": () => atLeast(2, 4), "z-index": 1,
    } },
    { selector: "node.one", style: { "border-color": style("--ink"), "font-size": () => atLeast(12, 11) } },
    { selector: "node.hurt", style: { "border-color": style("--bad") } },
    { selector: "node.perhaps", style: { "border-color": style("--wait"), "border-style": "dashed" } },
    { selector: "edge.near", style: { width: () => atLeast(1, 1), "line-color": style("--dim"), "target-arrow-color": style("--dim") } },
    { selector: "edge.hurt", style: { width: () => atLeast(1.5, 2), "line-color": style("--bad"), "target-arrow-color": style("--bad"), opacity: 1 } },
  ];
}

const layout = (count) => count <= dagreMost
  ? { name: "dagre", rankDir: "TB", nodeSep: 26, rankSep: 70, animate: false }
  : { name: "concentric", concentric: (n) => n.data("score"), levelWidth: () => 0.05, minNodeSpacing: 10, animate: false };

function elements(data) {
  const there = new Set(data.nodes.map((n) => n.id));
  return [
    ...data.nodes.map((n) => ({ group: "nodes", data: n })),
    ...data.edges.filter((e) => there.has(e.source) && there.has(e.target)).map((e) => ({ group: "edges", data: { ...e, id: e.source + " " + e.target } })),
  ];
}

// mark shows the chosen service and what it would take with it, as the panel lists it.
function mark() {
  const one = document.getElementById("one")?.dataset.service;
  const named = (key) => [...document.querySelectorAll(`#panel [data-${key}]`)].map((a) => a.dataset[key]);
  const hurt = new Set(named("hurt"));
  const perhaps = new Set(named("perhaps"));
  cy.batch(() => {
    cy.elements().removeClass("one hurt perhaps near away");
    if (!one) return;
    for (const n of cy.nodes()) {
      if (n.id() === one) n.addClass("one");
      else if (hurt.has(n.id())) n.addClass("hurt");
      else if (perhaps.has(n.id())) n.addClass("perhaps");
      else if (!n.edgesWith(cy.getElementById(one)).nonempty()) n.addClass("away");
    }
    for (const e of cy.edges()) {
      const from = e.source().id();
      const to = e.target().id();
      if (hurt.has(from) && (hurt.has(to) || to === one)) e.addClass("hurt");
      else e.addClass(from === one || to === one ? "near" : "away");
    }
  });
}

async function choose(url, push) {
  const answer = await fetch(url);
  if (answer.redirected) return location.assign(answer.url);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (push) history.pushState(null, "", url);
  document.title = next.title;
  Idiomorph.morph(document.getElementById("panel"), next.getElementById("panel"), { morphStyle: "outerHTML" });
  mark();
}

const addressOf = (service) => {
  const url = new URL(location.href);
  if (service) url.searchParams.set("service", service);
  else url.searchParams.delete("service");
  return url.href;
};

async function draw() {
  const answer = await fetch(board.dataset.source);
  if (!answer.ok) { note.textContent = "The graph can't be read: the server answers " + answer.status; return; }
  const data = await answer.json();
  const next = elements(data);
  const same = cy && cy.elements().length === next.length && next.every((e) => cy.getElementById(e.data.id).nonempty());
  if (same) {
    cy.batch(() => { for (const e of next) cy.getElementById(e.data.id).data(e.data); });
    cy.style(sheet());
    return mark();
  }
  cy?.destroy();
  const began = performance.now();
  cy = cytoscape({ container: board, elements: next, style: [], minZoom: 0.02, maxZoom: 3, hideEdgesOnViewport: next.length > 3000, textureOnViewport: next.length > 3000 });
  cy.style(sheet());
  cy.layout(layout(data.nodes.length)).run();
  cy.fit(undefined, 24);
  const took = Math.round(performance.now() - began);
  board.dataset.took = took;
  board.dataset.ready = cy.nodes().length;
  note.textContent = data.nodes.length > dagreMost ? "Rings: the most critical services are in the middle." : "";
  cy.on("resize", () => cy.fit(undefined, 24));
  cy.on("zoom", () => cy.$(".one, .hurt, .perhaps, .near").updateStyle());
  cy.on("tap", "node", (e) => choose(addressOf(e.target.id()), true));
  cy.on("tap", (e) => { if (e.target === cy) choose(addressOf(""), true); });
  mark();
}

document.addEventListener("fresh", draw);
addEventListener("popstate", () => choose(location.href, false));
document.getElementById("panel").parentElement.addEventListener("click", (e) => {
  const link = e.target.closest?.("#panel a[href^='/ui/graph?']");
  if (!link || e.metaKey || e.ctrlKey || e.shiftKey) return;
  e.preventDefault();
  choose(addressOf(new URL(link.href).searchParams.get("service")), true);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cy?.style(sheet()));
draw();
