// The LMS's side of window messages: platform storage (LTI postMessage Storage), lti.close and lti.frameResize.
// Runs in the LMS's page and in the frame that it keeps for storage. `data-storage` says how to misbehave.
"use strict";

(() => {
  const { role, storage: mode, frame } = document.body.dataset;
  const OLD = "org.imsglobal.";
  const MAX_BYTES = 4096;
  const MAX_KEYS = 500;
  const prefix = mode === "legacy" ? OLD : "";
  const onPage = role === "page";

  // Tools start when everything they may ask is there.
  window.addEventListener("load", () => {
    for (const place of document.querySelectorAll("iframe[data-src]")) place.src = place.dataset.src;
  });

  // Only the LMSs that have storage know any of these messages.
  if ((onPage && !frame) || mode === "none") return;

  const kept = new Map(); // tool origin -> key -> value

  const frameName = () => (frame === "_parent" ? undefined : mode === "other_frame" ? frame + "_2" : frame);

  function capabilities() {
    const where = onPage && frameName() ? { frame: frameName() } : {};
    const storage = ["lti.put_data", "lti.get_data"].map((verb) => ({ subject: prefix + verb, ...where }));
    const others = ["lti.capabilities", "lti.close", "lti.frameResize"].map((verb) => ({ subject: prefix + verb }));
    return { supported_messages: [...storage, ...others] };
  }

  function putData(store, { key, value }) {
    if (typeof key !== "string") return { error: { code: "bad_request", message: "key must be a string" } };
    if (value === null || value === undefined) {
      store.delete(key);
      return { key, value: null };
    }
    if (new TextEncoder().encode(value).length > MAX_BYTES || (store.size >= MAX_KEYS && !store.has(key))) {
      return { key, error: { code: "storage_exhaustion", message: "too much data" } };
    }
    store.set(key, value);
    return { key, value };
  }

  function getData(store, { key }) {
    if (typeof key !== "string") return { error: { code: "bad_request", message: "key must be a string" } };
    if (mode === "get_error") return { key, error: { code: "error", message: "storage cannot be read" } };
    const value = store.has(key) ? store.get(key) : null;
    return { key, value: mode === "wrong_value" && value !== null ? value + "-of-somebody-else" : value };
  }

  const frameOf = (source) => [...document.querySelectorAll("iframe")].find((item) => item.contentWindow === source);

  function close(source) {
    const place = frameOf(source)?.closest(".tool-frame");
    if (!place) return;
    const note = document.createElement("p");
    note.className = "closed";
    note.textContent = "The tool closed this frame.";
    place.replaceChildren(note);
  }

  function resize(source, height) {
    const place = frameOf(source);
    if (place && Number.isFinite(height)) place.style.height = `${Math.min(Math.max(height, 120), 5000)}px`;
  }

  function answer(verb, data, origin) {
    if (verb === "lti.capabilities") return capabilities();
    if (!kept.has(origin)) kept.set(origin, new Map());
    if (verb === "lti.put_data") return putData(kept.get(origin), data);
    if (verb === "lti.get_data") return getData(kept.get(origin), data);
    return { error: { code: "unsupported_subject", message: `no ${verb} here` } };
  }

  window.addEventListener("message", (event) => {
    const data = event.data;
    if (typeof data !== "object" || data === null || typeof data.subject !== "string" || event.source === window) return;
    if (!data.subject.startsWith(prefix + "lti.")) return;
    const verb = data.subject.slice(prefix.length);
    if (onPage && verb === "lti.close") close(event.source);
    else if (onPage && verb === "lti.frameResize") resize(event.source, Number(data.height));
    else if (mode !== "silent" && !(mode === "get_silent" && verb === "lti.get_data")) {
      const known = typeof data.message_id === "string";
      const body = known ? answer(verb, data, event.origin) : { error: { code: "bad_request", message: "no message_id" } };
      event.source.postMessage({ subject: `${data.subject}.response`, message_id: data.message_id, ...body }, event.origin);
    }
  });
})();
