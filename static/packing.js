// Compressed links: `#z=` and the fragment of a session, deflated, in base64url. Uses the browser's
// deflate, so that the page's program needs none.

// The largest unpacked fragment, in bytes. A session that long would not fit into a link anyway.
const MOST = 4_000_000;

/** Compresses a fragment, given without `#`. */
export async function pack(fragment) {
  const bytes = new TextEncoder().encode(fragment);
  const packed = await through(new CompressionStream("deflate-raw"), bytes);
  let text = "";
  for (const byte of packed) text += String.fromCharCode(byte);
  return "z=" + btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Replaces the fragment in the address bar by the unpacked one, before the program reads it. */
export async function unpackAddress() {
  let fragment;
  try {
    const text = atob(location.hash.slice(3).replaceAll("-", "+").replaceAll("_", "/"));
    const packed = Uint8Array.from(text, (char) => char.charCodeAt(0));
    const bytes = await through(new DecompressionStream("deflate-raw"), packed);
    fragment = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    fragment = "v=1&broken=1"; // The page shows an error.
  }
  history.replaceState(null, "", "#" + fragment);
}

async function through(stream, bytes) {
  const writer = stream.writable.getWriter();
  const written = writer.write(bytes).then(() => writer.close());
  written.catch(() => {}); // Reading fails as well, and reports the error.
  const pieces = [];
  let length = 0;
  for (const reader = stream.readable.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > MOST) throw new Error(`a packed link of more than ${MOST} bytes`);
    pieces.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
