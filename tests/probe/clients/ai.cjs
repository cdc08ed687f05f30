// Vercel's AI SDK as its documentation shows it. Arguments and output: see report.cjs.
const { streamText } = require("ai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { asked, report } = require("./report.cjs");

report(async function* (signal) {
  const provider = createOpenAICompatible({ name: "endpoint", baseURL: asked.base, headers: asked.headers });
  const { fullStream } = streamText({
    model: provider(asked.model),
    prompt: "count",
    maxOutputTokens: asked.tokens,
    maxRetries: 0,
    abortSignal: signal,
    providerOptions: { endpoint: { ignore_eos: true } },
    onError: () => {},
  });
  for await (const part of fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") yield part.text;
  }
});
