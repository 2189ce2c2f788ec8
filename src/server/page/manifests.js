// What a manifest says of its tracks and of their protection.

const SYSTEMS = {
  "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "Widevine",
  "9a04f079-9840-4286-ab92-e65be0885f95": "PlayReady",
  "94ce86fb-07ff-4f43-adb8-93d2fa968ca2": "FairPlay",
  "e2719d58-a985-b3c9-781a-b030af78d30e": "ClearKey",
  "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b": "ClearKey",
};
const KEY_FORMATS = {
  "com.microsoft.playready": "PlayReady",
  "com.apple.streamingkeydelivery": "FairPlay",
  "org.w3.clearkey": "ClearKey",
  identity: "key by URI",
};
const SCHEMES = { "SAMPLE-AES": "cbcs", "SAMPLE-AES-CTR": "cenc", "AES-128": "AES-128, whole segments" };

export const isPlaylist = (url) => /\.m3u8?$/i.test(new URL(url, location.href).pathname);
export const uuid = (hex) =>
  hex.toLowerCase().replace(/^0x/, "").replaceAll("-", "").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** Tracks, schemes and systems of the manifest at a URL. */
export async function describe(url) {
  const text = await load(url);
  const found = isPlaylist(url) ? await describePlaylist(text, url) : describeMpd(text);
  const all = (name) => [...new Set(found.tracks.flatMap((track) => track[name]))].filter(Boolean);
  return { ...found, schemes: all("schemes"), systems: all("systems"), kids: all("kids") };
}

async function load(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw Object.assign(new Error("manifest"), { status: answer.status });
  return answer.text();
}

function describeMpd(text) {
  const document = new DOMParser().parseFromString(text, "application/xml");
  if (document.documentElement.localName !== "MPD") throw new Error("not an MPD");
  const tracks = new Map();
  for (const representation of document.getElementsByTagNameNS("*", "Representation")) {
    const set = representation.parentElement;
    const value = (name) => representation.getAttribute(name) ?? set.getAttribute(name) ?? "";
    const protections = [set, representation].flatMap((element) =>
      [...element.children].filter((child) => child.localName === "ContentProtection"));
    const id = representation.id || `${tracks.size + 1}`;
    const track = tracks.get(id) ?? { kids: [], schemes: [], systems: [] };
    const type = (value("contentType") || value("mimeType")).split("/")[0];
    Object.assign(track, { id, type, codec: value("codecs"), shape: shapeOf(value) });
    for (const protection of protections) {
      const scheme = (protection.getAttribute("schemeIdUri") ?? "").toLowerCase();
      const kid = protection.getAttributeNS("urn:mpeg:cenc:2013", "default_KID");
      if (kid) add(track.kids, uuid(kid));
      if (scheme === "urn:mpeg:dash:mp4protection:2011") add(track.schemes, protection.getAttribute("value"));
      else add(track.systems, SYSTEMS[scheme.replace("urn:uuid:", "")] ?? scheme);
    }
    tracks.set(id, track);
  }
  return { kind: "DASH", tracks: [...tracks.values()] };
}

function shapeOf(value) {
  if (value("width")) return `${value("width")}×${value("height")}`;
  return value("audioSamplingRate") ? `${Number(value("audioSamplingRate")) / 1000} kHz` : "";
}

async function describePlaylist(text, url) {
  if (!text.startsWith("#EXTM3U")) throw new Error("not a playlist");
  const lines = text.split(/\r?\n/);
  if (!text.includes("#EXT-X-STREAM-INF:")) {
    return { kind: "HLS", tracks: [{ ...protectionOf(lines), id: name(url), type: "", codec: "", shape: "" }] };
  }
  const wanted = [];
  lines.forEach((line, index) => {
    const list = attributes(line);
    if (line.startsWith("#EXT-X-STREAM-INF:")) {
      const uri = lines.slice(index + 1).find((next) => next && !next.startsWith("#"));
      const codecs = (list.CODECS ?? "").split(",");
      const codec = codecs.find((codec) => !/^(mp4a|ac-|ec-|opus|flac)/i.test(codec)) ?? codecs[0];
      wanted.push({ uri, type: list.RESOLUTION ? "video" : "audio", codec, shape: (list.RESOLUTION ?? "").replace("x", "×") });
    } else if (line.startsWith("#EXT-X-MEDIA:") && list.URI) {
      const shape = list.CHANNELS ? `${list.CHANNELS} ch` : "";
      wanted.push({ uri: list.URI, type: list.TYPE.toLowerCase(), codec: "", shape });
    }
  });
  const once = [...new Map(wanted.map((track) => [track.uri, track])).values()];
  const tracks = await Promise.all(once.map(async (track) => {
    const from = new URL(track.uri, new URL(url, location.href)).href;
    return { ...track, id: name(from), ...protectionOf((await load(from)).split(/\r?\n/)) };
  }));
  return { kind: "HLS", tracks };
}

function protectionOf(lines) {
  const track = { kids: [], schemes: [], systems: [] };
  for (const line of lines.filter((line) => line.startsWith("#EXT-X-KEY:"))) {
    const list = attributes(line);
    if (!list.METHOD || list.METHOD === "NONE") continue;
    const format = (list.KEYFORMAT ?? "identity").toLowerCase();
    add(track.schemes, SCHEMES[list.METHOD] ?? list.METHOD);
    add(track.systems, KEY_FORMATS[format] ?? SYSTEMS[format.replace("urn:uuid:", "")] ?? format);
    if (list.KEYID) add(track.kids, uuid(list.KEYID));
  }
  return track;
}

/** The attribute list of a tag: RFC 8216 §4.2. */
function attributes(line) {
  const list = {};
  for (const [, key, quoted, plain] of line.slice(line.indexOf(":") + 1).matchAll(/([A-Z0-9-]+)=(?:"([^"]*)"|([^,]*))/g)) {
    list[key] = quoted ?? plain;
  }
  return list;
}

const name = (url) => new URL(url, location.href).pathname.split("/").pop().replace(/\.m3u8$/, "");
const add = (list, value) => value && !list.includes(value) && list.push(value);
