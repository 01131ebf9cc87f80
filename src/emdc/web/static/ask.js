// Requests to the collector, and in words why one failed.

const ANSWER_WITHIN_MS = 10_000;
const FAILURES = { TypeError: "no connection", TimeoutError: "no answer in 10 s" };

// `patience_ms`: of an answer for which the database may have to read much.
export async function ask(address, { patience_ms = ANSWER_WITHIN_MS, signal } = {}) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(new DOMException("late", "TimeoutError")), patience_ms);
  signal?.addEventListener("abort", () => control.abort(signal.reason));
  try {
    return await answered(await fetch(address, { signal: control.signal }));
  } finally {
    clearTimeout(timer);
  }
}

async function answered(answer) {
  if (answer.ok) return answer.json();
  const failed = new Error(answer.status === 401 ? "it asks for a token" : `status ${answer.status}`);
  failed.status = answer.status;
  failed.detail = await answer.json().then((problem) => problem.detail, () => "");
  throw failed;
}

export function why(error) {
  if (error.name === "TimeoutError") return "no answer in time";
  return error.detail || (FAILURES[error.name] ?? error.message);
}

// For the banner, which has the health report beside it.
export const shortly = (error) => FAILURES[error.name] ?? error.message;
