import { describe, isPlaylist, uuid } from "./manifests.js";
import { PLAYERS } from "./players.js";
import { sentence } from "./errors.js";

const LICENSE = "/clearkey";
const POLL_MILLISECONDS = 1000;
const STALL_MILLISECONDS = 6000;
const MAX_LOG = 200;
// Set by the user's own click just before the page is loaded again with a wider policy.
const PENDING = "drm-pack: play this";

const $ = (id) => document.getElementById(id);
const video = $("video");
const state = { playing: null, run: 0, server: {}, blocked: null, licenses: [], refusal: null, from: 0 };

// ---- what is there

async function begin() {
  listenToKeys();
  document.addEventListener("securitypolicyviolation", (event) => { state.blocked = event.blockedURI; });
  state.server = await (await fetch("/api/presentations")).json();
  showPresentations();
  showPlayers();
  const given = new URL(location.href).searchParams.get("manifest");
  if (given) {
    $("own").open = true;
    $("own-url").value = given;
  }
  const pending = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  if (pending && given) {
    const { player, keys } = JSON.parse(pending);
    $("player").value = player;
    $("own-keys").value = keys;
    play(given, keysOf(keys));
  }
  poll();
}

function showPresentations() {
  const { manifests, has_media } = state.server;
  const last = location.hash.slice(1);
  manifests.forEach((path, index) => {
    const label = document.createElement("label");
    const cut = path.lastIndexOf("/");
    const radio = Object.assign(document.createElement("input"), {
      type: "radio", name: "presentation", value: path, checked: index === 0 || path === decodeURIComponent(last),
    });
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: path.slice(0, Math.max(cut, 0)) || path });
    if (cut > 0) name.append(Object.assign(document.createElement("small"), { textContent: path.slice(cut + 1) }));
    const kind = Object.assign(document.createElement("span"), { className: "kind", textContent: isPlaylist(path) ? "HLS" : "DASH" });
    label.append(radio, name, kind);
    radio.addEventListener("change", () => { choosePlayer(); preview(); });
    $("presentations").append(label);
  });
  if (!manifests.length) {
    $("nothing").hidden = false;
    $("nothing").textContent = has_media
      ? "No presentation is in the folder of this server yet: pack one into it and load this page again."
      : "This server was started without --media DIR: start it with the folder of your presentations.";
    $("play").disabled = true;
  }
}

function showPlayers() {
  const { players, how_to_get_players } = state.server;
  for (const option of $("player").options) option.dataset.here = players.includes(option.value);
  if (!players.length) fail({ what: "player" }, how_to_get_players);
  choosePlayer();
  preview();
  $("player").addEventListener("change", preview);
}

/** Players that do not play this kind of manifest, or are not here, cannot be chosen. */
function choosePlayer(url = chosen()) {
  const options = [...$("player").options];
  for (const option of options) {
    option.disabled = option.dataset.here !== "true" || !url || !PLAYERS[option.value].plays(isPlaylist(url));
  }
  if ($("player").selectedOptions[0]?.disabled) $("player").value = options.find((option) => !option.disabled)?.value ?? "shaka";
}

const chosen = () => {
  const path = document.querySelector("[name=presentation]:checked")?.value;
  return path && `/media/${path.split("/").map(encodeURIComponent).join("/")}`;
};

async function preview() {
  const url = chosen();
  if (!url || state.playing) return;
  $("state").textContent = "ready";
  PLAYERS[$("player").value].prepare().catch(() => {});
  try {
    const facts = await describe(url);
    if (url === chosen() && !state.playing) showFacts(url, facts);
  } catch { /* Said when it is played. */ }
}

// ---- playing

$("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = encodeURIComponent(document.querySelector("[name=presentation]:checked").value);
  play(chosen(), null);
});

$("own-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = $("own-url").value.trim() || chosen();
  let keys;
  try {
    keys = keysOf($("own-keys").value);
  } catch (error) {
    say(error.message);
    return;
  }
  const { origin } = new URL(url, location.href);
  const open = new URL(location.href).searchParams.get("manifest");
  if (origin !== location.origin && !(open && new URL(open).origin === origin)) {
    // The policy of this page allows its own origin only; the server widens it by the one that the user names.
    sessionStorage.setItem(PENDING, JSON.stringify({ player: $("player").value, keys: $("own-keys").value }));
    location.href = `/?manifest=${encodeURIComponent(url)}`;
    return;
  }
  choosePlayer(url);
  play(url, keys);
});

/** Lines KID:KEY in hex, as pairs; null when there is none. */
function keysOf(text) {
  const lines = text.split("\n").map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
  const keys = lines.map((line, index) => {
    const [kid, key] = line.split("=").pop().split(":").map((part) => part.trim().replaceAll("-", "").toLowerCase());
    const isHex = (part) => /^[0-9a-f]{32}$/.test(part ?? "");
    if (!isHex(kid) || !isHex(key)) throw new Error(`Line ${index + 1} of the keys is not KID:KEY with 32 hex digits each.`);
    return [kid, key];
  });
  return keys.length ? keys : null;
}

