// Behind the guide's `connect`: a page to write on, and a visitor who asks, loses the line at the
// first words of the answer, and must read the whole of it all the same, each word once.
const page = [];
globalThis.document = { body: { append: (node) => page.push(node) } };
globalThis.Text = class {
  data = "";
};
const read = () => page.map((node) => node.data).join("");

const until = async (holds) => {
  while (!holds()) await new Promise((done) => setTimeout(done, 20));
};

const socket = connect(process.env.TOKEN);
socket.addEventListener("open", () => {
  socket.send(JSON.stringify({ type: "chat", content: "How do I connect OpenAI?" }));
});
socket.addEventListener("message", ({ data }) => {
  if (JSON.parse(data).type === "chat_chunk") socket.close();
});
// What comes where the server remembers no single events any more; it must be said once, too.
const snapshot = (content) => {
  socket.onmessage({ data: JSON.stringify({ type: "snapshot", message_id: id, seq: after, content }) });
};

await until(() => answer);
const id = answer;
await until(() => socket.readyState === WebSocket.CLOSED);
const before = read();
snapshot(before);
await until(() => !answer);

const stored = await fetch(`http://127.0.0.1:8000/api/v1/messages/${id}`, {
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});
const { content, status } = await stored.json();
console.log(JSON.stringify({ before, whole: read(), content, status }, null, 1));
process.exit(before && before !== content && read() === content ? 0 : 1);
