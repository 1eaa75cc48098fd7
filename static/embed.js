// The custom element <limpid-lab>: a running lab inside another page. One script, no dependencies;
// docs/embedding.md describes attributes, methods and events.
//
//   <script async src="https://…/embed.js"></script>
//   <limpid-lab lesson="server/first-server" locale="zh"></limpid-lab>
(() => {
  const VERSION = 1;
  // The page is served from the same folder as this script.
  const base = new URL("./", document.currentScript.src);

  // Attributes that are passed on as parameters of the page's address.
  const PARAMETERS = [
    "lesson", "scenario", "locale", "theme", "panes", "controls", "autoplay", "speed", "at", "readonly",
  ];
  const SCENARIO = "3";

  const STYLE = `
    :host { display: block; position: relative; }
    :host([hidden]) { display: none; }
    iframe { display: block; width: 100%; border: 0; border-radius: inherit; color-scheme: auto; }
    button {
      all: unset; box-sizing: border-box; display: grid; position: relative; width: 100%; overflow: hidden;
      cursor: pointer; border: 1px solid #8884; border-radius: 8px; background: #8881;
    }
    button:focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
    img { width: 100%; height: 100%; min-height: 0; object-fit: contain; }
    span {
      position: absolute; left: 50%; bottom: 16px; transform: translateX(-50%); padding: 8px 16px;
      border-radius: 999px; background: #0072B2; color: #fff; font: 600 14px/1.4 system-ui, sans-serif;
      white-space: nowrap;
    }
    button:hover span { background: #005f96; }
  `;
  const WORDS = {
    en: { start: "Start this lab", lab: "Limpid lab" },
    zh: { start: "启动实验", lab: "Limpid 实验" },
  };

  class LimpidLab extends HTMLElement {
    #frame = null;
    #poster = null;
    #ready = null;
    #asked = new Map();
    #number = 0;
    #status = null;
    #state = null;
    #saving = 0;
    #hear = (event) => this.#message(event);

    static observedAttributes = [...PARAMETERS, "height", "poster", "sandbox"];

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      // A constructed style sheet also works where a policy forbids inline styles.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    }

    connectedCallback() {
      addEventListener("message", this.#hear);
      if (this.#frame || this.#poster) return;
      if (this.hasAttribute("poster") && this.getAttribute("poster") !== "none") this.#show();
      else this.start();
    }

    disconnectedCallback() {
      removeEventListener("message", this.#hear);
    }

    attributeChangedCallback(name, before, now) {
      if (before === now || !(this.#frame || this.#poster)) return;
      if (name === "height") return this.#size(this.#frame ?? this.#poster);
      this.#clear();
      this.connectedCallback();
    }

    /** Starts the lab, replacing its poster. */
    start() {
      if (this.#frame) return;
      this.#clear();
      const frame = document.createElement("iframe");
      frame.title = this.getAttribute("title") || this.#words().lab;
      frame.allow = "clipboard-read; clipboard-write; fullscreen";
      frame.referrerPolicy = "no-referrer";
      // Labs further down load when scrolled near; all share the files that the first one loaded.
      frame.loading = "lazy";
      if (this.hasAttribute("sandbox")) frame.setAttribute("sandbox", "allow-scripts allow-downloads");
      frame.src = this.#address();
      this.#frame = frame;
      this.#size(frame);
      this.shadowRoot.append(frame);
    }

    play(speed) { return this.#ask("play", { speed }); }
    pause() { return this.#ask("pause"); }
    /** Goes to a moment such as "1.5s". */
    seek(to) { return this.#ask("seek", { to }); }
    /** Types a line into a server's redis-cli, or with `shell` into a host's shell; resolves to `{ output }`. */
    exec(at, line, { shell } = {}) { return this.#ask("exec", { at, line, shell }); }
    /** Opens a lesson or a scenario: `{ lesson }` or `{ scenario }`. */
    load(what) { return this.#ask("load", what); }
    prefer(what) { return this.#ask("prefer", what); }
    getGrade() { return this.#ask("getGrade"); }
    getState() { return this.#ask("getState"); }
    setState(state) { return this.#ask("setState", { state }); }

    /** The last state that the lab reported. */
    get status() { return this.#status; }

    #words() {
      const locale = this.getAttribute("locale") || document.documentElement.lang || navigator.language;
      return WORDS[locale.toLowerCase().startsWith("zh") ? "zh" : "en"];
    }

    #address() {
      const url = new URL(base);
      for (const name of PARAMETERS) {
        if (!this.hasAttribute(name)) continue;
        const value = this.getAttribute(name);
        url.searchParams.set(name === "scenario" ? "topology" : name, value === "" ? "1" : value);
      }
      if (!this.hasAttribute("locale") && document.documentElement.lang) {
        url.searchParams.set("locale", document.documentElement.lang);
      }
      if (this.hasAttribute("height")) url.searchParams.set("height", parseInt(this.getAttribute("height"), 10) || 0);
      url.searchParams.set("origin", location.origin);
      return url.href;
    }

    #size(element) {
      const asked = parseInt(this.getAttribute("height"), 10);
      element.style.height = `${asked > 0 ? asked : 560}px`;
    }

    /** Shows the poster, a picture of the first moment, with a button that starts the lab. */
    #show() {
      const button = document.createElement("button");
      const image = document.createElement("img");
      const language = this.#words() === WORDS.zh ? "zh" : "en";
      const lesson = this.getAttribute("lesson");
      const name = lesson ? `lesson/${lesson}` : this.getAttribute("scenario") || SCENARIO;
      image.src = new URL(`posters/${language}/${encodeURI(name)}.svg`, base).href;
      image.alt = "";
      image.loading = "lazy";
      const text = document.createElement("span");
      text.textContent = this.#words().start;
      button.type = "button";
      button.append(image, text);
      button.addEventListener("click", () => {
        this.start();
        this.#frame.focus();
      });
      this.#size(button);
      this.#poster = button;
      this.shadowRoot.append(button);
    }

    #clear() {
      this.#poster?.remove();
      this.#frame?.remove();
      this.#poster = this.#frame = this.#ready = this.#status = null;
      for (const { reject } of this.#asked.values()) reject(new Error("the lab was replaced"));
      this.#asked.clear();
    }

    #ask(type, fields = {}) {
      if (!this.#frame) this.start();
      const message = { limpid: VERSION, type, id: ++this.#number, ...fields };
      // Undefined fields are removed, since a structured clone would keep them.
      for (const [key, value] of Object.entries(message)) if (value === undefined) delete message[key];
      return new Promise((resolve, reject) => {
        this.#asked.set(message.id, { resolve, reject, message });
        if (this.#ready) this.#post(message);
      });
    }

    #post(message) {
      // A sandboxed frame has an opaque origin, which cannot be named.
      this.#frame.contentWindow.postMessage(message, this.hasAttribute("sandbox") ? "*" : base.origin);
    }

    #message({ data, source, origin }) {
      if (!this.#frame || source !== this.#frame.contentWindow) return;
      if (origin !== (this.hasAttribute("sandbox") ? "null" : base.origin)) return;
      if (typeof data !== "object" || data?.limpid !== VERSION) return;
      switch (data.type) {
        case "reply": {
          const asked = this.#asked.get(data.id);
          this.#asked.delete(data.id);
          if (data.ok) asked?.resolve(data.result);
          else asked?.reject(new Error(data.error));
          return;
        }
        case "ready":
          // Arrives again after the frame was reloaded.
          this.#ready = data;
          this.#status = data.state;
          this.#resume().finally(() => {
            for (const { message } of this.#asked.values()) this.#post(message);
            this.#tell("ready", data);
          });
          return;
        case "state":
          this.#status = data.state;
          this.#keep();
          break;
        case "resize":
          if (!this.hasAttribute("height")) this.#frame.style.height = `${Math.min(data.height, 4000)}px`;
          break;
        case "goal": case "event": case "xapi":
          break;
        default:
          return;
      }
      this.#tell(data.type, data);
    }

    #tell(type, { limpid: _, type: __, ...detail }) {
      this.dispatchEvent(new CustomEvent(`limpid-${type}`, { detail, bubbles: true, composed: true }));
    }

    /** The storage key: with `keep="name"` the embedding page saves the session under that name. */
    #key() {
      const name = this.getAttribute("keep");
      return name ? `limpid-lab:${name}` : null;
    }

    async #resume() {
      const key = this.#key();
      if (!key || this.#state !== null) return;
      try {
        this.#state = localStorage.getItem(key) ?? "";
      } catch {
        this.#state = "";
      }
      if (this.#state === "") return;
      const message = { limpid: VERSION, type: "setState", id: ++this.#number, state: this.#state };
      await new Promise((resolve) => {
        this.#asked.set(message.id, { resolve, reject: resolve, message: { ...message } });
        this.#post(message);
      });
    }

    #keep() {
      const key = this.#key();
      if (!key || this.#saving) return;
      this.#saving = setTimeout(async () => {
        this.#saving = 0;
        try {
          localStorage.setItem(key, await this.getState());
        } catch {
          // Without storage the session is not saved.
        }
      }, 500);
    }
  }

  if (!customElements.get("limpid-lab")) customElements.define("limpid-lab", LimpidLab);
})();
