// Packs, plays the matrix in Chromium, tests the page, prints a table. Exit code 1 when anything failed.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

import { MANIFESTS, PACKS, WRONG_KEYS } from "./rows.mjs";
import { mediaFolder, pack, start } from "./server.mjs";
import { goesFast } from "./fast.mjs";
import { failsWithWrongKey, plays } from "./playback.mjs";
import { TESTS } from "./page.mjs";

const AT_ONCE = 3;
const words = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const begin = Date.now();

const media = mediaFolder();
const server = await start([], media);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-background-networking", "--disable-component-update",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"],
});

const packs = PACKS;
await Promise.all(packs.map(async (row) => {
  const report = await pack(row, server, media);
  row.keys = {};
  for (const { type, kid } of report.tracks) if (kid && !row.withoutLicense) (row.keys[type] ??= []).push(kid);
}));

const tasks = [];
for (const row of packs) {
  for (const [kind, players] of Object.entries(row.players)) {
    for (const player of players) {
      const cell = { pack: row, kind, player };
      tasks.push({ name: `plays ${row.name} ${kind} ${player}`, run: (page) => plays(page, cell) });
    }
  }
}
for (const row of packs) {
  for (const kind of row.fast ?? []) tasks.push({ name: `fast ${row.name} ${kind} shaka`, run: (page) => goesFast(page, { pack: row, kind }) });
}
for (const [name, kind, player] of WRONG_KEYS) {
  const cell = { pack: packs.find((row) => row.name === name), kind, player };
  tasks.push({ name: `wrong-key ${name} ${kind} ${player}`, run: (page) => failsWithWrongKey(page, cell) });
}
for (const [name, run] of Object.entries(TESTS)) tasks.push({ name: `page ${name}`, run, alone: true });

const chosen = tasks.filter(({ name }) => words.every((word) => name.includes(word)));
const results = new Map();

async function perform(task) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const log = [];
  page.on("console", (message) => log.push(message.text().slice(0, 300)));
  page.on("pageerror", (error) => log.push(`page error: ${error.message}`));
  const elsewhere = [];
  const home = new URL(server.url).origin;
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(home) && !/^(data|blob):/.test(url)) elsewhere.push(url);
  });
  const since = Date.now();
  let result;
  try {
    await page.goto(server.url);
    await page.waitForFunction(() => window.drmPack?.state.server.manifests);
    result = await task.run(page, { server, media, here, browser, packs });
  } catch (error) {
    result = { wrong: [error.message.split("\n")[0]] };
  }
  if (!result.mayLeave && elsewhere.length) result.wrong.push(`requests elsewhere: ${elsewhere.join(", ")}`);
  const broken = log.filter((line) => line.startsWith("page error"));
  if (broken.length) result.wrong.push(...broken);
  results.set(task.name, { ...result, seconds: (Date.now() - since) / 1000, log });
  await context.close();
}

const queue = chosen.filter((task) => !task.alone);
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let task = queue.shift(); task; task = queue.shift()) await perform(task);
}));
for (const task of chosen.filter((task) => task.alone)) await perform(task);
await browser.close();
await server.stop();

const lines = chosen.map(({ name }) => {
  const { wrong, seen, note, seconds, log } = results.get(name);
  const facts = note ?? (seen ? `${seen.time.toFixed(1)} s  ${String(seen.frames).padStart(3)} frames  ${seen.asked.length} keys`
    + `${seen.took ? `  playing after ${(seen.took / 1000).toFixed(2)} s` : ""}${seen.error ? `  "${seen.error}"` : ""}` : "");
  const line = `${wrong.length ? "FAIL" : "ok  "}  ${name.padEnd(38)} ${seconds.toFixed(1).padStart(5)} s  ${facts}`;
  return wrong.length ? `${line}\n      ${[...wrong, ...log.slice(-6)].join("\n      ")}` : line;
});
const failed = chosen.filter(({ name }) => results.get(name).wrong.length).length;
const closing = `${chosen.length - failed} passed, ${failed} failed`;
const table = `${lines.join("\n")}\n`;
writeFileSync(join(here, "table.txt"), table);
console.log(`${table}in ${((Date.now() - begin) / 1000).toFixed(0)} s, Chromium ${browser.version()}\n${closing}`);
process.exit(failed || !chosen.length ? 1 : 0);
