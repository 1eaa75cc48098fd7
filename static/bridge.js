// Communication with the embedding page: the messages of docs/embedding.md, the conventions of LTI,
// H5P and edX, and xAPI statements. Loaded only inside a frame.
//
// A message is accepted if it comes from the parent window and its origin, and has the expected
// shape. All other messages are ignored and not answered.

const VERSION = 1;

const query = new URLSearchParams(location.search);
const host = originOfHost();
const lab = () => window.wasmBindings;

/** The origin of the embedding page. */
function originOfHost() {
  const told = query.get("origin");
  const known = location.ancestorOrigins?.[0] ?? originOf(document.referrer);
  // What the browser reports comes before the parameter.
  return known ?? originOf(told) ?? null;
}

function originOf(url) {
  try {
    return url ? new URL(url).origin : null;
  } catch {
    return null;
  }
}

function post(message) {
  // A sandboxed embedding page has an opaque origin, which cannot be named.
  const to = host && host !== "null" ? host : "*";
  window.parent.postMessage(message, to);
}

const send = (type, fields) => post({ limpid: VERSION, type, ...fields });

// State of the lab ---------------------------------------------------------------------------

let status = null;
let told = 0;
let seen = 0;
let waiting = [];

function look() {
  const text = lab()?.limpid_status();
  if (!text || text === "null") return;
  const before = status;
  status = JSON.parse(text);
  answers();
  if (before === null) {
    send("ready", { version: VERSION, core: status.core, state: status });
    if (status.lesson) statement("initialized", status.lesson.id, status.lesson.title);
  }
  goals(before?.lesson, status.lesson);
  events();
  // While time runs and nothing else changes, the state is sent once a second.
  if (shape(status) !== shape(before) || performance.now() - told > 1000) {
    told = performance.now();
    send("state", { state: status });
  }
}

function shape(state) {
  const { now, end: _, ...rest } = state ?? {};
  return JSON.stringify(state?.playing ? rest : [rest, now]);
}

function goals(before, now) {
  if (!now || before?.id !== now.id) return;
  for (let step = before.done; step < now.done; step++) {
    const id = now.steps[step];
    send("goal", { lesson: now.id, step: id, done: step + 1, of: now.steps.length, complete: now.complete });
    statement("completed", `${now.id}#${id}`, id, { completion: true, success: true });
  }
  if (now.complete && !before.complete) {
    statement("passed", now.id, now.title, { completion: true, success: true, score: score(now) });
  }
}

function events() {
  // After a rewind, events are reported again.
  if (status.now < seen) seen = status.now;
  for (const event of JSON.parse(lab().limpid_events(seen))) {
    seen = Math.max(seen, event.at);
    send("event", { event });
  }
}

function score(lesson) {
  const of = lesson.steps.length;
  return { raw: lesson.done, min: 0, max: of, scaled: of ? lesson.done / of : 0 };
}

function grade() {
  const lesson = status?.lesson;
  if (!lesson) return { lesson: null, done: 0, of: 0, score: 0, complete: false };
  const { raw, max, scaled } = score(lesson);
  return { lesson: lesson.id, done: raw, of: max, score: scaled, complete: lesson.complete };
}

/** Sends an xAPI statement without the actor, which only the embedding page knows. */
function statement(verb, id, name, result) {
  const display = status.locale;
  send("xapi", {
    statement: {
      verb: { id: `http://adlnet.gov/expapi/verbs/${verb}`, display: { en: verb } },
      object: {
        objectType: "Activity",
        id: `${location.origin}${location.pathname}?lesson=${id}`,
        definition: {
          type: "http://adlnet.gov/expapi/activities/lesson",
          name: { [display]: name },
        },
      },
      ...(result && { result }),
      timestamp: new Date().toISOString(),
    },
  });
}

// Requests -----------------------------------------------------------------------------------

const text = (value, most = 4096) => typeof value === "string" && value.length <= most;
const optional = (value) => value === undefined || text(value);

/** The requests by type: `suits` checks the shape of the fields, `act` carries the request out. */
const requests = {
  load: {
    suits: (m) => (text(m.lesson) || text(m.scenario)) && optional(m.locale) && optional(m.theme),
    act(m) {
      lab().limpid_prefer(m.locale ?? "", m.theme ?? "");
      lab().limpid_load(m.lesson ?? "", m.scenario ?? "");
    },
  },
  prefer: {
    suits: (m) => optional(m.locale) && optional(m.theme),
    act: (m) => lab().limpid_prefer(m.locale ?? "", m.theme ?? ""),
  },
  play: {
    suits: (m) => optional(m.speed),
    act(m) {
      if (m.speed !== undefined) lab().limpid_speed(m.speed);
      lab().limpid_play(true);
    },
  },
  pause: { suits: () => true, act: () => lab().limpid_play(false) },
  seek: { suits: (m) => text(m.to), act: (m) => lab().limpid_seek(m.to) },
  exec: {
    suits: (m) =>
      text(m.line) && optional(m.at) && (m.shell === undefined || typeof m.shell === "boolean"),
    act: (m) => execute(m.at ?? "", m.line, m.shell === true),
  },
  getState: { suits: () => true, act: () => lab().limpid_state() },
  setState: { suits: (m) => text(m.state, 32_000_000), act: (m) => lab().limpid_set_state(m.state) },
  getGrade: { suits: () => true, act: grade },
};

