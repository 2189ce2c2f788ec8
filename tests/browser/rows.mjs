// The matrix: what is packed, and what plays it. A new feature is a line here.

const CLIP = ["fixtures/clip/mp4/video_360.mp4", "fixtures/clip/mp4/video_180.mp4", "fixtures/clip/mp4/audio.m4a"];
const BOTH = { dash: ["shaka", "dashjs"], hls: ["shaka", "hlsjs"] };
// dash.js asks for licenses by cenc:default_KID alone, which an MPD with changing keys must not have (DASH-IF IOP 6).
const ROTATED = { dash: ["shaka"], hls: ["shaka", "hlsjs"] };

/**
 * name: folder under the media; pack: arguments of `drm-pack pack`; players: by kind of manifest;
 * rotates: there are more keys than the report names; withoutLicense: keys come by URI (AES-128). */
export const PACKS = [
  { name: "cenc-preset0", input: CLIP, pack: ["--drm", "widevine+playready+clearkey", "--scheme", "cenc"], players: BOTH },
  { name: "cenc-preset1", input: CLIP, pack: ["--drm", "widevine+playready+clearkey", "--scheme", "cenc", "--preset", "preset1"], players: BOTH },
  { name: "cbcs-preset0", input: CLIP, pack: ["--drm", "widevine+playready+fairplay+clearkey", "--scheme", "cbcs"], players: BOTH },
  { name: "cbcs-preset1", input: CLIP, pack: ["--drm", "widevine+playready+fairplay+clearkey", "--scheme", "cbcs", "--preset", "preset1"], players: BOTH },
  { name: "cenc-single-file", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--layout", "single-file"], players: BOTH },
  { name: "cbcs-single-file", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--layout", "single-file"], players: BOTH },
  { name: "cenc-clear-lead", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--clear-lead", "2"], players: BOTH },
  { name: "cbcs-clear-lead", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--clear-lead", "2"], players: BOTH },
  { name: "cenc-rotation", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--rotate-every", "1"], players: ROTATED, rotates: true },
  { name: "cbcs-rotation", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--rotate-every", "1"], players: ROTATED, rotates: true },
];

/** Where a key that is not the right one must fail: name of the pack, kind, player. */
export const WRONG_KEYS = [
  ["cenc-preset0", "dash", "shaka"],
  ["cenc-preset0", "dash", "dashjs"],
  ["cenc-preset0", "hls", "hlsjs"],
  ["cbcs-preset0", "dash", "shaka"],
  ["cbcs-preset0", "dash", "dashjs"],
  ["cbcs-preset0", "hls", "hlsjs"],
];

export const MANIFESTS = { dash: "manifest.mpd", hls: "master.m3u8" };
export const SECONDS = 5;
