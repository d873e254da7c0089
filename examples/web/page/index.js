import { Engine, support } from "./engine.js";
Object.assign(globalThis, { Engine, support });
