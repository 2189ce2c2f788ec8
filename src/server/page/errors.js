// What went wrong, in one sentence that says what to do.

/** A sentence for what a player reported. `known` says what the page knows besides. */
export async function sentence(fault, known) {
  if (fault.what === "player") return `This player is not here: run ${known.howToGetPlayers} once, then load this page again.`;
  const url = fault.url && absolute(fault.url);
  if (known.blocked) {
    return `This page may load from ${known.allowed} only, and the manifest leads to ${known.blocked}.`;
  }
  if (!(await answers("/api/events?from=9007199254740991"))) {
    return `The server at ${location.host} does not answer any more: start it again, then press Play.`;
  }
  if (known.unsupported.length && ["system", "codec", "unknown"].includes(fault.what)) return WORDS.codec(fault, known);
  if (fault.status >= 400 || (fault.what === "license" && known.refusal)) return refused(fault, url, known);
  if (["manifest", "segment", "license"].includes(fault.what) && url && !fault.status) {
    return unreachable(fault, url);
  }
  return WORDS[fault.what]?.(fault, known) ?? `Playback stopped: ${fault.detail}.`;
}

const NAMES = { manifest: "the manifest", segment: "a segment", license: "the license" };
const WORDS = {
  decode: (_, known) => (known.isProtected
    ? "The media cannot be decoded: the key is not the one that it was encrypted with, or the media is damaged."
    : "The media cannot be decoded: it is damaged, or of a profile that this browser does not have."),
  codec: (_, known) => `This browser cannot play the codec of this presentation${known.unsupported.length ? ` (${known.unsupported.join(", ")})` : ""}.`,
  system: () => "This browser has no ClearKey for this presentation, or the manifest does not signal it.",
  license: (fault) => `The license was not accepted: ${fault.detail}.`,
  unreadable: (fault) => `The manifest cannot be read: ${fault.detail}.`,
  "no-key": (fault) => `No key for ${fault.kids.join(", ")} is among those that were given.`,
  stalled: (_, known) => (known.isProtected
    ? "Nothing can be decoded, though segments and keys came: the key is not the one of this media."
    : "Nothing can be decoded, though segments came."),
};

function refused(fault, url, known) {
  const from = url ? new URL(url).pathname : "its server";
  if (fault.what === "license") {
    const why = known.refusal ? `: ${known.refusal}` : `, with status ${fault.status}`;
    return `The key server gave no license${why}.`;
  }
  const what = fault.status === 404 ? "is missing" : `was refused with status ${fault.status}`;
  const name = fault.what === "manifest" ? "The manifest" : "A segment";
  return `${name} ${what}: ${from}.`;
}

/** A request without an answer: the server is away, or does not allow this page. */
async function unreachable(fault, url) {
  const { host, origin } = new URL(url);
  const what = NAMES[fault.what];
  if (origin !== location.origin && (await answers(url, "no-cors"))) {
    return `${host} answers, but does not allow other pages to read ${what}: it needs Access-Control-Allow-Origin (CORS).`;
  }
  return `${host} did not answer when ${what} was asked for: is it running?`;
}

async function answers(url, mode = "same-origin") {
  try {
    await fetch(url, { mode, cache: "no-store", signal: AbortSignal.timeout(3000) });
    return true;
  } catch {
    return false;
  }
}

const absolute = (url) => new URL(url, location.href).href;
