// The key server under test, and packs made with its keys.

import { spawn, execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
export const command = process.env.DRM_PACK;

/** Starts a server; its environment for other commands, its address and how to stop it. */
export async function start(args, media) {
  const child = spawn(command, ["key-server", "--listen", "127.0.0.1:0", "--lenient-tickets", "--ticket-seconds", "600", "--media", media, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const env = { ...process.env };
  let said = "";
  await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the key server ended with ${code}`)));
    child.stdout.on("data", (data) => {
      said += data;
      if (/player page: \S+/.test(said)) resolve();
    });
  });
  for (const [, name, value] of said.matchAll(/(DRMTODAY_\w+)=(\S+)/g)) env[name] = value;
  const url = /player page: (\S+)/.exec(said)[1];
  const stop = () => new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.removeAllListeners("exit");
    child.once("exit", resolve);
    child.kill("SIGKILL");
  });
  return { url, env, stop };
}

export function mediaFolder() {
  const folder = mkdtempSync(join(tmpdir(), "drm-pack-browser-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Packs and returns the report. */
export async function pack({ name, input, pack, keys = ["--drmtoday"], prepare, files = {}, identity }, server, media) {
  const out = join(media, name);
  if (existsSync(out)) rmSync(out, { recursive: true });
  const clear = `${out}.clear`;
  if (prepare) {
    mkdirSync(clear, { recursive: true });
    await run("ffmpeg", prepare.map((word) => word.replace("{clear}", clear)));
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(clear, name), text);
  if (identity) writeFileSync(`${out}.keys`, `${identity.kid}:${identity.key}:${identity.iv}\n`);
  // A package keeps its segments.
  const cut = input.every((name) => /\.(mp4|m4a|vtt|ttml)$/.test(name)) ? ["--segment-duration", "2"] : [];
  const words = [...input, "--out", out, "--resource-id", name, ...cut, ...keys, "--json", ...pack];
  const args = ["pack", ...words.map((word) => word.replace("{clear}", clear).replace("{out}", out))];
  const report = JSON.parse((await run(command, args, { env: server.env, maxBuffer: 1 << 26 })).stdout);
  if (identity) nameIdentity(out, identity);
  return report;
}

/** Makes the playlists of a folder name a key file in place of what a license brings. */
function nameIdentity(out, { key, iv }) {
  writeFileSync(join(out, "sample.key"), Buffer.from(key, "hex"));
  for (const name of readdirSync(out).filter((name) => name.endsWith(".m3u8"))) {
    const text = readFileSync(join(out, name), "utf8").replace(/#EXT-X-SESSION-KEY.*\n/g, "");
    const line = `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="sample.key",IV=0x${iv}`;
    writeFileSync(join(out, name), text.replace(/#EXT-X-KEY:METHOD=SAMPLE-AES.*/g, line));
  }
}
