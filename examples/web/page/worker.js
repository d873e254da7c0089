// The worker that runs the engine: one call after the other, each answered by a message.

// Where there is no JavaScript Promise Integration, stand-ins that wait for nothing: the module loads, and says
// of everything that would have to wait why it cannot.
WebAssembly.Suspending ??= class Suspending {
  constructor(call) {
    return call;
  }
};
WebAssembly.promising ??= (call) => call;
WebAssembly.JSTag ??= new WebAssembly.Tag({ parameters: ["externref"] });

// Imported when the first call comes, not before: a message that comes while this file waits is heard by nobody.
let call;

// A module that broke off is in no state to be called again.
const broken = (error) => error instanceof WebAssembly.RuntimeError || error instanceof RangeError;

async function answer({ id, module, method, args }) {
  if (!call) {
    const glue = await import("./fanin.js");
    glue.initSync({ module });
    ({ call } = glue);
  }
  const progress = (value) => postMessage({ id, progress: value });
  const result = await call(method, args, progress);
  if (method === "gpu" && !result.none) {
    // The engine is told no more than a name.
    const { vendor, architecture } = (await navigator.gpu.requestAdapter())?.info ?? {};
    Object.assign(result, { vendor, architecture });
  }
  return result;
}

function buffers(value) {
  const found = new Set();
  const look = (own) => {
    if (ArrayBuffer.isView(own)) {
      found.add(own.buffer);
    } else if (own !== null && typeof own === "object") {
      Object.values(own).forEach(look);
    }
  };
  look(value);
  return [...found];
}

let before = Promise.resolve();
onmessage = ({ data }) => {
  before = before.then(async () => {
    const { id } = data;
    try {
      const result = await answer(data);
      postMessage({ id, result }, buffers(result));
    } catch (error) {
      const { message = String(error), code, field } = error ?? {};
      postMessage({ id, failed: { message, code, field }, broken: broken(error) });
    }
  });
};
