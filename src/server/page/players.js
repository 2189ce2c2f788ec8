// Three players behind one face: prepare() loads it, start(video, wanted, report) plays and returns what stops it, and itself.
// `report` takes what went wrong: {what, url, status, detail}.

const CLEAR_KEY = "org.w3.clearkey";
// Key formats of playlists that mean ClearKey, besides the name that hls.js has for it.
const COMMON_SYSTEM = /KEYFORMAT="urn:uuid:(1077efec-c0b2-4d02-ace3-3c1e52e2fb4b|e2719d58-a985-b3c9-781a-b030af78d30e)"/i;

// The system whose name Shaka Player borrows for ClearKey in playlists.
const BORROWED = { system: "com.widevine.alpha", format: "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed" };

export const PLAYERS = {
  shaka: { name: "Shaka Player", plays: () => true, prepare: () => script("shaka"), start: startShaka },
  dashjs: { name: "dash.js", plays: (isPlaylist) => !isPlaylist, prepare: () => script("dashjs"), start: startDash },
  hlsjs: { name: "hls.js", plays: (isPlaylist) => isPlaylist, prepare: () => script("hlsjs"), start: startHls },
};

const loaded = new Map();
function script(name) {
  if (!loaded.has(name)) {
    loaded.set(name, new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = `/players/${name}.js`;
      element.onload = resolve;
      element.onerror = () => {
        loaded.delete(name);
        reject(Object.assign(new Error("player"), { what: "player" }));
      };
      document.head.append(element);
    }));
  }
  return loaded.get(name);
}

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const base64 = (data) => btoa(String.fromCharCode(...data));
export const base64url = (hex) => base64(bytes(hex)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function startShaka(video, { url, isPlaylist, keys, license }, report) {
  await script("shaka");
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  const retry = { maxAttempts: 2, baseDelay: 300 };
  await player.attach(video);
  player.configure({
    drm: {
      preferredKeySystems: [CLEAR_KEY],
      keySystemsMapping: isPlaylist && !keys ? { [BORROWED.system]: CLEAR_KEY } : {},
      servers: keys ? {} : { [CLEAR_KEY]: license, ...(isPlaylist && { [BORROWED.system]: license }) },
      clearKeys: keys ? Object.fromEntries(keys) : {},
      retryParameters: retry,
    },
    manifest: { retryParameters: retry },
    streaming: { retryParameters: retry },
  });
  if (isPlaylist && !keys) {
    player.getNetworkingEngine().registerResponseFilter((type, response) => {
      if (type === shaka.net.NetworkingEngine.RequestType.MANIFEST) response.data = asShakaReads(response.data);
    });
  }
  const failed = (error) => report(shakaFault(error));
  player.addEventListener("error", (event) => failed(event.detail));
  const stop = () => player.destroy();
  player.load(url).then(() => video.play()).catch((error) => error.name !== "AbortError" && failed(error));
  return { stop, player };
}

/**
 * Shaka Player asks for licenses of ClearKey in playlists only under the name of another system, whose lines it
 * reads; that name is mapped back, and the box in the line is ours as it is.
 */
function asShakaReads(data) {
  const text = new TextDecoder().decode(data);
  if (!text.startsWith("#EXTM3U") || !COMMON_SYSTEM.test(text)) return data;
  const isOther = (line) => /^#EXT-X-(SESSION-)?KEY:/.test(line) && /KEYFORMAT="(?!identity)/.test(line) && !COMMON_SYSTEM.test(line);
  const lines = text.split("\n").filter((line) => !isOther(line));
  return new TextEncoder().encode(lines.map((line) => line.replace(COMMON_SYSTEM, `KEYFORMAT="${BORROWED.format}"`)).join("\n"));
}

/** Codes of shaka.util.Error. */
function shakaFault(error) {
  const { code, data = [] } = error;
  const detail = `Shaka Player ${code ?? ""} ${error.message ?? ""}`.trim();
  const inner = code === 6007 && data[0]?.code ? data[0] : error;
  const url = typeof inner.data?.[0] === "string" ? inner.data[0] : undefined;
  const status = inner.code === 1001 ? inner.data[1] : undefined;
  const type = inner.code === 1001 ? inner.data[4] : inner.data?.[inner.code === 1002 ? 2 : 1];
  if (code === 6007) return { what: "license", url, status, detail, words: wordsOf(inner) };
  if (code >= 1001 && code <= 1003) return { what: type === 0 ? "manifest" : "segment", url, status, detail };
  if (code === 3016) return { what: "decode", detail };
  if ([4032, 4012, 3015, 3019].includes(code)) return { what: "codec", detail };
  if ([6001, 6002, 6003, 6010].includes(code)) return { what: "system", detail };
  if (code === 6008) return { what: "license", detail };
  if (code >= 4000 && code < 5000) return { what: "unreadable", detail };
  return { what: "unknown", detail };
}

const wordsOf = (error) => (typeof error.data?.[2] === "string" ? error.data[2] : undefined);

async function startDash(video, { url, keys, license }, report) {
  await script("dashjs");
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({
    debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE },
    streaming: {
      retryAttempts: { MPD: 1, MediaSegment: 1, InitializationSegment: 1 },
      retryIntervals: { MPD: 300, MediaSegment: 300, InitializationSegment: 300 },
    },
  });
  player.initialize();
  const clearkeys = keys && Object.fromEntries(keys.map(([kid, key]) => [base64url(kid), base64url(key)]));
  player.setProtectionData({ [CLEAR_KEY]: { priority: 0, ...(clearkeys ? { clearkeys } : { serverURL: license }) } });
  player.on(dashjs.MediaPlayer.events.ERROR, (event) => report(dashFault(event.error ?? event)));
  player.on(dashjs.Protection?.events?.KEY_ERROR ?? "public_keyError", (event) => report(dashFault(event.error ?? {})));
  player.attachView(video);
  // TTML is drawn, and not shown as cues.
  const drawn = document.createElement("div");
  drawn.id = "drawn";
  Object.assign(drawn.style, { position: "absolute", pointerEvents: "none" });
  video.before(drawn);
  player.attachTTMLRenderingDiv(drawn);
  player.setAutoPlay(true);
  player.attachSource(new URL(url, location.href).href);
  return { stop: () => { player.destroy(); drawn.remove(); }, player };
}

