// Claims that a browser test makes: each is run, named, and counted.

import { execFileSync } from "node:child_process";
import { join } from "node:path";

export function claims() {
  let held = 0;
  const broken = [];
  return {
    async claim(name, check) {
      try {
        await check();
        held++;
      } catch (problem) {
        broken.push(name);
        console.log(`BROKEN ${name}\n    ${problem.message.split("\n").join("\n    ")}`);
      }
    },
    equal(is, wanted, what) {
      if (JSON.stringify(is) !== JSON.stringify(wanted)) throw new Error(`${what}: is ${JSON.stringify(is)}, wanted ${JSON.stringify(wanted)}`);
    },
    /** What a key or a click brings about comes when it comes: asked again for five seconds at most. */
    async becomes(ask, wanted, what) {
      const until = Date.now() + 5000;
      for (;;) {
        const is = await ask();
        if (JSON.stringify(is) === JSON.stringify(wanted)) return;
        if (Date.now() > until) throw new Error(`${what}: stays ${JSON.stringify(is)}, wanted ${JSON.stringify(wanted)}`);
        await new Promise((next) => setTimeout(next, 25));
      }
    },
    near(is, wanted, within, what) {
      if (!(Math.abs(is - wanted) <= within)) throw new Error(`${what}: is ${is}, wanted ${wanted} within ${within}`);
    },
    done() {
      console.log(`${held} claims held, ${broken.length} broken`);
      process.exitCode = broken.length ? 1 : 0;
    },
  };
}

/** One value from the home's database, by the sqlite3 tool: a second pair of eyes. */
export const query = (home, sql) => execFileSync("sqlite3", ["-readonly", join(home, "bnexp.db"), sql], { encoding: "utf8" }).trim();
