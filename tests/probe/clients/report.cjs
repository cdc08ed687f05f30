// What every client here is told, as one JSON argument, and what it prints: a line of JSON for each token as it is read,
// with the turn of the event loop that brought it (tokens of one turn came in one read), and one for how it ended.
// With `leaveAfter` it aborts after so many tokens, and asks again, to the end, when a line comes on its standard input:
// meanwhile nothing but the abort can have closed the connection.
// Every host is at `address` where there is one, as DNS would have it.
const dns = require("node:dns");
const { once } = require("node:events");

const asked = JSON.parse(process.argv[2]);
if (asked.address) {
  const found = { address: asked.address, family: 4 };
  dns.lookup = (name, options, done) => (options.all ? done(null, [found]) : done(null, found.address, found.family));
}
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

let turn = 0;
let counted = false;

function read(text) {
  if (!counted) {
    counted = true;
    turn += 1;
    setImmediate(() => (counted = false));
  }
  say({ text, turn });
}

async function answer(tokens, leaveAfter) {
  const controller = new AbortController();
  let left = leaveAfter;
  try {
    for await (const text of tokens(controller.signal)) {
      if (!text) continue;
      read(text);
      if (--left === 0) controller.abort();
    }
  } catch (error) {
    if (!controller.signal.aborted) return say({ ending: require("node:util").inspect(error) });
  }
  say({ ending: controller.signal.aborted ? "left" : "whole" });
}

async function report(tokens) {
  if (asked.leaveAfter) {
    await answer(tokens, asked.leaveAfter);
    await once(process.stdin, "data");
  }
  await answer(tokens, Infinity);
  process.exit();
}

module.exports = { asked, report };
