// Copyright: (c) 2026, hft-incident contributors
// Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
// SPDX-License-Identifier: Apache-2.0

// A browser starts no worker from a file, so the search of a page that was opened from the file system runs in a hidden
// frame instead. The theme's search worker knows such a frame by the name IFrameWorker.
(() => {
  "use strict";
  if (location.protocol !== "file:") return;

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.body.appendChild(document.createElement("iframe"));
      this.frame.hidden = true;
      addEventListener("message", (event) => {
        if (event.source === this.frame.contentWindow) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      });
      const page = this.frame.contentDocument;
      page.open();
      page.write(
        '<!doctype html><body><script>postMessage = (data) => parent.postMessage(data, "*");</script>' +
          `<script src="${url}"></script></body>`,
      );
      this.ready = new Promise((ready) => this.frame.contentWindow.addEventListener("load", ready, { once: true }));
      page.close();
    }

    postMessage(data) {
      this.ready.then(() => {
        const copy = structuredClone(data);
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: copy }));
      });
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
})();
