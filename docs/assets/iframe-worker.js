// The search runs in a worker, and browsers start none for pages opened from a folder (file://): there, a hidden frame does.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.onmessage = null;
      const page = frame.contentDocument;
      this.inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      this.inside.importScripts = (...urls) =>
        Promise.all(urls.map((source) => new Promise((done, failed) => this.load(source, done, failed))));
      this.page = page;
      this.ready = new Promise((done, failed) => this.load(url, done, failed));
    }
    load(source, done, failed) {
      const script = this.page.createElement("script");
      Object.assign(script, { src: source, onload: done, onerror: failed });
      this.page.body.append(script);
    }
    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