async function play(url, keys) {
  const run = ++state.run;
  say("");
  Object.assign(state, { blocked: null, refusal: null, licenses: [] });
  showLicenses();
  await state.playing?.stop?.();
  if (run !== state.run) return;
  const name = $("player").value;
  Object.assign(state, { playing: { url, keys, name, isProtected: true, begin: performance.now() } });
  $("state").textContent = "loading";
  for (const id of ["position", "picture", "decoded", "dropped"]) $(id).textContent = "–";
  const report = (fault) => run === state.run && fail(fault);
  describe(url).then((facts) => {
    if (run !== state.run) return;
    Object.assign(state.playing, { facts, isProtected: facts.schemes.length > 0 });
    showFacts(url, facts);
  }).catch(() => {});
  try {
    const player = await PLAYERS[name].start(video, { url, isPlaylist: isPlaylist(url), keys, license: LICENSE }, report);
    if (run === state.run) Object.assign(state.playing, player);
    else player.stop();
  } catch (error) {
    report(error.what ? error : { what: "unknown", detail: error.message });
  }
}

video.addEventListener("error", () => {
  const { code, message } = video.error ?? {};
  if (state.playing && code && code !== 1) fail({ what: code === 3 ? "decode" : code === 4 ? "codec" : "segment", detail: message });
});
for (const name of ["playing", "pause", "waiting", "ended", "seeking"]) {
  video.addEventListener(name, () => { if (!$("error").textContent) $("state").textContent = STATES[name]; });
}
const STATES = { playing: "playing", pause: "paused", waiting: "waiting for media", ended: "ended", seeking: "seeking" };
video.addEventListener("playing", () => {
  if (state.playing && !state.playing.took) state.playing.took = performance.now() - state.playing.begin;
});

/** The first fault says most; what follows from it is kept to the console. */
async function fail(fault, howToGetPlayers = state.server.how_to_get_players) {
  console.info("drm-pack:", JSON.stringify(fault));
  const { run } = state;
  if (state.failedRun === run && run) return;
  state.failedRun = run;
  const policy = new URL(location.href).searchParams.get("manifest");
  const text = await sentence(fault, {
    howToGetPlayers,
    blocked: state.blocked,
    allowed: [location.origin, policy && new URL(policy).origin].filter(Boolean).join(" and "),
    isProtected: state.playing?.isProtected,
    unsupported: unsupported(state.playing?.facts?.tracks ?? []),
    // What the key server said may still be on its way.
    get refusal() { return state.refusal; },
  });
  if (run === state.run) say(text);
}

/** The codecs of tracks that this browser does not have. */
function unsupported(tracks) {
  const lacks = ({ type, codec }) => codec && !MediaSource.isTypeSupported(`${type || "video"}/mp4; codecs="${codec}"`);
  return [...new Set(tracks.filter(lacks).map((track) => track.codec))];
}

function say(text) {
  $("error").textContent = text;
  if (text) $("state").textContent = "stopped";
}

// ---- keys: what the browser asks for and is given, whatever the player

/** Every player opens its sessions through MediaKeys, which is where they are listened to. */
function listenToKeys() {
  const { createSession } = MediaKeys.prototype;
  MediaKeys.prototype.createSession = function (...args) {
    const session = createSession.apply(this, args);
    const request = { at: performance.now(), kids: [], answer: "waiting" };
    session.addEventListener("message", (event) => {
      request.at = performance.now();
      request.kids = read(event.message).kids.map((kid) => uuid(hex(kid)));
      request.milliseconds = null;
      state.licenses.push(request);
      showLicenses();
    });
    const { update } = session;
    session.update = function (data) {
      const given = read(data).keys.map((key) => uuid(hex(key.kid)));
      if (!request.kids.length) { request.kids = given; state.licenses.push(request); }
      request.answer = "answered";
      request.given = given;
      request.milliseconds = performance.now() - request.at;
      showLicenses();
      return update.call(this, data);
    };
    return session;
  };
  const { fetch: send } = window;
  window.fetch = async (...args) => {
    const answer = await send(...args);
    noteRefusal(answer.url, answer.status, () => answer.clone().text());
    return answer;
  };
  const { send: sendXhr } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...args) {
    this.addEventListener("load", () => {
      const { response } = this;
      if (response instanceof ArrayBuffer) noteRefusal(this.responseURL, this.status, async () => new TextDecoder().decode(response));
      else if (typeof response === "string") noteRefusal(this.responseURL, this.status, async () => response);
      // Words that were to be JSON are lost: they are asked for again.
      else if (isRefusal(this.responseURL, this.status)) window.fetch(LICENSE, { method: "POST", body: args[0] }).catch(() => {});
    });
    return sendXhr.apply(this, args);
  };
}

const isRefusal = (url, status) => url && status >= 400 && new URL(url, location.href).pathname === LICENSE;

