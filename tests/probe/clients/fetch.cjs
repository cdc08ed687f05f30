// Node's own fetch with the reader of its body, as in a browser. Arguments and output: see report.cjs.
const { asked, report } = require("./report.cjs");

report(async function* (signal) {
  const answer = await fetch(`${asked.base}/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...asked.headers },
    body: JSON.stringify({
      model: asked.model,
      messages: [{ role: "user", content: "count" }],
      stream: true,
      max_tokens: asked.tokens,
      ignore_eos: true,
    }),
    signal,
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  let rest = "";
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split("\n\n");
    rest = events.pop();
    for (const event of events)
      if (event.startsWith("data: {")) yield JSON.parse(event.slice(6)).choices[0]?.delta.content;
  }
});
