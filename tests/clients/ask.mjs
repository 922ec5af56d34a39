// One call of the official Node client, unchanged: what to ask comes as JSON, what came of it goes
// out as JSON. `leaveAfter`: chunks of a stream after which its reader goes away.

import { text } from "node:stream/consumers";
import OpenAI from "openai";

const { options, act, params, leaveAfter } = JSON.parse(await text(process.stdin));
const client = new OpenAI(options);
const outcome = { answer: null, chunks: [], requestId: null, error: null };

async function complete() {
  if (!params.stream) {
    outcome.answer = await client.chat.completions.create(params);
    outcome.requestId = outcome.answer._request_id;
    return;
  }
  const stream = await client.chat.completions.create(params);
  for await (const chunk of stream) {
    outcome.chunks.push(chunk);
    if (outcome.chunks.length === leaveAfter) break;
  }
}

async function list() {
  outcome.answer = [];
  for await (const model of client.models.list()) outcome.answer.push(model.id);
}

async function retrieve() {
  outcome.answer = (await client.models.retrieve(params.model)).id;
}

try {
  await { complete, list, retrieve }[act]();
} catch (error) {
  outcome.error = {
    name: error.constructor.name,
    status: error.status ?? null,
    type: error.type ?? null,
    param: error.param ?? null,
    code: error.code ?? null,
    message: error.message,
    requestId: error.requestID ?? null,
  };
}
console.log(JSON.stringify(outcome));
