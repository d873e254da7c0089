// Calls of which only the last one asked for counts.

/**
 * While a call is under way, what is asked for waits, and what it replaces is dropped: a slider that moves
 * faster than the engine answers shows every answer that it gets, and ends at the last.
 * @template T
 */
export class Latest {
  #waiting = null;
  #busy = false;

  /**
   * @param {(question: T) => Promise<any>} call
   * @param {(answer: any, question: T) => void} show
   * @param {(error: Error, question: T) => void} fail
   */
  constructor(call, show, fail) {
    this.call = call;
    this.show = show;
    this.fail = fail;
  }

  /** @param {T} question */
  ask(question) {
    this.#waiting = { question };
    if (!this.#busy) this.#go();
  }

  async #go() {
    this.#busy = true;
    while (this.#waiting !== null) {
      const { question } = this.#waiting;
      this.#waiting = null;
      try {
        const answer = await this.call(question);
        this.show(answer, question);
      } catch (error) {
        if (error.name !== "AbortError") this.fail(error, question);
      }
    }
    this.#busy = false;
  }
}
