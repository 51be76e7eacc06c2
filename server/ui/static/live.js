// Keeps a page up to date: when the server says that something has changed, the page is
// asked for anew and what differs is put in its place.
const page = document.getElementById("page");
const sign = document.getElementById("live");
const pause = 800; // ms between two looks, however much changes
const again = 5000; // ms until the stream is asked for again after a refusal

let source;
let looked = 0;
let wanted;
let looking = false;

function say(state, text) {
  sign.className = "live " + state;
  sign.textContent = text;
}

function fresh() {
  const now = document.createElement("time");
  now.textContent = ", " + new Date().toISOString().slice(11, 19) + " UTC";
  say("on", "live");
  sign.append(now);
}

// busy holds a page still in which somebody writes.
const busy = () => document.activeElement?.matches("input, textarea, select") ?? false;

async function look() {
  wanted = undefined;
  if (busy()) return want();
  looking = true;
  looked = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.assign(answer.url);
    if (!answer.ok) return say("off", "not live: the server answers " + answer.status);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const newer = next.getElementById("page");
    if (!newer || busy()) return want();
    document.title = next.title;
    Idiomorph.morph(page, newer, {
      morphStyle: "outerHTML",
      callbacks: {
        // What a person has opened stays open, and what a script has drawn stays.
        beforeAttributeUpdated: (name, node) => !(node.tagName === "DETAILS" && name === "open"),
        beforeNodeRemoved: (node) => !node.dataset?.drawn,
        beforeNodeMorphed: (node) => !node.dataset?.drawn,
      },
    });
    document.dispatchEvent(new Event("fresh"));
    fresh();
  } catch {
    say("off", "not live: the server does not answer");
  } finally {
    looking = false;
  }
}

function want() {
  wanted ??= setTimeout(look, looking ? pause : Math.max(0, looked + pause - Date.now()));
}

function open() {
  source?.close();
  source = new EventSource(page.dataset.live);
  let first = looked === 0;
  source.onopen = () => {
    fresh();
    if (!first) want(); // something may have changed while nobody listened
    first = false;
    looked ||= Date.now();
  };
  source.addEventListener("changed", want);
  source.onerror = () => {
    say("off", "not live: the stream broke off");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) open(); }, again);
  };
}

// A page that nobody sees asks for nothing: browsers have few connections to a server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else open();
});

// Ages go on while nothing else changes.
setInterval(() => { if (!document.hidden) want(); }, 30000);

if (!document.hidden) open();
