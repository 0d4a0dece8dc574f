// Platform storage by postMessage: LTI Client Side postMessages and LTI postMessage Storage, with the older
// `org.imsglobal.` names where a platform offers nothing else.
"use strict";

const PlatformStorage = (() => {
  const CAPABILITIES_MS = 1000;
  const PUT_MS = 5000;
  const GET_MS = 10000; // without an answer there is nothing left but to refuse: patience costs nothing
  const REPEAT_MS = 250;
  const LEGACY = "org.imsglobal.";

  // The LMS page: around us when we are framed, behind us when it opened us in a window.
  const platformWindow = () => (window.parent !== window ? window.parent : window.opener);

  function namedFrame(root, name) {
    if (!name || name === "_parent") return root;
    for (const owner of [root, window.top]) {
      try {
        if (owner && owner.frames[name]) return owner.frames[name];
      } catch { /* a frame of another origin may hide its names */ }
    }
    return null;
  }

  // Ask once; resolve with the first answer that is really ours, or null after `wait` milliseconds.
  function ask(windows, origins, message, wait, accept) {
    return new Promise((resolve) => {
      const id = crypto.randomUUID();
      const send = () => {
        for (const target of windows) {
          if (!target || target === window) continue;
          for (const origin of origins) target.postMessage({ ...message, message_id: id }, origin);
        }
      };
      const finish = (answer) => {
        clearTimeout(timer);
        clearInterval(repeat);
        window.removeEventListener("message", listen);
        resolve(answer);
      };
      const listen = (event) => {
        const data = event.data;
        if (typeof data !== "object" || data === null) return;
        if (data.subject !== message.subject + ".response" || data.message_id !== id) return;
        if (!origins.includes("*") && !origins.includes(event.origin)) return;
        if (data.error || !accept(data)) return;
        finish(data);
      };
      const timer = setTimeout(() => finish(null), wait);
      // Asked again, since the LMS's frame may still be loading when we begin.
      const repeat = setInterval(send, REPEAT_MS);
      window.addEventListener("message", listen);
      send();
    });
  }

  // What the platform offers: the prefix of its subjects and the frame to talk to. The question holds no secret.
  async function discover(root) {
    for (const prefix of ["", LEGACY]) {
      const answer = await ask([root], ["*"], { subject: prefix + "lti.capabilities" }, CAPABILITIES_MS,
        (data) => Array.isArray(data.supported_messages));
      if (!answer) continue;
      for (const used of ["", LEGACY]) {
        const put = answer.supported_messages.find((item) => item && item.subject === used + "lti.put_data");
        const get = answer.supported_messages.find((item) => item && item.subject === used + "lti.get_data");
        if (put && get) return { prefix: used, frame: put.frame || get.frame || null };
      }
    }
    return null;
  }

  async function exchange(place, verb, body, wait, accept) {
    const root = platformWindow();
    if (!root) return null;
    const offer = await discover(root);
    if (!offer && !place.target) return null;
    const prefix = offer ? offer.prefix : "";
    const target = namedFrame(root, (offer && offer.frame) || place.target) || root;
    return ask([target], place.origins, { subject: prefix + verb, ...body }, wait, accept);
  }

  return {
    // True when the platform confirmed that it keeps the value.
    async put(place, key, value) {
      const answer = await exchange(place, "lti.put_data", { key, value }, PUT_MS, (data) => data.key === key && data.value === value);
      return answer !== null;
    },
    // The kept value, or null.
    async get(place, key) {
      const answer = await exchange(place, "lti.get_data", { key }, GET_MS, (data) => data.key === key);
      return answer && typeof answer.value === "string" ? answer.value : null;
    },
  };
})();
