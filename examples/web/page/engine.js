// The line between the page and the engine: workers, and calls to them.

const jspi = "Suspending" in WebAssembly && "promising" in WebAssembly;

export const support = { jspi, webgpu: "gpu" in navigator, secure: isSecureContext };

// Compiled once, for all workers.
let compiled;
function module() {
  compiled ??= WebAssembly.compileStreaming(fetch(new URL("./fanin_bg.wasm", import.meta.url)));
  return compiled;
}

function forget() {
  compiled = undefined;
}

function failure(message, properties = {}) {
  return Object.assign(new Error(message), properties);
}

export class Engine {
  #name;
  #worker = null;
  #calls = new Map();
  #last = 0;
  #panic = "";

  constructor(name = "engine") {
    this.#name = name;
    this.#start();
  }

  // Does what a method says; calls are answered one after the other.
  async call(method, args = {}, { onProgress, transfer = [] } = {}) {
    let compiled;
    try {
      compiled = await module();
    } catch (error) {
      // Asked for anew by the next call.
      forget();
      throw failure(`the page's WebAssembly does not load (${error.message}): reload the page`, { code: "no-wasm" });
    }
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, onProgress });
      try {
        this.#start();
        this.#worker.postMessage({ id, module: compiled, method, args }, transfer);
      } catch (error) {
        this.#calls.delete(id);
        reject(error);
      }
    });
  }

  // Ends the worker and what it is at; a later call starts another, which knows nothing of this one.
  stop() {
    this.#end(failure("stopped", { name: "AbortError" }));
  }

  #start() {
    if (this.#worker) return;
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      type: "module",
      name: this.#name,
    });
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = (event) => {
      this.#end(failure(`the engine does not start: ${event.message ?? "worker.js"}`, { code: "broken" }));
    };
  }

  #end(error) {
    this.#worker?.terminate();
    this.#worker = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    calls.forEach(({ reject }) => reject(error));
  }

  #hear({ id, progress, result, failed, broken, panicked }) {
    if (panicked) {
      this.#panic = panicked;
      return;
    }
    const call = this.#calls.get(id);
    if (!call) return;
    if (progress !== undefined) {
      call.onProgress?.(progress);
      return;
    }
    this.#calls.delete(id);
    if (!failed) {
      call.resolve(result);
    } else if (broken) {
      const message = `the engine broke off: ${this.#panic || failed.message}`;
      this.#panic = "";
      call.reject(failure(message, { code: "broken" }));
      this.#end(failure("the engine broke off in an earlier call", { code: "broken" }));
    } else {
      const { message, ...known } = failed;
      call.reject(failure(message, known));
    }
  }
}