/** Types a line. The promise resolves to its output once the prompt is back. */
function execute(at, line, shell) {
  const asked = JSON.parse(lab().limpid_exec(at, line, shell));
  if (!asked) return undefined;
  return new Promise((resolve) => waiting.push({ ...asked, resolve }));
}

function answers() {
  waiting = waiting.filter(({ process, line, length, resolve }) => {
    const output = lab().limpid_answer(process, line, length);
    if (output === undefined) return true;
    resolve({ output });
    return false;
  });
}

async function request(message) {
  const { id, type } = message;
  const known = Object.hasOwn(requests, type) ? requests[type] : undefined;
  if (!known?.suits(message)) return;
  try {
    const result = await known.act(message);
    look();
    send("reply", { id, ok: true, result: result ?? null });
  } catch (error) {
    send("reply", { id, ok: false, error: String(error) });
  }
}

addEventListener("message", ({ data, source, origin }) => {
  if (source !== window.parent || (host && origin !== host) || !lab()) return;
  if (typeof data === "string") return channel(data);
  if (typeof data !== "object" || data === null) return;
  if (data.context === "h5p") return h5p(data);
  const isNamed = data.id === undefined || typeof data.id === "number" || text(data.id, 64);
  if (data.limpid === VERSION && isNamed) request(data);
});

// Height -------------------------------------------------------------------------------------

/** The height in pixels in which all visible parts can be used. */
function height() {
  const asked = Number(query.get("height"));
  if (asked > 0) return Math.min(asked, 4000);
  const panes = (query.get("panes") ?? "map,terminal,log,lesson").split(",");
  const controls = query.get("controls") ?? "full";
  const narrow = window.innerWidth <= 720;
  const bars = (controls === "full" ? 48 : 0) + (controls === "none" ? 0 : narrow ? 88 : 56);
  const map = panes.includes("map") ? 360 : 0;
  const drawer = panes.includes("terminal") || panes.includes("log") ? 240 : 0;
  // A narrow frame shows one pane at a time, and a line of tabs.
  if (narrow) return bars + 48 + Math.max(map, drawer, 400);
  return bars + Math.max(map + drawer, panes.includes("lesson") ? 480 : 0);
}

let high = 0;

function resize() {
  if (height() === high) return;
  high = height();
  send("resize", { height: high });
  post(JSON.stringify({ subject: "lti.frameResize", height: high }));
  post({ context: "h5p", action: "prepareResize", scrollHeight: high, clientHeight: window.innerHeight });
}

function h5p({ action }) {
  if (action === "hello") post({ context: "h5p", action: "hello" });
  if (action === "hello" || action === "resize" || action === "resizePrepared") {
    post({ context: "h5p", action: "resize", scrollHeight: height() });
  }
}

// edX: a JSInput problem talks to a frame of another origin through jschannel ------------------

const JS_INPUT = {
  getGrade: () => JSON.stringify(grade()),
  getState: () => lab().limpid_state(),
  setState: (state) => {
    // At first edX has no state to set.
    if (text(state, 32_000_000) && state !== "") lab().limpid_set_state(state);
    return "";
  },
};

function channel(data) {
  let call;
  try {
    call = JSON.parse(data);
  } catch {
    return;
  }
  if (typeof call?.method !== "string") return;
  const [scope, name] = call.method.split("::");
  if (scope !== "JSInput") return;
  const reply = (fields) => post(JSON.stringify({ id: call.id, ...fields }));
  if (name === "__ready") {
    if (call.params === "ping") post(JSON.stringify({ method: "JSInput::__ready", params: "pong" }));
  } else if (Object.hasOwn(JS_INPUT, name) && call.id !== undefined) {
    try {
      reply({ result: JS_INPUT[name](call.params) });
    } catch (error) {
      reply({ error: "runtime_error", message: String(error) });
    }
  }
}

// Out of view the World is paused ------------------------------------------------------------

let inSight = true;

new IntersectionObserver((entries) => {
  inSight = entries.at(-1).isIntersecting;
  lab()?.limpid_show(inSight);
}).observe(document.documentElement);

addEventListener("limpid-change", look);
addEventListener("resize", resize);
// Also fires when the whole program takes over from the first one.
addEventListener("TrunkApplicationStarted", begin);

function begin() {
  lab().limpid_show(inSight);
  look();
  resize();
}

post(JSON.stringify({ method: "JSInput::__ready", params: "ping" }));
post({ context: "h5p", action: "hello" });
if (lab()) begin();