/** Codes of dash.js: Errors and ProtectionErrors. */
function dashFault(error) {
  const { code } = error;
  const request = error.data?.request;
  const detail = `dash.js ${code ?? ""} ${error.message ?? ""}`.trim();
  const at = { url: request?.url ?? error.data?.url, status: error.data?.response?.status, detail };
  if (code === 25) return { what: "manifest", ...at };
  if ([15, 17, 27, 28].includes(code)) return { what: "segment", ...at };
  if ([10, 11, 12, 31, 32, 33].includes(code)) return { what: "unreadable", ...at };
  if ([30, 35, 36].includes(code)) return { what: "codec", ...at };
  if ([110, 111].includes(code)) return { what: "system", ...at };
  if (code >= 100 && code < 120) return { what: "license", ...at };
  if (code >= 1 && code <= 5) return { what: code === 3 ? "decode" : "codec", ...at };
  return { what: "unknown", ...at };
}

async function startHls(video, { url, keys, license }, report) {
  await script("hlsjs");
  const answer = keys && URL.createObjectURL(new Blob([licenseOf(keys)], { type: "application/json" }));
  const once = { default: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 20000, timeoutRetry: null,
    errorRetry: { maxNumRetry: 1, retryDelayMs: 300, maxRetryDelayMs: 300 } } };
  const player = new Hls({
    emeEnabled: true,
    pLoader: playlistLoader(Hls.DefaultConfig.loader),
    manifestLoadPolicy: once, playlistLoadPolicy: once, fragLoadPolicy: once, keyLoadPolicy: once,
    drmSystems: {
      [CLEAR_KEY]: { licenseUrl: new URL(license, location.href).href, generateRequest: keyIds },
    },
    licenseXhrSetup: answer ? (xhr) => xhr.open("GET", answer) : undefined,
  });
  player.on(Hls.Events.ERROR, (_, data) => data.fatal && report(hlsFault(data)));
  player.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => {}));
  player.loadSource(new URL(url, location.href).href);
  player.attachMedia(video);
  return { stop: () => { player.destroy(); if (answer) URL.revokeObjectURL(answer); }, player };
}

/** The initialization data of one key: EME registry, "keyids". */
function keyIds(initDataType, initData, context) {
  const kid = context.decryptdata.keyId;
  if (!kid) return { initDataType, initData };
  const kids = [base64(kid).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")];
  return { initDataType: "keyids", initData: new TextEncoder().encode(JSON.stringify({ kids })).buffer };
}

const licenseOf = (keys) => JSON.stringify({
  keys: keys.map(([kid, key]) => ({ kty: "oct", kid: base64url(kid), k: base64url(key) })),
  type: "temporary",
});

/** hls.js knows ClearKey by another key format, with the key id as the data of its URI. */
function playlistLoader(Loader) {
  return class extends Loader {
    load(context, config, callbacks) {
      const { onSuccess } = callbacks;
      super.load(context, config, { ...callbacks, onSuccess: (response, ...rest) => {
        if (typeof response.data === "string") response.data = response.data.split("\n").map(asHlsJsReads).join("\n");
        onSuccess(response, ...rest);
      } });
    }
  };
}

function asHlsJsReads(line) {
  const kid = COMMON_SYSTEM.test(line) && /KEYID=0x([0-9a-f]{32})/i.exec(line)?.[1];
  if (!kid) return line;
  return line.replace(COMMON_SYSTEM, `KEYFORMAT="${CLEAR_KEY}"`)
    .replace(/URI="[^"]*"/, `URI="data:text/plain;base64,${base64(bytes(kid))}"`);
}

/** Names of Hls.ErrorDetails. */
function hlsFault(data) {
  const { details } = data;
  const detail = `hls.js ${details} ${data.error?.message ?? data.reason ?? ""}`.trim();
  const status = data.response?.code || data.networkDetails?.status || undefined;
  const at = { url: data.response?.url || data.url || data.frag?.url, status, detail };
  if (/^manifestIncompatibleCodecs|CodecError$/.test(details)) return { what: "codec", ...at };
  if (/^manifestParsing|^levelParsing|^levelEmpty/.test(details)) return { what: "unreadable", ...at };
  if (/^(manifest|level|audioTrack)Load/.test(details)) return { what: "manifest", ...at };
  if (/^keySystemLicense|^keyLoad/.test(details)) return { what: "license", ...at };
  if (/^keySystem/.test(details)) return { what: "system", ...at };
  if (/^frag(Load|Parsing)/.test(details)) return { what: "segment", ...at };
  if (data.type === "mediaError") return { what: "decode", ...at };
  return { what: "unknown", ...at };
}