/** What the key server says when it gives no license. */
function noteRefusal(url, status, text) {
  if (!isRefusal(url, status)) return;
  text().then((words) => {
    state.refusal = words.slice(0, 300).trim().replace(/\.$/, "");
    const request = state.licenses.findLast((request) => request.answer === "waiting");
    if (request) Object.assign(request, { answer: "refused", words: state.refusal });
    showLicenses();
  });
}

function read(data) {
  try {
    const value = JSON.parse(new TextDecoder().decode(data));
    return { kids: value.kids ?? [], keys: value.keys ?? [] };
  } catch {
    return { kids: [], keys: [] };
  }
}

const hex = (base64url) => Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")),
  (char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");

// ---- what is shown

function cell(text, className = "") {
  return Object.assign(document.createElement("td"), { textContent: text, className });
}

function row(...cells) {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

function showFacts(url, facts) {
  $("presentation").textContent = `${facts.kind}, ${decodeURIComponent(url.replace(/^\/media\//, ""))}`;
  $("scheme").textContent = facts.schemes.join(", ") || "none: the media is clear";
  $("systems").textContent = facts.systems.join(", ") || "none";
  $("tracks").tBodies[0].replaceChildren(...facts.tracks.map((track) => {
    const key = cell("", "key");
    key.dataset.kids = track.kids.join(" ");
    return row(cell([track.id, track.type].filter(Boolean).join(", ")), cell(track.codec || "–"), cell(track.shape || "–"),
      cell(track.kids.join(", ") || "–", "id"), key);
  }));
  showLicenses();
}

function showLicenses() {
  const rows = state.licenses.map((request) => {
    const at = `${((request.at - (state.playing?.begin ?? request.at)) / 1000).toFixed(2)} s`;
    const took = request.milliseconds == null ? "" : ` after ${request.milliseconds.toFixed(0)} ms`;
    const className = { answered: "good", refused: "bad" }[request.answer] ?? "none";
    return row(cell(at), cell(request.kids.join(", "), "id"), cell(request.words ?? `${request.answer}${took}`, `wrap ${className}`));
  });
  const empty = cell("none so far", "none");
  empty.colSpan = 3;
  $("licenses").tBodies[0].replaceChildren(...(rows.length ? rows : [row(empty)]));
  const given = new Set(state.licenses.flatMap((request) => request.given ?? []));
  const asked = new Set(state.licenses.flatMap((request) => request.kids));
  for (const key of document.querySelectorAll("#tracks .key")) {
    const kids = key.dataset.kids.split(" ").filter(Boolean);
    const is = (set) => kids.length && kids.some((kid) => set.has(kid));
    key.textContent = is(given) ? "here" : is(asked) ? "asked for" : kids.length ? "not asked for" : "–";
    key.className = `key ${is(given) ? "good" : "none"}`;
  }
}

function showPlayback() {
  const quality = video.getVideoPlaybackQuality();
  if (!state.playing) return;
  if (video.readyState) {
    const length = Number.isFinite(video.duration) ? ` of ${video.duration.toFixed(1)} s` : " s";
    $("position").textContent = `${video.currentTime.toFixed(1)}${length}`;
    $("picture").textContent = video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : "–";
    $("decoded").textContent = String(quality.totalVideoFrames);
    $("dropped").textContent = String(quality.droppedVideoFrames);
  }
  watch(quality);
}

/** A player that is silent about a key that does not fit, or that nobody gave, is spoken for. */
function watch(quality) {
  const { playing } = state;
  const progress = `${video.currentTime} ${quality.totalVideoFrames}`;
  if (progress !== playing.progress || video.paused && video.currentTime > 0 || video.ended) {
    Object.assign(playing, { progress, since: performance.now() });
    return;
  }
  if (performance.now() - playing.since < STALL_MILLISECONDS) return;
  const given = new Set((playing.keys ?? []).map(([kid]) => uuid(kid)));
  const missing = (playing.facts?.kids ?? []).filter((kid) => !given.has(kid));
  if (playing.keys && missing.length && missing.length === playing.facts.kids.length) fail({ what: "no-key", kids: missing });
  else if (state.refusal) fail({ what: "license", status: 403 });
  else fail({ what: "stalled" });
}

async function poll() {
  try {
    const { events } = await (await fetch(`/api/events?from=${state.from}`, { signal: AbortSignal.timeout(3000) })).json();
    for (const { id, method, path, status } of events) {
      state.from = id + 1;
      $("log").prepend(Object.assign(document.createElement("li"), {
        textContent: `${method} ${path} ${status}`, className: status >= 400 ? "bad" : "",
      }));
    }
    while ($("log").childElementCount > MAX_LOG) $("log").lastElementChild.remove();
    server("good", `${location.host}, drm-pack ${state.server.version}`);
  } catch {
    server("bad", `${location.host} does not answer`);
    if (state.playing && !video.ended) fail({ what: "segment" });
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

function server(className, text) {
  if ($("server").textContent === text) return;
  Object.assign($("server"), { className, textContent: text });
}

setInterval(showPlayback, 250);
begin().catch((error) => say(`This page cannot begin: ${error.message}.`));
// For tests and for the console.
window.drmPack = { state, video };
