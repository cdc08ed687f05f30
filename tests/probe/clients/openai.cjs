// OpenAI's SDK as its documentation shows it. Arguments and output: see report.cjs.
const OpenAI = require("openai");
const { asked, report } = require("./report.cjs");

report(async function* (signal) {
  const client = new OpenAI({ baseURL: asked.base, apiKey: "none", maxRetries: 0, defaultHeaders: asked.headers });
  const stream = await client.chat.completions.create(
    {
      model: asked.model,
      messages: [{ role: "user", content: "count" }],
      stream: true,
      max_tokens: asked.tokens,
      ignore_eos: true,
    },
    { signal },
  );
  for await (const chunk of stream) yield chunk.choices[0]?.delta.content;
});
